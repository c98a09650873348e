#include "common/base/mac.h"

#include <string.h>

static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

bool mac_parse(const char *text, uint8_t mac[MAC_SIZE])
{
	uint8_t bytes[MAC_SIZE];

	if (strlen(text) != 3 * MAC_SIZE - 1)
		return false;
	for (size_t i = 0; i < MAC_SIZE; i++) {
		int high = digit_value(text[3 * i]), low = digit_value(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i + 1 < MAC_SIZE && text[3 * i + 2] != ':'))
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(mac, bytes, sizeof(bytes));
	return true;
}

uint32_t mac_hash(uint32_t hash, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)bytes[i]) * UINT32_C(16777619);
	return hash;
}

void mac_of_hash(uint32_t hash, uint8_t mac[MAC_SIZE])
{
	/* Fold, since the high bits of this hash are the better ones. */
	hash ^= hash >> 24;
	mac[0] = 0x52;
	mac[1] = 0x54;
	mac[2] = 0x00;
	mac[3] = (uint8_t)(hash >> 16);
	mac[4] = (uint8_t)(hash >> 8);
	mac[5] = (uint8_t)hash;
}
