/*
 * The index of filters.
 */
#include "policy/filters.h"

#include <string.h>

#define SECCOMP_FILTER_POINT(name) &filter_##name,

const struct seccomp_filter *const seccomp_filters[] = {SECCOMP_FILTERS(SECCOMP_FILTER_POINT) NULL};

const struct seccomp_filter *seccomp_filter_find(const char *name)
{
	for (size_t i = 0; seccomp_filters[i] != NULL; i++)
		if (strcmp(seccomp_filters[i]->name, name) == 0)
			return seccomp_filters[i];
	return NULL;
}
