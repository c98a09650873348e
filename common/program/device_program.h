/*
 * The main program of a device process, as far as all devices share it: options, the two ways to be started
 * (by the supervisor over the control wire; by hand with --socket-path or --fd), the loop, and a clean end.
 *
 * By hand, --socket-path listens there (an existing socket file is replaced only when nobody listens on it),
 * serves one front end after the other, and unlinks the path at the end; --fd=N serves the connected or
 * listening socket N. SIGTERM and SIGINT end the program with status 0 after what was accepted is finished.
 *
 * Either way the process goes into the jail (jail.h) between opening and preparing, and seals itself before
 * it reads a byte of a front end. By hand a small process stays outside: it passes signals on, undoes what is
 * outside, and tells the exit status.
 *
 * Exit status: 0 ended as asked, 1 failed, 2 bad usage, 3 the host lacks something.
 *
 * Source: QEMU docs/interop/vhost-user.rst, "Backend program conventions".
 */
#ifndef ATOLL_COMMON_PROGRAM_DEVICE_PROGRAM_H
#define ATOLL_COMMON_PROGRAM_DEVICE_PROGRAM_H

#include <getopt.h>
#include <stdbool.h>

#include "common/base/loop.h"
#include "common/base/seccomp_filter.h"
#include "common/program/child.h"

struct device_program;

/* One --long-option of a device's own. */
struct device_option {
	const char *name;     /* "blk-file" */
	const char *argument; /* "FILE", or NULL for a flag */
	const char *help;     /* one line */
};

/* What a supervised device is told. The descriptors that it takes it sets to -1. */
struct device_configuration {
	const Atoll__Control__DeviceConfigure *message;
	int state_fd; /* its state page; -1: there is none */
	int *fds;     /* what its part of the message names */
	size_t fd_count;
};

struct device_program_ops {
	const char *program;		     /* "atoll-blk" */
	const char *summary;		     /* one line for --help */
	const char *capabilities;	     /* the JSON that --print-capabilities prints, newline included */
	const struct device_option *options; /* ended by a NULL name */

	/* An own option was seen; value is NULL for a flag. 0, or -EINVAL after having logged why. */
	int (*option)(void *device, const char *name, const char *value);
	/* By hand: all options are read; check them, open what they name. 0, or -errno after having logged
	 * why: -EINVAL ends with 2, -ENODEV, -EACCES and -EPERM with 3, others with 1. */
	int (*open_by_hand)(void *device);
	/* By hand, in the process outside: undoes what open_by_hand() did to others than this program, such as
	 * a terminal's mode. May be NULL. */
	void (*close_by_hand)(void *device);
	/* Supervised: what the supervisor says of the device, and its part of that, `kind`. 0 or -errno after having
	 * logged why. */
	Atoll__Control__DeviceConfigure__DeviceCase kind;
	int (*configure)(void *device, struct device_configuration *configuration);
	/* Threads, rings, buffers: all that must exist before the process seals itself. */
	int (*prepare)(void *device, struct loop *loop);
	/* The filter of the whole process, and, if threads differ, what the main thread stacks onto it. */
	const struct seccomp_filter *filter;
	const struct seccomp_filter *main_filter;
	/* The same by hand, where a front end may be anybody's. */
	const struct seccomp_filter *hand_filter;
	const struct seccomp_filter *hand_main_filter;
	/* The kernel may have to start threads for it after it is sealed. */
	bool tasks;
	/* The process has its filter: let each thread put on its own. 0 or -errno. NULL: no threads. */
	int (*seal)(void *device);
	/* A front end connected; socket_fd becomes the device's on success. The device calls
	 * device_program_session_ended() when the session is over. */
	int (*session_start)(void *device, struct device_program *program, int socket_fd);
	/* End the running session now, if any: finish accepted work, free it. */
	void (*session_stop)(void *device);
	/* A control message other than *Configure and SHUT_DOWN; NULL: none is taken. As child_ops.message.
	 */
	int (*message)(void *device, struct control_message *message);
	void (*statistics)(void *device, struct child *child);
	/* As child_ops.heartbeat. */
	void (*heartbeat)(void *device, Atoll__Control__HeartbeatReply *reply);
	/* The last call. */
	void (*close)(void *device);
};

/* Runs the program; returns the exit status for main. */
int device_program_main(int argc, char **argv, const struct device_program_ops *ops, void *device);

/*
 * The device's session is over (0 for end of file, else -errno). By hand on a listening socket the next front
 * end is awaited; otherwise the program ends, with status 1 if error is not 0.
 */
void device_program_session_ended(struct device_program *program, int error);

/* The control wire; NULL by hand. */
struct child *device_program_child(struct device_program *program);
struct loop *device_program_loop(struct device_program *program);

#endif
