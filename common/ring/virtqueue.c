/*
 * The split virtqueue, device side.
 *
 * Three rules make it safe against the driver:
 *
 *   - what the driver can change is read once, with ring_load(), into a local, and only the local is used;
 *   - the addresses of a chain are translated when it is popped, all of them, so that nobody downstream translates a
 *     guest-physical address; those of what the device may write are noted beside it, as they were checked;
 *   - a violation sets `broken`, once and for good, and every call from then on is harmless.
 *
 * And three barriers make it work (virtio 1.2, 2.7.13 and 2.7.14):
 *
 *   - the available index is an acquire load: the ring entry and descriptors behind it are visible;
 *   - the used index is a release store: the used elements before it are visible to the driver;
 *   - between publishing and looking whether the driver wants an interrupt, and between asking for kicks and
 *     looking once more for chains, a full barrier: each side writes its own word, then reads the other's.
 */
#include "common/ring/virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "common/base/crash_point.h"
#include "common/ring/inflight.h"
#include "common/spec/virtio_spec.h"

struct virtqueue {
	const struct guest_memory *memory;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	uint64_t taken; /* from the available ring, by whomever; its low 16 bits are the next entry to read */
	uint16_t size;
	uint16_t available_seen; /* the driver's index when last loaded */
	uint16_t next_used;	 /* where the next used element goes */
	uint16_t published;	 /* the used index as the driver sees it */
	uint16_t in_flight;	 /* chains popped, and neither pushed nor rewound */
	uint16_t notified;	 /* the used index up to which an interrupt was considered */
	bool event_idx;
	bool indirect;
	bool served_before;
	int kick_fd;
	int call_fd;
	struct inflight_log *log; /* NULL: none is kept */
	const char *broken;
	struct virtqueue_extent *extents; /* of chains that are out: see extent_of() */
};

/*
 * The writable extents of chains, by head. The first ones of all heads lie together, a cache line for each head, then
 * the next ones, and so on: there is room for the longest chain of each head, and what no chain was long enough for is
 * address space alone. A driver that has one head out twice mixes up its own chains' extents, all of which are its
 * guest's.
 */
#define EXTENTS_TOGETHER 4

static inline struct virtqueue_extent *extent_of(const struct virtqueue *queue, uint16_t head, uint16_t n)
{
	size_t line = (size_t)(n / EXTENTS_TOGETHER) * queue->size + head;

	return &queue->extents[line * EXTENTS_TOGETHER + n % EXTENTS_TOGETHER];
}

static size_t extents_bytes(uint16_t queue_size)
{
	return (size_t)queue_size * VIRTQUEUE_EXTENTS_MAX * sizeof(struct virtqueue_extent);
}

static inline uint16_t next_available(const struct virtqueue *queue)
{
	return (uint16_t)queue->taken;
}

/* One read of memory that the driver may be writing at this moment. */
#define ring_load(location)	    __atomic_load_n(&(location), __ATOMIC_RELAXED)
#define ring_store(location, value) __atomic_store_n(&(location), (value), __ATOMIC_RELAXED)

/* 2.7.6: used_event is the word behind the available ring; 2.7.8: avail_event the one behind the used ring.
 */
static inline uint16_t *ring_used_event(struct virtqueue *queue)
{
	return &queue->available->ring[queue->size];
}

static inline uint16_t *ring_avail_event(struct virtqueue *queue)
{
	return (uint16_t *)&queue->used->ring[queue->size];
}

static bool setup_valid(const struct virtqueue_setup *setup)
{
	return setup->size > 0 && setup->size <= VIRTQUEUE_SIZE_MAX &&
	       (setup->size & (setup->size - 1)) == 0 && (uintptr_t)setup->descriptor_table % 16 == 0 &&
	       (uintptr_t)setup->available_ring % 2 == 0 && (uintptr_t)setup->used_ring % 4 == 0;
}

static int queue_open_log(struct virtqueue *queue, struct vhost_user_inflight_queue *inflight)
{
	int result = inflight_log_new(inflight, queue->size, queue->next_used, &queue->log);

	if (result < 0)
		return result;
	/* The used index may have wrapped around to 0; the region knows better. */
	queue->served_before |= queue->log->served_before;
	/* A predecessor took those that it did not finish, too. */
	queue->taken = (uint64_t)queue->next_used + queue->log->unfinished;
	return 0;
}

