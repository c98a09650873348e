/*
 * The filters that were compiled from the policies of this folder: one object each, of which a program gets
 * those that it names, and an index of all for tools.
 *
 * ROLE.process is the union of a role's threads and goes first, to all threads at once; ROLE.THREAD is what a
 * thread adds for itself. A role with one kind of thread has ROLE.main alone. ROLE-hand is what a program wears that
 * was started by hand.
 */
#ifndef ATOLL_POLICY_FILTERS_H
#define ATOLL_POLICY_FILTERS_H

#include "common/base/seccomp_filter.h"

extern const struct seccomp_filter filter_blk_main;
extern const struct seccomp_filter filter_blk_process;
extern const struct seccomp_filter filter_blk_queue;
extern const struct seccomp_filter filter_blk_hand_main;
extern const struct seccomp_filter filter_blk_hand_process;
extern const struct seccomp_filter filter_blk_hand_queue;
extern const struct seccomp_filter filter_console_main;
extern const struct seccomp_filter filter_console_hand_main;
extern const struct seccomp_filter filter_core_attendant;
extern const struct seccomp_filter filter_core_main;
extern const struct seccomp_filter filter_core_process;
extern const struct seccomp_filter filter_core_vcpu;
extern const struct seccomp_filter filter_net_main;
extern const struct seccomp_filter filter_net_hand_main;
extern const struct seccomp_filter filter_supervisor_main;
extern const struct seccomp_filter filter_supervisor_sealed_main;
extern const struct seccomp_filter filter_undertaker_main;
extern const struct seccomp_filter filter_undertaker_hand_main;

/*
 * All of them, in the order of their names, with a NULL at the end. A role comes before what it is by hand, whose
 * filter may be made of the same instructions: who looks for a filter by these finds the supervised one first.
 */
extern const struct seccomp_filter *const seccomp_filters[];

/* The filter of that name, or NULL. */
const struct seccomp_filter *seccomp_filter_find(const char *name);

#endif
