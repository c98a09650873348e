/*
 * Crash points: the steps of a request's way at which a device process can be made to die, for the tests of restart.
 *
 * Only a build with configure --enable-crash-points has them; in any other, CRASH_POINT() is nothing. In such a build
 * the variable ATOLL_CRASH_POINT=NAME[:COUNT] names the step, and the COUNTth time (1) that the process comes to it is
 * its end: without a signal handler, without a system call, as if it had been killed between two instructions.
 *
 * The names follow a request in time. Those of the region that tracks requests (common/ring/inflight.h) lie behind each
 * of its stores.
 */
#ifndef ATOLL_COMMON_BASE_CRASH_POINT_H
#define ATOLL_COMMON_BASE_CRASH_POINT_H

/* X(name, what has just been done) */
#define CRASH_POINTS(X)                                                          \
	X(FRESH, "a fresh region is filled, its version not yet set")            \
	X(RECOVER_CLEARED, "one entry of the last batch is cleared in recovery") \
	X(RECOVERED, "recovery is complete, nothing was taken yet")              \
	X(NUMBERED, "a chain is read and has its counter")                       \
	X(POPPED, "a chain is marked as under way")                              \
	X(SUBMITTED, "a batch of operations was submitted to the host")          \
	X(FINISHED, "operations have finished, no status is written")            \
	X(STATUS, "a request's status is written")                               \
	X(USED, "a used element is written")                                     \
	X(LINKED, "a head is linked to the batch's list")                        \
	X(PUSHED, "a head is the batch's first")                                 \
	X(PUBLISHED, "the used index is stored")                                 \
	X(CLEARED, "one entry of the batch is cleared")                          \
	X(RECORDED, "the used index is in the region")                           \
	X(INTERRUPT, "an interrupt is about to be sent")                         \
	X(INTERRUPTED, "an interrupt was considered, and sent if asked for")     \
	X(KICKS, "the driver was asked for kicks")                               \
	X(RETIRED, "the queue stopped with nothing under way, and its region says so")

#define CRASH_POINT_ENUM(name, when) CRASH_POINT_##name,
enum crash_point {
	CRASH_POINTS(CRASH_POINT_ENUM) CRASH_POINT_COUNT,
};
#undef CRASH_POINT_ENUM

#ifdef ENABLE_CRASH_POINTS
/* The variable of the environment that the programs look at. */
#define CRASH_POINT_ENV "ATOLL_CRASH_POINT"

/* text: NAME or NAME:COUNT, or NULL for none. 0, or -EINVAL for a name or a number that is none. Before threads. */
int crash_point_choose(const char *text);
void crash_point_reach(enum crash_point point);
#define CRASH_POINT(name) crash_point_reach(CRASH_POINT_##name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
