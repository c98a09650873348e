/*
 * Values of the config file.
 */
#include "config/config_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/mac.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Units that people write and that are not ours, with those that they mean. */
struct meant {
	const char *written; /* in small letters */
	const char *unit;
	unsigned factor;
};

/* Digits, then something that we know what is meant by: says so. The text stands until the next call. */
static const char *value_hint(const char *text, const char *unit, const struct meant *meant,
			      const char *otherwise)
{
	static char hint[96];
	uint64_t value;

	/* "512 MiB" too. */
	unit += strspn(unit, " ");
	for (; meant->written != NULL; meant++) {
		if (strcasecmp(unit, meant->written) != 0)
			continue;
		if (sscanf(text, "%" SCNu64, &value) != 1 ||
		    __builtin_mul_overflow(value, meant->factor, &value))
			break;
		snprintf(hint, sizeof(hint), "has no unit that is known; write %" PRIu64 "%s", value,
			 meant->unit);
		return hint;
	}
	return otherwise;
}

/* Digits, then one of the units. */
static const char *value_parse_scaled(const char *text, const struct unit *units, const char *no_number,
				      const struct meant *meant, const char *no_unit, const char *too_large,
				      uint64_t *result)
{
	uint64_t value = 0;
	const char *c = text;

	if (!isdigit((unsigned char)*c))
		return no_number;
	for (; isdigit((unsigned char)*c); c++) {
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
			return too_large;
	}
	for (; units->name != NULL; units++) {
		if (strcmp(c, units->name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units->factor, &value))
			return too_large;
		*result = value;
		return NULL;
	}
	return value_hint(text, c, meant, no_unit);
}

const char *value_parse_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {{"KiB", UINT64_C(1) << 10},
					    {"MiB", UINT64_C(1) << 20},
					    {"GiB", UINT64_C(1) << 30},
					    {NULL, 0}};
	static const struct meant meant[] = {{"k", "KiB", 1},	 {"kb", "KiB", 1},    {"kib", "KiB", 1},
					     {"m", "MiB", 1},	 {"mb", "MiB", 1},    {"mib", "MiB", 1},
					     {"g", "GiB", 1},	 {"gb", "GiB", 1},    {"gib", "GiB", 1},
					     {"t", "GiB", 1024}, {"tb", "GiB", 1024}, {"tib", "GiB", 1024},
					     {NULL, NULL, 0}};

	return value_parse_scaled(text, units, "is not a size; write a whole number and a unit, as in 512MiB",
				  meant,
				  "has no unit that is known; write KiB, MiB or GiB right after the number",
				  "is larger than any machine; write a smaller size", bytes);
}

const char *value_parse_time(const char *text, uint64_t *us)
{
	static const struct unit units[] = {{"ms", 1000}, {"s", 1000000}, {NULL, 0}};
	static const struct meant meant[] = {{"ms", "ms", 1},  {"msec", "ms", 1},   {"s", "s", 1},
					     {"sec", "s", 1},  {"seconds", "s", 1}, {"m", "s", 60},
					     {"min", "s", 60}, {"h", "s", 3600},    {NULL, NULL, 0}};

	return value_parse_scaled(text, units, "is not a time; write a whole number and a unit, as in 50ms",
				  meant, "has no unit that is known; write ms or s right after the number",
				  "is longer than any run; write a shorter time", us);
}

const char *value_parse_percent(const char *text, unsigned *percent)
{
	static const struct unit units[] = {{"%", 1}, {NULL, 0}};
	static const struct meant meant[] = {
		{"", "%", 1}, {"%", "%", 1}, {"percent", "%", 1}, {NULL, NULL, 0}};
	static const char *const too_large = "is more than any machine has; write less";
	const char *problem;
	uint64_t value = 0;

	problem = value_parse_scaled(
		text, units,
		"is not a share; write a whole number and %, as in 150% for one processor and a half", meant,
		"has no unit that is known; write % right after the number", too_large, &value);
	if (problem == NULL && value > UINT32_MAX)
		problem = too_large;
	if (problem == NULL)
		*percent = (unsigned)value;
	return problem;
}

const char *value_parse_mac(const char *text, uint8_t mac[6])
{
	static const char *const form =
		"is not a MAC address; write six bytes in hex, as in 52:54:00:12:34:56";
	static const uint8_t zero[6];
	uint8_t bytes[6];

	if (!mac_parse(text, bytes))
		return form;
	if (bytes[0] & 1)
		return "is a group address; the first byte of a network card's own address is even";
	if (memcmp(bytes, zero, sizeof(bytes)) == 0)
		return "is no address at all; leave the key out to get one";
	memcpy(mac, bytes, sizeof(bytes));
	return NULL;
}

const char *value_check_interface(const char *text)
{
	size_t length = strlen(text);

	/* As the kernel's dev_valid_name(). */
	if (length == 0 || length >= IFNAMSIZ || strpbrk(text, "/: \t\n\v\f\r") != NULL ||
	    strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return "is not the name of a network interface; it has 1 to 15 characters, none of them /, : "
		       "or a "
		       "space";
	return NULL;
}

void value_derive_mac(const char *name, const char *id, uint8_t mac[6])
{
	/* The terminator of the name is hashed too: "a" "bc" and "ab" "c" differ. */
	mac_of_hash(mac_hash(mac_hash(MAC_HASH_BEGIN, name, strlen(name) + 1), id, strlen(id)), mac);
}
