/*
 * The command line of a device's program that was started by hand: the options that all devices have, and its own.
 */
#ifndef ATOLL_COMMON_PROGRAM_DEVICE_OPTIONS_H
#define ATOLL_COMMON_PROGRAM_DEVICE_OPTIONS_H

#include <stdbool.h>

#include "common/program/device_program.h"

/* What is to be printed instead of serving. */
enum device_print {
	DEVICE_PRINT_NOTHING,
	DEVICE_PRINT_HELP,
	DEVICE_PRINT_VERSION,
	DEVICE_PRINT_CAPABILITIES,
};

struct device_options {
	enum device_print print; /* the first one that was asked for; what stands behind it was not read */
	/* One of the two. */
	const char *socket_path; /* NULL: none; points into argv */
	int fd;			 /* -1: none */
	bool no_sandbox;
};

/* Reads the command line, gives the device its own options, sets the log's level. 0, or -EINVAL (logged, or said on standard
 * error). */
int device_options_read(const struct device_program *program, void *device, int argc, char **argv,
			struct device_options *options);

/* Prints it to standard output. 0 or -EIO. */
int device_options_print(const struct device_program *program, enum device_print print);

#endif