int virtqueue_new(const struct virtqueue_setup *setup, struct virtqueue **queue)
{
	struct virtqueue *new_queue;
	int result = 0;

	if (!setup_valid(setup))
		return -EINVAL;
	new_queue = calloc(1, sizeof(*new_queue));
	if (new_queue == NULL)
		return -ENOMEM;
	*new_queue = (struct virtqueue){
		.memory = setup->memory,
		.descriptors = setup->descriptor_table,
		.available = setup->available_ring,
		.used = setup->used_ring,
		.size = setup->size,
		.taken = setup->next_available,
		.event_idx = (setup->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX)) != 0,
		.indirect = (setup->features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) != 0,
		.kick_fd = setup->kick_fd,
		.call_fd = setup->call_fd,
	};
	/* The used ring goes on where it stands: a predecessor may have used this queue. */
	new_queue->next_used = ring_load(new_queue->used->idx);
	new_queue->published = new_queue->next_used;
	new_queue->notified = new_queue->next_used;
	new_queue->served_before = new_queue->next_used != 0;
	new_queue->extents = mmap(NULL, extents_bytes(setup->size), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (new_queue->extents == MAP_FAILED) {
		free(new_queue);
		return -ENOMEM;
	}
	if (setup->inflight != NULL)
		result = queue_open_log(new_queue, setup->inflight);
	if (result < 0) {
		munmap(new_queue->extents, extents_bytes(setup->size));
		free(new_queue);
		return result;
	}
	new_queue->available_seen = next_available(new_queue);
	*queue = new_queue;
	return 0;
}

void virtqueue_free(struct virtqueue *queue)
{
	if (queue == NULL)
		return;
	if (queue->log != NULL)
		inflight_log_free(queue->log, queue->broken == NULL && queue->in_flight == 0 &&
						      queue->published == queue->next_used &&
						      !inflight_log_pending(queue->log));
	munmap(queue->extents, extents_bytes(queue->size));
	free(queue);
}

void virtqueue_break(struct virtqueue *queue, const char *reason)
{
	if (queue->broken == NULL)
		queue->broken = reason;
}

static int virtqueue_violation(struct virtqueue *queue, const char *reason)
{
	virtqueue_break(queue, reason);
	return -EPROTO;
}

/* A chain longer than there is room for: its last extent comes to hold this one as well. */
static __attribute__((noinline, cold)) void chain_widen_extent(struct virtqueue *queue, uint16_t head,
							       uint64_t address, uint64_t size)
{
	struct virtqueue_extent *last = extent_of(queue, head, VIRTQUEUE_EXTENTS_MAX - 1);
	uint64_t end = address + size;

	if (end < last->address + last->size)
		end = last->address + last->size;
	if (address < last->address)
		last->address = address;
	last->size = end - last->address;
}

/* Notes what the device may write. size: not 0. */
static inline void chain_note_extent(struct virtqueue *queue, struct virtqueue_token *token, uint64_t address,
				     uint64_t size)
{
	struct virtqueue_extent *extent;

	if (token->extents == VIRTQUEUE_EXTENTS_MAX) {
		chain_widen_extent(queue, token->head, address, size);
		return;
	}
	extent = extent_of(queue, token->head, token->extents++);
	extent->address = address;
	extent->size = size;
}

/* Takes over one descriptor's buffer, which may lie across regions, as iovecs. Inlined, for it is on each one's way. */
static inline __attribute__((always_inline)) int
chain_add(struct virtqueue *queue, struct virtqueue_chain *chain, const struct virtq_desc *descriptor)
{
	bool writable = (descriptor->flags & VIRTQ_DESC_F_WRITE) != 0;
	size_t used = chain->out_count + chain->in_count;
	uint64_t address = descriptor->addr;
	uint64_t left = descriptor->len;

	/* 2.7.4.2: device-readable descriptors come before device-writable ones. */
	if (!writable && chain->in_count > 0)
		return virtqueue_violation(queue,
					   "a device-readable descriptor follows a device-writable one");
	while (left > 0) {
		uint64_t contiguous;
		void *host = guest_memory_translate(queue->memory, address, &contiguous);

		if (host == NULL)
			return virtqueue_violation(queue, "a descriptor's buffer is outside of guest memory");
		if (used == VIRTQUEUE_IOV_MAX)
			return virtqueue_violation(queue, "a chain has too many buffers");
		if (contiguous > left)
			contiguous = left;
		chain->iov[used++] = (struct iovec){.iov_base = host, .iov_len = (size_t)contiguous};
		if (writable)
			chain->in_count++;
		else
			chain->out_count++;
		address += contiguous;
		left -= contiguous;
	}
	if (writable) {
		chain->in_bytes += descriptor->len;
		if (descriptor->len > 0)
			chain_note_extent(queue, &chain->token, descriptor->addr, descriptor->len);
	} else {
		chain->out_bytes += descriptor->len;
	}
	/* 2.7.5.2: a driver must not add a chain longer than 2^32 bytes in total. */
	if (chain->in_bytes + chain->out_bytes > UINT32_MAX)
		return virtqueue_violation(queue, "a chain is longer than 4 GiB");
	return 0;
}

