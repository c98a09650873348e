/*
 * A supervised process's side of the control wire.
 *
 * The supervisor execs a child with argv[0] "atoll-blk: web/root", the control socket at the descriptor that
 * the environment variable ATOLL_CONTROL_FD names, /dev/null on 0 and its own stderr on 1 and 2, and nothing
 * else open. The first packet configures the child; what it must open came with it.
 *
 * Order in a child's main: child_attach(), child_configuration(), child_enter_jail(), prepare, seal,
 * child_ready(), child_serve(), loop.
 */
#ifndef ATOLL_COMMON_PROGRAM_CHILD_H
#define ATOLL_COMMON_PROGRAM_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/control_wire.h"
#include "common/base/loop.h"

#define CHILD_CONTROL_FD_ENV "ATOLL_CONTROL_FD"

struct child;

struct child_ops {
	/* KIND_SHUT_DOWN, or the supervisor is gone (its socket closed): finish and stop the loop. */
	void (*shut_down)(void *argument);
	/* Any other message of the supervisor. The message is cleared after the call. Return 0, or -EPROTO
	 * for one that this child does not take: it is logged and the child shuts down. */
	int (*message)(void *argument, struct control_message *message);
	/* Appends counters to a Statistics reply through child_counter(). May be NULL. */
	void (*statistics)(void *argument, struct child *child);
	/* Fills the reply to a Heartbeat: what is open, in whichever thread. NULL: nothing ever is. */
	void (*heartbeat)(void *argument, Atoll__Control__HeartbeatReply *reply);
	/* Whether what was ordered before a Heartbeat is done. As long as it is not, the reply waits for
	 * child_answer_heartbeats(). NULL: all orders are done at once. */
	bool (*settled)(void *argument);
};

/*
 * Finds the control wire in the environment, and removes it from there. Returns 0, -ENOENT when the process
 * was started by hand, -EBADF when the variable does not name a SEQPACKET socket.
 */
int child_attach(struct child **child);

/*
 * Waits up to 10 s for the first packet, which must be a *Configure. Log records travel to the supervisor
 * from here on, under program and "VM/ID" (or "VM" when the message has no id). 1, 0 at end of file, -errno.
 */
int child_configuration(struct child *child, const char *program, struct control_message *message);

/*
 * Goes into the jail (jail.h), unless the configuration says that it is to stay out: then that is logged.
 * files: descriptors that it may have. 0 or -errno (logged).
 */
int child_enter_jail(struct child *child, const char *program, unsigned files);
/* Whether it is in the jail, and is to seal itself. */
bool child_is_jailed(const struct child *child);

/* The socket, for direct sends; child.c owns it. */
int child_control_fd(const struct child *child);

/* Says that this process serves. */
int child_ready(struct child *child);

/* Takes messages in the loop from now on. */
int child_serve(struct child *child, struct loop *loop, const struct child_ops *ops, void *argument);

/* Adds one counter to the Statistics reply being built; only inside ops->statistics. */
void child_counter(struct child *child, const char *name, uint64_t value);

/* Sends the replies that wait, in the order in which they were asked for, if all is settled. */
void child_answer_heartbeats(struct child *child);

/* Waits up to timeout_ms for one message and takes it as the loop would. 0, -ETIMEDOUT, or -EPIPE: there come no more. */
int child_take_one(struct child *child, int timeout_ms);

/* Stops watching, brings the log back to stderr, closes the socket. */
void child_free(struct child *child);

#endif
