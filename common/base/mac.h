/*
 * MAC addresses as people write them.
 */
#ifndef ATOLL_COMMON_BASE_MAC_H
#define ATOLL_COMMON_BASE_MAC_H

#include <stdbool.h>
#include <stdint.h>

#define MAC_SIZE 6

/*
 * Reads six bytes in hexadecimal, two digits each, with colons between them and nothing else: "52:54:00:12:34:56".
 * False: the text is no such address, and mac is left as it was. Whether a device may have it as its own is not asked.
 * Pure.
 */
bool mac_parse(const char *text, uint8_t mac[MAC_SIZE]);

#endif
