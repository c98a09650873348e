/*
 * What the files of a device's program share while it runs, and no device sees: device_main.c has the begin and the end,
 * device_supervised.c and device_by_hand.c one life each, device_session.c what a front end brings.
 *
 * One thread, the main one. Functions return 0 or -errno, logged; what an error means for the exit status is
 * device_main.c's alone.
 */
#ifndef ATOLL_COMMON_PROGRAM_DEVICE_LIFE_H
#define ATOLL_COMMON_PROGRAM_DEVICE_LIFE_H

#include <stdbool.h>

#include "common/program/device_pair.h"
#include "common/program/device_program.h"
#include "common/program/device_socket.h"

/* Descriptors of a device: an image or a tap, wires, and for each queue a ring and three eventfds. */
#define DEVICE_FILES 512

/* SIGTERM, SIGINT and SIGHUP end a program that was started by hand. */
#define DEVICE_END_SIGNALS 3

enum device_exit {
	DEVICE_EXIT_DONE = 0,
	DEVICE_EXIT_FAILED = 1,
	DEVICE_EXIT_USAGE = 2,
	DEVICE_EXIT_HOST = 3,
};

struct device_life {
	const struct device_program *program;
	void *device;
	struct loop *loop;
	struct child *child;	      /* NULL: by hand */
	struct virtio_server *virtio; /* NULL: the device has sessions of its own */
	bool session;		      /* one is running */
	/* What the program ends with if no function fails: DONE, FAILED once a session has, or what the process inside did. */
	int status;

	/* By hand. */
	struct device_socket socket;
	enum device_side side;
	struct loop_watch *listen_watch; /* NULL: there comes one front end only */
	struct loop_watch *signal_watches[DEVICE_END_SIGNALS];
};

/* --- device_supervised.c, device_by_hand.c: from the first step to the last turn of the loop --- */

int device_run_supervised(struct device_life *life);
int device_run_by_hand(struct device_life *life, int argc, char **argv);

/* --- device_life.c: what both do, in this order --- */

/* The loop, and what the device makes before it is sealed. */
int device_prepare(struct device_life *life);
/* Puts the filters on. Nothing of a front end was read yet. */
int device_seal(struct device_life *life);
/* Turns the loop until device_stop(), or until no front end can come any more. */
int device_serve(struct device_life *life);

/* --- device_session.c --- */

/* A front end is at the other end of the socket, which becomes the session's on success. */
int device_session_start(struct device_life *life, int socket_fd);
/* Ends the session, if one runs: what was accepted is finished first. */
void device_session_stop(struct device_life *life);
/* The same, and the program ends. */
void device_stop(struct device_life *life);

#endif
