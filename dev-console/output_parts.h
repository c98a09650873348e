/*
 * An output from within, for output_*.c alone; output.h is what others see.
 *
 * output_open.c makes and frees it, output_peer.c watches who takes the output, output_write.c gathers and writes,
 * output_file.c keeps a file's bound, output_read.c reads.
 */
#ifndef ATOLL_DEV_CONSOLE_OUTPUT_PARTS_H
#define ATOLL_DEV_CONSOLE_OUTPUT_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "dev-console/console_state.h"
#include "dev-console/output.h"

enum output_looking {
	OUTPUT_LOOK_NEVER,
	OUTPUT_LOOK_SOON,
	OUTPUT_LOOK_NOW,
};

struct output {
	struct loop *loop;
	struct console_state *state;
	enum output_kind kind;
	int in_fd;
	int out_fd;
	int listen_fd;
	struct loop_watch *in_watch;
	struct loop_watch *out_watch;
	struct loop_watch *listen_watch;
	struct loop_watch *look_timer;
	const struct output_ops *ops;
	void *owner;

	bool attached;		     /* somebody takes output */
	bool input_open;	     /* in_fd may bring input */
	bool input_wanted;	     /* by the owner */
	bool blocked;		     /* the host takes no more; out_watch waits */
	bool failing;		     /* a write error was logged */
	bool room_owed;		     /* what was gathered was dropped, and the owner does not know yet */
	enum output_looking looking; /* what look_timer is armed for */
	bool draining;		     /* the owner waits, and is not called */

	/* A file's bound. */
	uint64_t file_max; /* 0: none */
	const struct output_file_ops *file_ops;
	void *file_owner;
	bool file_asked;	 /* for another file; blocked meanwhile */
	bool file_unasked;	 /* it could not be asked for; look_timer tries again */
	int64_t file_refused_ms; /* when there was none; 0: it was not so */

	struct output_counters counters;
};

/* --- output_peer.c --- */

/* Whether peers come and go, and are looked for by the timer. */
bool output_changes_peers(const struct output *output);
/* Brings the watches in line with the state; after each change of it. */
void output_update_watches(struct output *output);
/* Whether nobody is there any more who could take output. */
bool output_hung_up(const struct output *output);
/* Nobody takes output any more: what was gathered is dropped. */
void output_detach(struct output *output);
/* Watches the peer's descriptors. A file cannot be watched (EPERM) and needs no watch. 0 or -ENOMEM. */
int output_watch_peer(struct output *output);
/* The host takes output again: writes what waits, and tells the owner if there is room. */
void output_go_on(struct output *output);
/* Called back by the loop: the timer; a listening socket. */
void output_look(void *argument);
void output_acceptable(int fd, unsigned events, void *argument);

/* --- output_write.c --- */

/* Counts what was gathered as dropped. */
void output_drop(struct output *output);

/* --- output_file.c --- */

/* Whether the file has reached its bound by what we wrote; or, asked of the kernel, by whatever else. */
bool output_file_full(const struct output *output);
bool output_file_filled(const struct output *output);
/* The file takes no more: another one is asked for, or what is gathered is dropped while there is none. */
void output_next_file(struct output *output);

#endif
