/*
 * A console's process: an output, and one of the two devices in front of it. What main.c, console_by_hand.c and
 * console_supervised.c share; the functions are for the table in main.c, with the struct as the device.
 */
#ifndef ATOLL_DEV_CONSOLE_CONSOLE_H
#define ATOLL_DEV_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "common/program/device_program.h"
#include "dev-console/console_state.h"
#include "dev-console/output.h"
#include "dev-console/serial.h"
#include "dev-console/virtio_console.h"

struct console {
	struct child *child; /* the wire to the supervisor; NULL: by hand */
	enum output_kind kind;
	int in_fd;
	int out_fd;
	int state_fd; /* -1: none, by hand */
	bool resume;
	uint64_t max_bytes; /* of a file; 0: as many as come */
	struct console_state state;
	struct output *output;
	bool is_serial;
	/* One of the two. */
	struct serial *serial;
	struct virtio_console *virtio;
	uint16_t columns;
	uint16_t rows;

	/* By hand. */
	unsigned outputs_chosen;
	const char *log_file;
	bool terminal_changed;
	struct termios terminal;
	int terminal_fd; /* of the output's, the one that tells the size; -1: it is no terminal */
	struct loop_watch *resize_watch;
};

/* --- console_by_hand.c --- */

extern const struct device_option console_options[];
int console_option(void *console, const char *name, const char *value);
int console_open_by_hand(void *console);
void console_close_by_hand(void *console);
/* Tells the driver of the terminal's size, now and when it changes, if the output is one. 0 or -ENOMEM. */
int console_watch_terminal(struct console *console, struct loop *loop);

/* --- console_supervised.c --- */

int console_configure(void *console, struct device_configuration *configuration);
int console_message(void *console, struct control_message *message);
void console_statistics(void *console, struct child *child);
/* How an output asks the supervisor for its next file (output_bound_file()); the owner is the console. */
extern const struct output_file_ops console_file_ops;

#endif