/* A copy that the compiler must not replace by reading the source again: the driver may be writing there. */
static inline void snapshot(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	__asm__ volatile("" : : : "memory");
}

/* A snapshot of descriptor `index` of the queue's table. */
static inline struct virtq_desc table_load(const struct virtq_desc *table, uint32_t index)
{
	const struct virtq_desc *source = &table[index];

	return (struct virtq_desc){
		.addr = ring_load(source->addr),
		.len = ring_load(source->len),
		.flags = ring_load(source->flags),
		.next = ring_load(source->next),
	};
}

/* The same for an indirect table in several pieces of memory: a descriptor may lie across two of them. */
static int indirect_load(struct virtqueue *queue, uint64_t table, uint32_t index,
			 struct virtq_desc *descriptor)
{
	uint64_t address = table + (uint64_t)index * sizeof(*descriptor);
	uint8_t *to = (uint8_t *)descriptor;
	size_t left = sizeof(*descriptor);

	while (left > 0) {
		uint64_t contiguous;
		const void *host = guest_memory_translate(queue->memory, address, &contiguous);

		if (host == NULL)
			return virtqueue_violation(queue, "an indirect table is outside of guest memory");
		if (contiguous > left)
			contiguous = left;
		snapshot(to, host, (size_t)contiguous);
		to += contiguous;
		address += contiguous;
		left -= (size_t)contiguous;
	}
	return 0;
}

/* 2.7.5.3: a table of descriptors in place of the one that names it. */
static int chain_walk_indirect(struct virtqueue *queue, struct virtqueue_chain *chain,
			       const struct virtq_desc *named)
{
	uint32_t count = named->len / (uint32_t)sizeof(struct virtq_desc);
	const uint8_t *table; /* of any alignment */
	uint64_t contiguous, last;
	uint32_t index = 0;

	if (!queue->indirect)
		return virtqueue_violation(queue, "an indirect descriptor without the feature");
	if (named->len == 0 || named->len % sizeof(struct virtq_desc) != 0)
		return virtqueue_violation(queue, "an indirect table's length is not a multiple of 16");
	/* 2.7.5.3.1: "A driver MUST NOT set both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT". */
	if ((named->flags & VIRTQ_DESC_F_NEXT) != 0)
		return virtqueue_violation(queue, "an indirect descriptor has a next one");
	if (__builtin_add_overflow(named->addr, (uint64_t)named->len - 1, &last))
		return virtqueue_violation(queue, "an indirect table wraps around");
	/* Nearly always the table is in one piece, which is translated once. */
	table = guest_memory_translate(queue->memory, named->addr, &contiguous);
	if (table != NULL && contiguous < named->len)
		table = NULL;
	/* More descriptors than iovecs could only be empty ones, there to take our time. */
	for (uint32_t steps = 0; steps < count && steps < VIRTQUEUE_IOV_MAX; steps++) {
		struct virtq_desc descriptor;
		int result = 0;

		if (table != NULL)
			snapshot(&descriptor, table + index * sizeof(descriptor), sizeof(descriptor));
		else
			result = indirect_load(queue, named->addr, index, &descriptor);
		if (result < 0)
			return result;
		if ((descriptor.flags & VIRTQ_DESC_F_INDIRECT) != 0)
			return virtqueue_violation(queue, "an indirect table names another one");
		result = chain_add(queue, chain, &descriptor);
		if (result < 0)
			return result;
		if ((descriptor.flags & VIRTQ_DESC_F_NEXT) == 0)
			return 0;
		if (descriptor.next >= count)
			return virtqueue_violation(queue, "a next index is outside of its indirect table");
		index = descriptor.next;
	}
	return virtqueue_violation(queue, "an indirect chain loops, or is too long");
}

