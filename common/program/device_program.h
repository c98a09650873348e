/*
 * A device's program: what it is stands in a table, and its main is one call. The library brings the options that all
 * devices have, the jail, the seal, the sessions, the answers to the supervisor, and a clean end.
 *
 * Two lives lead to the same service:
 *
 *   supervised   the control wire configures the device and brings its one wire; the session's end, an order, or the
 *                supervisor's end stops the program (device_supervised.c)
 *   by hand      options configure it; --socket-path listens there (an existing socket file is replaced only when nobody
 *                listens on it), serves one front end after the other, and unlinks the path at the end; --fd=N serves the
 *                connected or listening socket N. SIGTERM, SIGINT and SIGHUP end the program with status 0 after what was
 *                accepted is finished (device_by_hand.c)
 *
 * In the order in which they are called:
 *
 *   by hand      option() for each, open_by_hand()        supervised   configure(), already in the jail
 *   both         prepare(), seal(), then for each front end session_start() ... session_stop(); at last close()
 *
 * All that takes a right is open before the process goes into its jail (jail.h), all that takes a thread or memory is made
 * by prepare(), and the process seals itself before it reads a byte of a front end. By hand a small process stays outside
 * of the jail: it passes signals on, undoes what is outside, and tells the exit status.
 *
 * Functions return 0 or -errno, and have logged why, unless it says otherwise. All are called in the main thread, and get
 * the device that device_program_main() was given. Those that may be NULL say so.
 *
 * Exit status: 0 ended as asked, 1 failed, 2 bad usage, 3 the host lacks something.
 *
 * Source: QEMU docs/interop/vhost-user.rst, "Backend program conventions".
 */
#ifndef ATOLL_COMMON_PROGRAM_DEVICE_PROGRAM_H
#define ATOLL_COMMON_PROGRAM_DEVICE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/loop.h"
#include "common/base/seccomp_filter.h"
#include "common/program/child.h"
#include "common/program/virtio_server.h"

/* One --long-option of a device's own. */
struct device_option {
	const char *name;     /* "blk-file" */
	const char *argument; /* "FILE", or NULL for a flag */
	const char *help;     /* one line */
};

/* What a supervised device is told. The descriptors that it takes it sets to -1; the others are closed. */
struct device_configuration {
	const Atoll__Control__DeviceConfigure *message; /* its part is there that the table's kind names */
	struct child *child; /* the wire to the supervisor, as long as the program runs */
	int state_fd;	     /* its state page; -1: there is none */
	int *fds;	     /* what its part of the message names */
	size_t fd_count;
};

/* How a session that session_start() began tells of its own end: 0 at end of file, or -errno. It is called in the main
 * thread, once the session is freed, and not for one that session_stop() has ended. */
typedef void (*device_session_ended_fn)(void *argument, int error);

struct device_program {
	const char *name;	  /* "atoll-blk" */
	const char *summary;	  /* one line for --help */
	const char *capabilities; /* the JSON that --print-capabilities prints, newline included */
	/* Which part of a DeviceConfigure is this device's: NOT_SET, which is 0, for one of which there is nothing to say; and
	 * whether a state page must come with it. */
	Atoll__Control__DeviceConfigure__DeviceCase kind;
	bool has_state;
	/* What its queues are and what becomes of a chain: then the library serves them, and session_start(), session_stop()
	 * and heartbeat() are NULL. Read from prepare() on, so that options and a configuration may fill it in. NULL: the device
	 * has sessions of its own. */
	const struct virtio_device *virtio;

	/* The filter of the whole process, and, if threads differ, what the main thread stacks onto it. NULL: none. */
	const struct seccomp_filter *filter;
	const struct seccomp_filter *main_filter;
	/* The same by hand, where a front end may be anybody's. */
	const struct seccomp_filter *hand_filter;
	const struct seccomp_filter *hand_main_filter;
	/* The kernel may have to start threads for it after it is sealed. */
	bool tasks;

	/* --- By hand --- */

	/* Ended by a NULL name; NULL: it has none of its own. */
	const struct device_option *options;
	/* One of them was seen; value is NULL for a flag, and stays valid. Returns 0 or -EINVAL. NULL without options. */
	int (*option)(void *device, const char *name, const char *value);
	/* All options are read: check them, open what they name. -EINVAL ends the program with 2, -ENODEV, -EACCES and -EPERM
	 * with 3, others with 1. May be NULL. */
	int (*open_by_hand)(void *device);
	/* In the process outside: undoes what open_by_hand() did to others than this program, such as a terminal's mode. May be
	 * NULL. */
	void (*close_by_hand)(void *device);

	/* --- Supervised --- */

	/* What the supervisor says of the device. The configuration is gone after the call. NULL: there is nothing to say, and no
	 * descriptor may come. */
	int (*configure)(void *device, struct device_configuration *configuration);
	/* A control message other than *Configure and SHUT_DOWN, as child_ops.message. NULL: none is taken. */
	int (*message)(void *device, struct control_message *message);
	/* child_counter() for each counter. May be NULL. */
	void (*statistics)(void *device, struct child *child);
	/* As child_ops.heartbeat. May be NULL. */
	void (*heartbeat)(void *device, Atoll__Control__HeartbeatReply *reply);

	/* --- Both --- */

	/* Threads, rings, buffers: all that must exist before the process seals itself. The loop outlives the device. May be
	 * NULL. */
	int (*prepare)(void *device, struct loop *loop);
	/* The process has its filter: let each thread put on its own. NULL: there are no threads. */
	int (*seal)(void *device);
	/* A front end has come: serve it. socket_fd becomes the device's on success, and what ended() is to be called with is the
	 * caller's. Not necessarily logged. */
	int (*session_start)(void *device, struct loop *loop, int socket_fd, device_session_ended_fn ended,
			     void *argument);
	/* End the running session now: finish accepted work, free it. */
	void (*session_stop)(void *device);
	/* The last call, also after an error: what was not opened or made must be as it was before. May be NULL. */
	void (*close)(void *device);
};

/* Runs the program; returns the exit status for main. */
int device_program_main(int argc, char **argv, const struct device_program *program, void *device);

/*
 * The number that an own option's value says, which must be min .. max. `what` and `unit` are for the message: "a number of
 * queues" and "", or "an MTU" and " bytes". Returns 0, or -EINVAL having logged it; then *number stays as it is.
 */
int device_option_number(const char *name, const char *value, const char *what, unsigned min, unsigned max,
			 const char *unit, unsigned *number);

#endif
