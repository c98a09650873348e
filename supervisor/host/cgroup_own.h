/*
 * Where our own cgroup is seen.
 */
#ifndef ATOLL_SUPERVISOR_HOST_CGROUP_OWN_H
#define ATOLL_SUPERVISOR_HOST_CGROUP_OWN_H

#include <stdbool.h>
#include <stddef.h>

/* The path of this process's cgroup (version 2). False: it is mounted nowhere that we see, or does not fit. */
bool cgroup_own_path(char *path, size_t size);

#endif
