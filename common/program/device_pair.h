/*
 * A device's program by hand is two processes. There is nobody who could make the namespaces from outside, so the program
 * does that itself: one process goes inside, into the jail, and serves; the other one stays outside and attends it.
 *
 * What is open is both processes'. Before the split the program has one thread, and has blocked the signals that
 * jail_fork_attend() awaits.
 */
#ifndef ATOLL_COMMON_PROGRAM_DEVICE_PAIR_H
#define ATOLL_COMMON_PROGRAM_DEVICE_PAIR_H

#include "common/jail/jail.h"
#include "common/program/device_socket.h"

enum device_side {
	DEVICE_SIDE_ALONE, /* there is one process only: supervised, or --no-sandbox */
	DEVICE_SIDE_INSIDE,
	DEVICE_SIDE_OUTSIDE,
};

/*
 * Splits the program. The process inside returns with *side INSIDE once it is in the jail, without standard input and
 * output of the shell's; the one outside with *side OUTSIDE, and must call device_pair_attend() with the fork. Returns 0 or
 * -errno (logged): -ENODEV where the host does not let it make a second process, then *side is as it was; -EIO inside, where
 * it cannot go into the jail.
 */
int device_pair_split(const char *program, unsigned files, struct jail_fork *fork, enum device_side *side);

/* Outside: closes the socket, which is the other one's, and waits for its end; *status is what it ended with. 0, or -EIO
 * (logged): it has not come as far as into its jail. */
int device_pair_attend(struct jail_fork *fork, struct device_socket *device_socket, int *status);

#endif
