/*
 * Starting a program of the family, with exactly the descriptors that it is to have.
 */
#ifndef ATOLL_SUPERVISOR_VM_SPAWN_H
#define ATOLL_SUPERVISOR_VM_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/jail/jail.h"

/* Why a program could not be started: "web: cannot start PATH: STEP: ERROR; REMEDY". */
struct spawn_problem {
	const char *step; /* or "" */
	const char *remedy;
	bool host; /* this host, or the container, lacks it */
};

/* Whether a process can be made in namespaces of its own at all, by making one. 0, or -errno with *problem. */
int spawn_probe(struct spawn_problem *problem);

/* What a process in a sandbox may have of the host, in bytes; UINT64_MAX: as much as we may. */
struct spawn_limits {
	uint64_t memory; /* address space: all that it maps */
	uint64_t file;	 /* the end of a file that it writes, truncates or allocates: beyond is EFBIG */
	int cgroup_fd; /* of the directory of its cgroup; -1: it is in ours. Holds outside of a sandbox too. */
};

struct spawn_request {
	const char *program; /* "atoll-blk" */
	const char *title;
	bool sandbox;
	struct spawn_limits limits;
	int control_fd, output_fd;
};

struct spawned {
	pid_t pid;
	int pidfd;
	/* Processes that were made and got nowhere, also on failure: our parent's to reap. */
	pid_t lost[JAIL_FORK_TRIES];
	unsigned lost_count;
};

/*
 * Starts $ATOLL_LIBEXEC_DIR/program, else the installed one, as argv { title }, and as a child of our parent: of the
 * supervisor, if we are its starter. It has /dev/null on 0, output_fd on 1 and 2, control_fd on 3, nothing else;
 * ATOLL_CONTROL_FD=3 is all of its environment; no signal is blocked, none but SIGXFSZ ignored (in a sandbox); it is in
 * a process group of its own, so that keys of a terminal do not reach it.
 * sandbox: in namespaces of its own, as a user of its own (jail_fork() of common/jail/jail.h), and under the limits, soft
 * and hard, so that it cannot raise them.
 * Returns 0, or -errno with *problem.
 */
int spawn_program(const struct spawn_request *request, struct spawned *spawned,
		  struct spawn_problem *problem);

/* What is started from now on records what it calls: JAIL_RECORD_ENV of common/jail/jail_record.h is in its environment. */
void spawn_recording(void);

/* Before the supervisor leaves its folder: where its programs are is no path from there any more. 0 or -errno. */
int spawn_fix_paths(void);

/* The address sanitizer's shadow takes terabytes of address space, of which it uses little. */
#ifdef __SANITIZE_ADDRESS__
#define SPAWN_LIMITS_MEMORY false
#else
#define SPAWN_LIMITS_MEMORY true
#endif

#endif