static int chain_walk(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	uint16_t index = chain->token.head;

	/* 2.7.5.3.1: a chain has at most Queue Size descriptors, so one that is longer loops. */
	for (uint32_t steps = 0; steps < queue->size; steps++) {
		struct virtq_desc descriptor = table_load(queue->descriptors, index);
		int result;

		if ((descriptor.flags & VIRTQ_DESC_F_INDIRECT) != 0)
			return chain_walk_indirect(queue, chain, &descriptor);
		result = chain_add(queue, chain, &descriptor);
		if (result < 0)
			return result;
		if ((descriptor.flags & VIRTQ_DESC_F_NEXT) == 0)
			return 0;
		if (descriptor.next >= queue->size)
			return virtqueue_violation(queue, "a next index is outside of the descriptor table");
		index = descriptor.next;
	}
	return virtqueue_violation(queue, "a chain loops");
}

/* Loads the driver's index when all that was seen is taken. 1: there is a chain, 0: none, -EPROTO. */
static inline int virtqueue_look(struct virtqueue *queue)
{
	uint16_t waiting = (uint16_t)(queue->available_seen - next_available(queue));

	if (waiting > 0)
		return 1;
	queue->available_seen = __atomic_load_n(&queue->available->idx, __ATOMIC_ACQUIRE);
	waiting = (uint16_t)(queue->available_seen - next_available(queue));
	if (waiting > queue->size)
		return virtqueue_violation(queue,
					   "the available index is further ahead than the queue is long");
	return waiting > 0;
}

/* The chains that a predecessor took and did not finish, as far as they are not taken again: they come next. */
static inline uint16_t virtqueue_unfinished(const struct virtqueue *queue)
{
	return queue->log == NULL ? 0 : (uint16_t)(queue->log->unfinished - queue->log->unfinished_next);
}

/* The head of the next new chain: 1, 0 when there is none, -EPROTO. */
static inline int virtqueue_next_head(struct virtqueue *queue, uint16_t *head)
{
	int result = virtqueue_look(queue);

	if (result <= 0)
		return result;
	*head = ring_load(queue->available->ring[next_available(queue) & (queue->size - 1)]);
	if (*head >= queue->size)
		return virtqueue_violation(queue, "an available entry is outside of the descriptor table");
	return 1;
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	struct virtqueue_token *token = &chain->token;
	uint16_t unfinished;
	int result;

	if (queue->broken != NULL)
		return -EPROTO;
	unfinished = virtqueue_unfinished(queue);
	if (unfinished > 0) {
		token->head = queue->log->heads[queue->log->unfinished_next];
	} else {
		result = virtqueue_next_head(queue, &token->head);
		if (result <= 0)
			return result;
	}
	/* A chain has at least one descriptor, and there are no more of them than this. */
	if (queue->in_flight == queue->size)
		return virtqueue_violation(queue, "more chains are available than there are descriptors");
	token->number = queue->taken - unfinished;
	token->length = 1;
	token->extents = 0;
	token->wrap_counter = true;
	chain->out_count = 0;
	chain->in_count = 0;
	chain->out_bytes = 0;
	chain->in_bytes = 0;
	result = chain_walk(queue, chain);
	if (result < 0)
		return result;
	queue->in_flight++;
	if (unfinished > 0) {
		queue->log->unfinished_next++;
		return 1;
	}
	if (queue->log != NULL)
		inflight_log_pop(queue->log, token->head);
	queue->taken++;
	return 1;
}

/* Back to where it came from: the available ring, or a predecessor's unfinished ones. */
void virtqueue_rewind(struct virtqueue *queue, const struct virtqueue_token *token)
{
	assert(queue->in_flight > 0 && token->number + 1 == virtqueue_taken(queue));
	queue->in_flight--;
	if (queue->log != NULL && !inflight_log_took_new(queue->log)) {
		queue->log->unfinished_next--;
		return;
	}
	queue->taken--;
	if (queue->log != NULL)
		inflight_log_rewind(queue->log, token->head);
}

void virtqueue_push(struct virtqueue *queue, const struct virtqueue_token *token, uint32_t written)
{
	struct virtq_used_elem *element = &queue->used->ring[queue->next_used & (queue->size - 1)];

	assert(queue->in_flight > 0);
	queue->in_flight--;
	if (queue->broken != NULL)
		return;
	/* A batch is never longer than the ring, unless a driver gives heads again that it never got back. */
	if (queue->log != NULL && queue->log->batch_count == queue->size)
		virtqueue_publish(queue);
	ring_store(element->id, (uint32_t)token->head);
	ring_store(element->len, written);
	queue->next_used++;
	CRASH_POINT(USED);
	if (queue->log != NULL)
		inflight_log_push(queue->log, token->head);
}

