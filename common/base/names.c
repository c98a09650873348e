/* Names of VMs and devices; see names.h. */
#include "common/base/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool name_matches(const char *text, const char *first, const char *others, size_t length_max)
{
	size_t length = strlen(text);

	return length > 0 && length <= length_max && strchr(first, text[0]) != NULL &&
	       strspn(text, others) == length;
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

const char *name_check_vm(const char *text)
{
	return name_matches(text, LOWER DIGITS, LOWER DIGITS "-", 63)
		       ? NULL
		       : "is not a name; use 1 to 63 of a-z, 0-9 and -, and no - at the front";
}

const char *name_check_device(const char *text)
{
	return name_matches(text, LOWER UPPER DIGITS, LOWER UPPER DIGITS "._-", 31)
		       ? NULL
		       : "is not an id; use 1 to 31 of a-z, A-Z, 0-9, ., _ and -, and a letter or digit at "
			 "the front";
}
