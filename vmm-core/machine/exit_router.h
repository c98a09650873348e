/*
 * The exit router: from the address of a PIO or MMIO exit to whoever claims it.
 *
 * vCPU threads read an immutable, sorted table through one atomic pointer and never take a lock; a change
 * builds a new table, swaps it in whole, and lets go of the old one when no vCPU is inside a look-up any more. A
 * look-up copies the entry out before it calls, so that a call that waits for a device keeps no table alive, and holds up
 * no change but the release of the range that it is in.
 *
 * An access that nobody claims reads as ones and writes nowhere, and is counted. An access that straddles the
 * end of a range belongs to nobody.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_EXIT_ROUTER_H
#define ATOLL_VMM_CORE_MACHINE_EXIT_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exit_space {
	EXIT_SPACE_PIO,
	EXIT_SPACE_MMIO,
};

/* Both run on a vCPU thread, several at once for one owner. offset is from the base of the range, size 1 to 8
 * (PIO: 1, 2 or 4). read() fills data[0..size). They route no accesses themselves. */
struct exit_ops {
	void (*read)(void *owner, uint64_t offset, void *data, unsigned size);
	void (*write)(void *owner, uint64_t offset, const void *data, unsigned size);
};

struct exit_range {
	enum exit_space space;
	uint64_t base;
	uint64_t size;
	const struct exit_ops *ops;
	void *owner;
	const char *name; /* static or owned by the owner; names the counters: "uart", "pci-config",
			     "virtio-pci" */
};

struct exit_router;

/* readers: vCPU threads that will look up, numbered from 0. NULL with errno set. */
struct exit_router *exit_router_new(unsigned readers);
void exit_router_free(struct exit_router *router);

/* Claims a range; -EEXIST when it overlaps another of the same space, -EINVAL, or -ENOSPC. Any thread;
 * serialised. */
int exit_router_claim(struct exit_router *router, const struct exit_range *range);
/*
 * Gives the range that starts at base back; -ENOENT. On return no call of its ops runs, and none will: the owner may go. A
 * call of the caller's own, from within which a range is released, is not waited for, its own range's neither. Any
 * thread; it may take as long as a call does that waits for a device, so whoever calls it holds nothing that one
 * needs. Two ranges whose ops release each other would wait for each other: here, configuration space releases BARs, and
 * BARs release nothing.
 */
int exit_router_release(struct exit_router *router, enum exit_space space, uint64_t base);

/* Routes one access of a vCPU, on the one thread that is this reader. */
void exit_router_read(struct exit_router *router, unsigned reader, enum exit_space space, uint64_t address,
		      void *data, unsigned size);
void exit_router_write(struct exit_router *router, unsigned reader, enum exit_space space, uint64_t address,
		       const void *data, unsigned size);

/* Calls back once per counter: accesses routed by range name, and "unclaimed-pio", "unclaimed-mmio". Any
 * thread. */
void exit_router_counters(struct exit_router *router,
			  void (*each)(void *argument, const char *name, uint64_t value), void *argument);

#endif
