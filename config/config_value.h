/*
 * Values of the config file that are more than a YAML scalar: sizes, times, names, MAC addresses.
 */
#ifndef ATOLL_CONFIG_CONFIG_VALUE_H
#define ATOLL_CONFIG_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* Each returns NULL on success, else what is wrong as text "PROBLEM; REMEDY" that stands until the next call; outputs
 * are then untouched. */

/* "512MiB" */
const char *value_parse_size(const char *text, uint64_t *bytes);
/* "50ms", "5s" */
const char *value_parse_time(const char *text, uint64_t *us);
/* "150%" */
const char *value_parse_percent(const char *text, unsigned *percent);
/* "52:54:00:12:34:56", of a single station */
const char *value_parse_mac(const char *text, uint8_t mac[6]);
/* The name of a network interface. */
const char *value_check_interface(const char *text);

/* The address of a network that has none in the file: the same for the same VM and id, locally administered.
 */
void value_derive_mac(const char *name, const char *id, uint8_t mac[6]);

#endif
