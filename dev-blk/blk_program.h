/*
 * What the files of the program atoll-blk share. The functions are for the table in main.c (device_program.h), with a struct
 * blk_program as the device.
 */
#ifndef ATOLL_DEV_BLK_BLK_PROGRAM_H
#define ATOLL_DEV_BLK_BLK_PROGRAM_H

#include <stdbool.h>

#include "common/program/device_program.h"
#include "dev-blk/blk_device.h"

struct blk_program {
	struct blk_device device;
	/* Options by hand; the texts are in argv. */
	const char *path;   /* NULL: not given */
	const char *serial; /* NULL: the file's name */
	bool readonly;
	unsigned queues;
};

/* --- blk_by_hand.c --- */

extern const struct device_option blk_options[];
int blk_option(void *program, const char *name, const char *value);
int blk_open_by_hand(void *program);

/* --- blk_supervised.c --- */

int blk_configure(void *program, struct device_configuration *configuration);
void blk_statistics(void *program, struct child *child);
void blk_heartbeat(void *program, Atoll__Control__HeartbeatReply *reply);

#endif
