/*
 * MAC addresses as people write them.
 */
#ifndef ATOLL_COMMON_BASE_MAC_H
#define ATOLL_COMMON_BASE_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_SIZE 6

/*
 * Reads six bytes in hexadecimal, two digits each, with colons between them and nothing else: "52:54:00:12:34:56".
 * False: the text is no such address, and mac is left as it was. Whether a device may have it as its own is not asked.
 * Pure.
 */
bool mac_parse(const char *text, uint8_t mac[MAC_SIZE]);

/*
 * An address for who has chosen none, the same each time for the same names: under QEMU's prefix for guests, by FNV-1a, of which
 * nothing is asked but few collisions. Begin with MAC_HASH_BEGIN, add all that tells one from another, in parts or at once.
 */
#define MAC_HASH_BEGIN UINT32_C(2166136261)
uint32_t mac_hash(uint32_t hash, const char *bytes, size_t size);
void mac_of_hash(uint32_t hash, uint8_t mac[MAC_SIZE]);

#endif
