/*
 * The wire to a device's process: its vhost-user socket, and the memory that both share. The conversation is the core's
 * own front end (vmm-core/wire/vhost_user_frontend.h); what takes the guest's place is here. Each failure ends the
 * program.
 */
#ifndef ATOLL_TESTS_BENCH_BENCH_LINK_H
#define ATOLL_TESTS_BENCH_BENCH_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/bench_ring.h"
#include "vmm-core/machine/guest_ram.h"
#include "vmm-core/wire/inflight_memory.h"
#include "vmm-core/wire/vhost_user_frontend.h"

struct bench_link {
	int socket_fd; /* the front end's */
	struct vhost_user_frontend *frontend;
	struct guest_ram ram;
	size_t ram_taken;
	uint64_t features; /* as negotiated */
	struct inflight_memory inflight;
};

/* Connects, and shares `memory` bytes. */
void bench_link_open(struct bench_link *link, const char *socket_path, size_t memory);
/* The device must offer all of `needed`. Called once, before the rings; as the core does, it gives a device that keeps
 * track of its requests a region for `queues` rings. */
void bench_link_negotiate(struct bench_link *link, uint64_t needed, uint16_t queues, uint16_t ring_size);
void bench_link_start_ring(struct bench_link *link, uint16_t index, uint16_t size, const char *name,
			   struct bench_ring *ring);
/* Zeroed memory that is shared with the device, aligned to a page. */
void *bench_link_memory(struct bench_link *link, size_t size);

#endif
