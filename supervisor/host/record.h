/*
 * What the processes of a VM do: every system call of each, noted with the rule of its policy that allows it.
 *
 * A recording process stops at each call until it is noted here (common/jail/jail_record.h), so a VM that is recorded
 * is slow. Calls are summed up: one entry for each thread kind, call and alternative of a rule. At the end the entries
 * are appended to a file, one JSON object a line:
 *
 *   {"role": "blk.queue", "call": "preadv", "args": [9, ...], "rule": "blk.queue.policy:2", "test": "...", "count": 7}
 *
 * args are those of the first such call; "rule" is missing when no rule allows it; "test" is what the environment
 * variable ATOLL_POLICY_TEST says, if anything. Operations of io_uring, which seccomp does not see, come from the
 * counters of a process: {"role": "blk.queue", "call": "uring", "args": ["READV"], "count": 3}.
 *
 * All functions are the main thread's.
 */
#ifndef ATOLL_SUPERVISOR_HOST_RECORD_H
#define ATOLL_SUPERVISOR_HOST_RECORD_H

#include <stdint.h>

#include "common/base/loop.h"

struct record;

/* Reads the policies and opens the file for appending. 0, or -errno after having reported why. */
int record_open(struct loop *loop, const char *path, struct record **record);
/* Notes what a process of a role ("blk") does from now on; listener_fd becomes the record's. 0 or -errno. */
int record_follow(struct record *record, const char *role, int listener_fd);
/* A process of the role told a counter; those that count operations of a ring are noted. */
void record_counter(struct record *record, const char *role, const char *name, uint64_t value);
/* Writes the entries and lets go of everything. 0 or -errno (reported). NULL is allowed. */
int record_close(struct record *record);

#endif