void virtqueue_publish(struct virtqueue *queue)
{
	if (queue->published == queue->next_used)
		return;
	/* Release: the driver that sees this index sees the elements, and the data behind them. */
	__atomic_store_n(&queue->used->idx, queue->next_used, __ATOMIC_RELEASE);
	queue->published = queue->next_used;
	CRASH_POINT(PUBLISHED);
	if (queue->log != NULL)
		inflight_log_publish(queue->log, queue->published);
}

/* 2.7.10.1: whether the driver asked for an interrupt at one of the entries [old, new). */
static bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
	uint16_t old_index = queue->notified;
	uint16_t new_index = queue->published;

	if (!queue->event_idx)
		return (ring_load(queue->available->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT) == 0;
	return (uint16_t)(new_index - ring_load(*ring_used_event(queue)) - 1) <
	       (uint16_t)(new_index - old_index);
}

bool virtqueue_writable(const struct virtqueue *queue, const struct virtqueue_token *token, uint16_t n,
			struct virtqueue_extent *extent)
{
	if (n >= token->extents)
		return false;
	*extent = *extent_of(queue, token->head, n);
	return true;
}

uint64_t virtqueue_taken(const struct virtqueue *queue)
{
	return queue->taken - virtqueue_unfinished(queue);
}

void virtqueue_count_on(struct virtqueue *queue, uint64_t taken)
{
	int16_t ahead = (int16_t)((uint16_t)virtqueue_taken(queue) - (uint16_t)taken);
	uint64_t counted = taken + (uint64_t)(int64_t)ahead;

	assert(queue->in_flight == 0);
	/* Not before the first chain of all. */
	if (ahead >= 0 || counted < taken)
		queue->taken = counted + virtqueue_unfinished(queue);
}

bool virtqueue_served_before(const struct virtqueue *queue)
{
	return queue->served_before;
}

void virtqueue_interrupt(struct virtqueue *queue)
{
	if (queue->call_fd >= 0)
		eventfd_write(queue->call_fd, 1);
}

bool virtqueue_complete(struct virtqueue *queue)
{
	bool wanted;

	virtqueue_publish(queue);
	if (queue->notified == queue->published)
		return false;
	/* Our index is written, the driver's wish is read: the driver does it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wanted = virtqueue_wants_interrupt(queue);
	queue->notified = queue->published;
	CRASH_POINT(INTERRUPT);
	if (wanted)
		virtqueue_interrupt(queue);
	CRASH_POINT(INTERRUPTED);
	return wanted;
}

void virtqueue_disable_kicks(struct virtqueue *queue)
{
	/* With EVENT_IDX the event index simply stays behind: no kick comes until it is moved. */
	if (!queue->event_idx)
		ring_store(queue->used->flags, VIRTQ_USED_F_NO_NOTIFY);
}

bool virtqueue_enable_kicks(struct virtqueue *queue)
{
	if (queue->broken != NULL)
		return false;
	if (queue->event_idx)
		ring_store(*ring_avail_event(queue), next_available(queue));
	else
		ring_store(queue->used->flags, 0);
	CRASH_POINT(KICKS);
	/* Our wish is written, the driver's index is read: a chain made available in between is seen or
	 * kicked. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtqueue_ready(queue);
}

bool virtqueue_ready(const struct virtqueue *queue)
{
	return queue->broken == NULL &&
	       (virtqueue_unfinished(queue) > 0 || ring_load(queue->available->idx) != next_available(queue));
}

void virtqueue_kick_drain(struct virtqueue *queue)
{
	eventfd_t count;

	if (queue->kick_fd >= 0)
		eventfd_read(queue->kick_fd, &count);
}

int virtqueue_kick_fd(const struct virtqueue *queue)
{
	return queue->kick_fd;
}

uint16_t virtqueue_size(const struct virtqueue *queue)
{
	return queue->size;
}

uint16_t virtqueue_next_available(const struct virtqueue *queue)
{
	return next_available(queue);
}

const char *virtqueue_broken(const struct virtqueue *queue)
{
	return queue->broken;
}
