/*
 * What the command hands to the program that it becomes: a config that was loaded, and how it is to be run. `atoll` reads
 * YAML and says what is wrong with it; `atoll-supervisor` opens, starts and holds what the config names, and has no part
 * that reads YAML. In between is an exec in the same process, so that pid, terminal, session, signals, environment and
 * exit status are those of the command that was typed.
 *
 * The record travels in a memfd that is sealed against every change, whose number is the operand of --fd. Both programs are
 * of one build: it begins with their version and the schema's, and one that begins otherwise is refused.
 *
 * Who is trusted: the record is the operator's own, as the config file is, and no right is gained by forging one, since the
 * supervisor has none that the command has not. So it is guarded against mistakes (two versions installed, a descriptor that
 * is something else, a part that is missing) and its reader against bytes of any kind; what it says is then checked as a
 * config file is.
 */
#ifndef ATOLL_CONFIG_LAUNCH_H
#define ATOLL_CONFIG_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/problem.h"

enum launch_mode {
	LAUNCH_RUN,
	LAUNCH_CHECK, /* say what is wrong, and start nothing */
};

struct launch {
	enum launch_mode mode;
	unsigned log_level; /* enum log_level */
	struct config_file file;
	struct problems problems; /* of the file alone; to be told with the host's */
	/* Of LAUNCH_RUN. */
	bool detached;
	bool waited;	/* the command that was typed waits for it, in another process */
	char *log_file; /* NULL: the default */
	/* Devices, or "core", that have no sandbox; NULL: none has. */
	const char **no_sandbox;
	size_t no_sandbox_count;
};

/* The record, for the caller to free, and its size. 0 or -ENOMEM. */
int launch_pack(const struct launch *launch, uint8_t **bytes, size_t *size);
/* What a record says. 0; -EPROTO: it is none; -EPROTONOSUPPORT: it is another version's. *launch holds nothing then. */
int launch_unpack(const uint8_t *bytes, size_t size, struct launch *launch);

/* A sealed memfd with the record, which an exec does not close. Its number or -errno. */
int launch_send(const struct launch *launch);
/*
 * What such a descriptor says; it stays the caller's. 0, or -errno: -EBADF: there is none; -EPERM: it could still be
 * changed, or is no memfd; -EMSGSIZE: it is too large; else as launch_unpack().
 */
int launch_receive(int fd, struct launch *launch);

/* Of one that was unpacked. */
void launch_clear(struct launch *launch);

#endif
