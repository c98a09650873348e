/*
 * Memory that is there, or no process.
 */
#include "policy/policy_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory_check(void *memory)
{
	if (memory != NULL)
		return memory;
	fputs("policy: out of memory; free some, and try again\n", stderr);
	exit(1);
}

void *policy_resize(void *old, size_t count, size_t size)
{
	return memory_check(reallocarray(old, count == 0 ? 1 : count, size));
}

char *policy_copy_text(const char *text, size_t length)
{
	return memory_check(strndup(text, length));
}
