/* A ring as its driver sees it: see bench_ring.h. */
#include "tests/bench/bench_ring.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/bench/bench_clock.h"
#include "tests/bench/bench_say.h"

/* Looks in vain before the processor is offered to others, in case that there is one alone. */
#define SPINS 20000
/* Completions after which the event index is moved on. */
#define EVENT_PERIOD 4096

static void describe(const struct bench_ring *ring, struct virtq_desc *descriptor,
		     const struct bench_segment *segment, unsigned flags, unsigned next)
{
	*descriptor = (struct virtq_desc){
		.addr = (uint64_t)((const uint8_t *)segment->memory - ring->memory),
		.len = segment->length,
		.flags = (uint16_t)flags,
		.next = (uint16_t)next,
	};
}

uint16_t bench_ring_add(struct bench_ring *ring, const struct bench_segment *segments, unsigned out,
			unsigned in)
{
	unsigned count = out + in;
	struct virtq_desc *table;
	uint16_t head;

	if (ring->free_count == 0 || count == 0 || count > BENCH_SEGMENTS_MAX)
		bench_fail("%s: no room for a chain of %u segments", ring->name, count);
	head = ring->free[--ring->free_count];
	/* Linux, too, uses no table for a single descriptor. */
	table = count == 1 ? &ring->descriptors[head] : ring->tables + (size_t)head * BENCH_SEGMENTS_MAX;
	for (unsigned i = 0; i < count; i++)
		describe(ring, &table[i], &segments[i],
			 (i >= out ? VIRTQ_DESC_F_WRITE : 0) | (i + 1 < count ? VIRTQ_DESC_F_NEXT : 0),
			 i + 1 < count ? i + 1 : 0);
	if (count > 1) {
		struct bench_segment whole = {table, count * (uint32_t)sizeof(*table)};

		describe(ring, &ring->descriptors[head], &whole, VIRTQ_DESC_F_INDIRECT, 0);
	}
	ring->busy[head] = true;
	ring->available->ring[ring->available_idx % ring->size] = head;
	__atomic_store_n(&ring->available->idx, ++ring->available_idx, __ATOMIC_RELEASE);
	return head;
}

/* 2.7.10: the device names the index at which it wants to be told, in the field behind the used ring. */
static uint16_t avail_event(const struct bench_ring *ring)
{
	return __atomic_load_n((const uint16_t *)(const void *)&ring->used->ring[ring->size],
			       __ATOMIC_RELAXED);
}

void bench_ring_kick(struct bench_ring *ring)
{
	uint16_t old = ring->kicked_idx, new = ring->available_idx;

	ring->kicked_idx = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((uint16_t)(new - avail_event(ring) - 1) >= (uint16_t)(new - old))
		return;
	if (eventfd_write(ring->kick_fd, 1) < 0)
		bench_fail("%s: cannot kick: %s", ring->name, strerror(errno));
}

/* In vain for the spins-th time since `start`; ends the program when that is too long, or the device is gone. */
static void ring_spin(const struct bench_ring *ring, unsigned spins, uint64_t start)
{
	char byte;

	_mm_pause();
	if (spins % SPINS != SPINS - 1)
		return;
	sched_yield();
	if (recv(ring->socket_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		bench_fail("%s: the device hung up", ring->name);
	if (bench_ticks() - start > bench_ticks_of_ms(BENCH_PATIENCE_MS))
		bench_fail("%s: nothing came back within %d s", ring->name, BENCH_PATIENCE_MS / 1000);
}

void bench_ring_wait_starved(const struct bench_ring *ring)
{
	uint64_t start = bench_ticks();

	for (unsigned spins = 0; avail_event(ring) != ring->available_idx; spins++)
		ring_spin(ring, spins, start);
	/* It looks into the ring once more now, and only then sleeps. */
	for (start = bench_ticks(); bench_ticks() - start < bench_ticks_of_ms(1) / 50;)
		_mm_pause();
}

/* 2.7.8: an event index behind what was taken brings no interrupt, for half a round of the indices. */
void bench_ring_silence(struct bench_ring *ring)
{
	__atomic_store_n(&ring->available->ring[ring->size], (uint16_t)(ring->used_idx - 1),
			 __ATOMIC_RELAXED);
}

int bench_ring_take(struct bench_ring *ring, uint32_t *length)
{
	struct virtq_used_elem element;

	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->used_idx)
		return -1;
	element = ring->used->ring[ring->used_idx++ % ring->size];
	if (element.id >= ring->size || !ring->busy[element.id])
		bench_fail("%s: the device completed %u, which was not in flight", ring->name, element.id);
	ring->busy[element.id] = false;
	ring->free[ring->free_count++] = (uint16_t)element.id;
	if (ring->used_idx % EVENT_PERIOD == 0)
		bench_ring_silence(ring);
	*length = element.len;
	return (int)element.id;
}

uint16_t bench_ring_wait(struct bench_ring *ring, uint32_t *length)
{
	uint64_t start = bench_ticks();
	int head;

	for (unsigned spins = 0; (head = bench_ring_take(ring, length)) < 0; spins++)
		ring_spin(ring, spins, start);
	return (uint16_t)head;
}
