/*
 * The index of filters.
 */
#include "policy/filters.h"

#include <string.h>

const struct seccomp_filter *const seccomp_filters[] = {
	&filter_blk_main,
	&filter_blk_process,
	&filter_blk_queue,
	&filter_blk_hand_main,
	&filter_blk_hand_process,
	&filter_blk_hand_queue,
	&filter_console_main,
	&filter_console_hand_main,
	&filter_core_attendant,
	&filter_core_main,
	&filter_core_process,
	&filter_core_vcpu,
	&filter_net_main,
	&filter_net_hand_main,
	&filter_supervisor_main,
	&filter_supervisor_sealed_main,
	&filter_undertaker_main,
	&filter_undertaker_hand_main,
	NULL,
};

const struct seccomp_filter *seccomp_filter_find(const char *name)
{
	for (size_t i = 0; seccomp_filters[i] != NULL; i++)
		if (strcmp(seccomp_filters[i]->name, name) == 0)
			return seccomp_filters[i];
	return NULL;
}
