/*
 * The filters that were compiled from the policies of this folder: one object each, of which a program gets
 * those that it names, and an index of all for tools.
 *
 * ROLE.process is the union of a role's threads and goes first, to all threads at once; ROLE.THREAD is what a
 * thread adds for itself. A role with one kind of thread has ROLE.main alone. ROLE-hand is what a program wears that was
 * started by hand.
 */
#ifndef ATOLL_POLICY_FILTERS_H
#define ATOLL_POLICY_FILTERS_H

#include "common/base/seccomp_filter.h"

/* clang-format off */
#define SECCOMP_FILTERS(FILTER) \
	FILTER(blk_main) \
	FILTER(blk_process) \
	FILTER(blk_queue) \
	FILTER(blk_hand_main) \
	FILTER(blk_hand_process) \
	FILTER(blk_hand_queue) \
	FILTER(console_main) \
	FILTER(console_hand_main) \
	FILTER(core_attendant) \
	FILTER(core_main) \
	FILTER(core_process) \
	FILTER(core_vcpu) \
	FILTER(net_main) \
	FILTER(net_hand_main) \
	FILTER(rng_main) \
	FILTER(rng_hand_main) \
	FILTER(supervisor_main) \
	FILTER(supervisor_sealed_main) \
	FILTER(undertaker_main) \
	FILTER(undertaker_hand_main)
/* clang-format on */

/* filter_blk_main and so on. */
#define SECCOMP_FILTER_DECLARE(name) extern const struct seccomp_filter filter_##name;
SECCOMP_FILTERS(SECCOMP_FILTER_DECLARE)
#undef SECCOMP_FILTER_DECLARE

/*
 * All of them, in this order, with a NULL at the end. A role comes before what it is by hand, whose filter may
 * be made of the same instructions: who looks for a filter by these finds the supervised one first.
 */
extern const struct seccomp_filter *const seccomp_filters[];

/* The filter of that name, or NULL. */
const struct seccomp_filter *seccomp_filter_find(const char *name);

#endif
