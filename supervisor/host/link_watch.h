/*
 * Tells when a network interface goes up or down, from rtnetlink.
 */
#ifndef ATOLL_SUPERVISOR_HOST_LINK_WATCH_H
#define ATOLL_SUPERVISOR_HOST_LINK_WATCH_H

#include <stdbool.h>

#include "common/base/loop.h"

struct link_watch;

/* interface_index is the kernel's; up: administratively. Called for each interface at first, then on changes,
 * and perhaps without one. */
typedef void (*link_watch_fn)(void *owner, unsigned interface_index, bool up);

/* 0 or -errno. */
int link_watch_new(struct loop *loop, link_watch_fn changed, void *owner, struct link_watch **watch);
void link_watch_free(struct link_watch *watch);

#endif
