/*
 * Whether a device's process hangs: the judgement of what it answers, and does not answer, to Heartbeats.
 *
 * Two things are a hang. A question that nobody answers for the time-out: the main thread does not come round. And
 * answers that, for the time-out, tell of work that is open, the guest's requests or a kick, of none that waits for
 * the host, and of not one more request taken or completed: the thread that serves does not come round. Neither is
 * one while the process is stopped, by a debugger or SIGSTOP, or the guest is: the clocks start anew then.
 *
 * Times are of one monotonic clock, which the caller reads.
 */
#ifndef ATOLL_SUPERVISOR_VM_HEARTBEAT_H
#define ATOLL_SUPERVISOR_VM_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/control_frame.h"

struct heartbeat {
	uint64_t serial;      /* of the last question */
	bool asked;	      /* and not answered */
	uint64_t asked_us;    /* when, or when the clock started anew */
	bool busy;	      /* the last answer told of open work that is ours to do */
	uint64_t progress_us; /* since when it does without anything having moved */
	uint64_t accepted, completed;
};

/* A question may be sent: none is open. */
bool heartbeat_due(const struct heartbeat *heartbeat);
void heartbeat_asked(struct heartbeat *heartbeat, uint64_t serial, uint64_t now_us);

/* Takes an answer; false if there was no such question. */
bool heartbeat_answered(struct heartbeat *heartbeat, uint64_t serial,
			const Atoll__Control__HeartbeatReply *reply, uint64_t now_us);

/* Why it is a hang, or NULL. */
const char *heartbeat_hangs(const struct heartbeat *heartbeat, uint64_t timeout_us, uint64_t now_us);

/* What has been so far is no hang. */
void heartbeat_excuse(struct heartbeat *heartbeat, uint64_t now_us);

/* Whether a thread of the process is stopped, by a signal or a tracer. */
bool process_is_stopped(pid_t pid);

#endif
