/*
 * Attendants: the threads that do for a device's link (device_link.h) what may take long. Each serves one link after the
 * other, and sleeps when it has none.
 *
 * A sealed core makes no thread, and no timer or eventfd either. So what an attendant needs is made with it, and before the
 * core seals itself spare ones are made for devices that are attached later
 * (attendants_stock()). Until then one is made for each link, and ends with it.
 *
 * Main thread, unless said otherwise.
 */
#ifndef ATOLL_VMM_CORE_WIRE_ATTENDANT_H
#define ATOLL_VMM_CORE_WIRE_ATTENDANT_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "common/base/loop.h"
#include "common/base/seccomp_filter.h"
#include "vmm-core/machine/core.h"

struct device_link;

struct attendant_ops {
	/* Attendant: one step for the link that it has, with its lock held; it may wait, with the lock let go of. When the
	 * link is served to its end, it says so by attendant_let_go(). */
	void (*serve)(struct device_link *link);
	/* Main thread: the timer has fired. */
	void (*overdue)(struct device_link *link);
};

struct attendant {
	const struct attendant_ops *ops;
	pthread_t thread;
	struct loop_watch *timer; /* for the link */
	int call_fd; /* an eventfd that is signalled to call it away from a wire that it watches */

	pthread_mutex_t lock; /* of all below, and of the link */
	pthread_cond_t orders;
	pthread_cond_t resumed;
	struct device_link *link; /* NULL: none; changed by the attendant and the main thread */
	bool begun;
	bool released; /* it may go about its work */
	bool ends;
	const struct seccomp_filter *filter;
	int seal_error;

	TAILQ_ENTRY(attendant) entry; /* of those that have no link */
};

/*
 * One for a link. It serves it from attendant_release() on, or at once, if it is a spare one. -ENOSPC: there is none
 * left; or -errno.
 */
int attendant_take(struct core *core, struct device_link *link, const struct attendant_ops *ops,
		   struct attendant **attendant);
/* It has put on the filter (NULL: none) and begun when this returns. Once. 0 or -errno. */
int attendant_release(struct attendant *attendant, const struct seccomp_filter *filter);
/* The link is in its last state: returns when it is served no more, and the attendant may have another. */
void attendant_give(struct core *core, struct attendant *attendant);

/* Attendant, from serve(). */
void attendant_let_go(struct attendant *attendant);

/* The core is about to seal itself: makes `count` spare ones. From now on none is made, and none ends. 0 or -errno. */
int attendants_stock(struct core *core, const struct attendant_ops *ops, unsigned count);
/* attendant_release() of each spare one. */
int attendants_release(struct core *core, const struct seccomp_filter *filter);
/* No link has one any more. */
void attendants_free(struct core *core);

#endif
