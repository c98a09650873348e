/*
 * The inflight region: see inflight.h. Here is what happens once: mapping, and taking over from a predecessor.
 *
 * What a predecessor can have left, wherever it died: its entries are marked as it took chains, each behind its
 * counter; a batch of used elements is linked head to head, shown to the driver by the ring's used index, cleared here
 * entry by entry, and recorded by our copy of that index. So if the two indices differ, the driver has seen a batch
 * that may not be cleared, as many entries as they differ by, to be found from last_batch_head on. All other marked
 * entries were never shown, and are to be done again.
 */
#include "common/ring/inflight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/sealed_memfd.h"
#include "common/spec/virtio_spec.h"

#define inflight_load(location) __atomic_load_n(&(location), __ATOMIC_RELAXED)

/* So many chains no process can have taken; a counter beyond it would let ours wrap around. */
#define COUNTER_MAX (UINT64_MAX / 2)

/* --- The region --- */

uint64_t inflight_region_size(uint16_t queues, uint16_t queue_size)
{
	if (queue_size == 0 || queue_size > VIRTQUEUE_SIZE_MAX)
		return 0;
	return (uint64_t)queues * VHOST_USER_INFLIGHT_QUEUE_SIZE(queue_size);
}

int inflight_region_create(uint16_t queues, uint16_t queue_size, int *fd)
{
	uint64_t size = inflight_region_size(queues, queue_size);

	return size == 0 ? -EINVAL : sealed_memfd_create("inflight", size, fd);
}

int inflight_region_map(struct inflight_region *region, const struct vhost_user_inflight *description, int fd)
{
	uint64_t needed = inflight_region_size(description->num_queues, description->queue_size);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), within = description->mmap_offset & (page - 1), end;
	struct inflight_region new_region = {
		.mapping_size = (size_t)(within + needed),
		.queues = description->num_queues,
		.queue_size = description->queue_size,
	};
	struct stat status;

	/* Aligned for the counters, large enough for what it is to hold, and all of it there: no SIGBUS. */
	if (needed == 0 || description->mmap_size < needed || within % sizeof(uint64_t) != 0 ||
	    __builtin_add_overflow(description->mmap_offset, needed, &end) || end > INT64_MAX)
		return -EINVAL;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size < end)
		return -EINVAL;
	new_region.mapping = mmap(NULL, new_region.mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				  (off_t)(description->mmap_offset - within));
	if (new_region.mapping == MAP_FAILED)
		return -errno;
	new_region.host = (uint8_t *)new_region.mapping + within;
	*region = new_region;
	return 0;
}

void inflight_region_unmap(struct inflight_region *region)
{
	if (region->mapping != NULL)
		munmap(region->mapping, region->mapping_size);
	*region = (struct inflight_region){0};
}

struct vhost_user_inflight_queue *inflight_region_queue(const struct inflight_region *region, uint16_t index,
							uint16_t size)
{
	if (index >= region->queues || size > region->queue_size)
		return NULL;
	return (struct vhost_user_inflight_queue *)(void *)(region->host +
							    index * VHOST_USER_INFLIGHT_QUEUE_SIZE(
									    region->queue_size));
}

void inflight_region_reset(struct inflight_region *region)
{
	for (uint16_t i = 0; i < region->queues; i++)
		inflight_store(inflight_region_queue(region, i, 1)->version, 0);
}

/* --- Taking over --- */

static int refuse(const char *what, uint64_t value)
{
	log_error("the inflight region is not one that a predecessor can have left: %s (%" PRIu64 ")", what,
		  value);
	return -EBADMSG;
}

/* What is known of an entry while it is judged. */
struct entry {
	uint16_t head;
	bool published; /* of the last batch: the driver has seen it */
	uint64_t counter;
};

static int by_counter(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	return a->counter < b->counter ? -1 : a->counter > b->counter;
}

/* The entries of the batch that the driver has seen and our copy of the index has not, into log->batch. */
static int batch_walk(struct inflight_log *log, uint16_t count, struct entry *entries)
{
	uint16_t head = log->batch_head;

	if (count > log->size)
		return refuse("its used index is too far from the ring's", count);
	for (uint16_t i = 0; i < count; i++) {
		if (head >= log->size)
			return refuse("its last batch names a descriptor that does not exist", head);
		if (entries[head].published)
			return refuse("its last batch names a descriptor twice", head);
		entries[head].published = true;
		log->batch[i] = head;
		head = inflight_load(log->shared->entries[head].next);
	}
	log->batch_count = count;
	return 0;
}

/* What is to be done again, in its order, into log->heads; and the counter to go on with. */
static int entries_collect(struct inflight_log *log, struct entry *entries)
{
	uint16_t count = 0;

	for (uint16_t head = 0; head < log->size; head++) {
		uint8_t marked = inflight_load(log->shared->entries[head].inflight);
		uint64_t counter = inflight_load(log->shared->entries[head].counter);

		if (marked > 1)
			return refuse("a mark is neither 0 nor 1", marked);
		if (counter > COUNTER_MAX)
			return refuse("a counter is too large", counter);
		if (counter >= log->counter)
			log->counter = counter + 1;
		/* count <= head: nothing is overwritten before it was looked at. */
		if (marked && !entries[head].published)
			entries[count++] = (struct entry){.head = head, .counter = counter};
	}
	qsort(entries, count, sizeof(*entries), by_counter);
	for (uint16_t i = 0; i < count; i++) {
		if (i > 0 && entries[i].counter == entries[i - 1].counter)
			return refuse("two chains have one counter", entries[i].counter);
		log->heads[i] = entries[i].head;
	}
	log->unfinished = count;
	return 0;
}

static int log_recover(struct inflight_log *log, uint16_t used_index)
{
	struct vhost_user_inflight_queue *shared = log->shared;
	uint16_t recorded = inflight_load(shared->used_idx), desc_num = inflight_load(shared->desc_num);
	uint64_t features = inflight_load(shared->features);
	struct entry *entries;
	int result;

	if (features != 0)
		return refuse("it has features", features);
	if (desc_num != log->size)
		return refuse("it is for a queue of another size", desc_num);
	entries = calloc(log->size, sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	log->batch_head = inflight_load(shared->last_batch_head);
	result = batch_walk(log, (uint16_t)(used_index - recorded), entries);
	if (result == 0)
		result = entries_collect(log, entries);
	free(entries);
	if (result < 0)
		return result;
	for (uint16_t i = 0; i < log->batch_count; i++) {
		inflight_store(shared->entries[log->batch[i]].inflight, 0);
		CRASH_POINT(RECOVER_CLEARED);
	}
	log->batch_count = 0;
	inflight_store(shared->used_idx, used_index);
	log->recovered = true;
	CRASH_POINT(RECOVERED);
	return 0;
}

/* The version comes last: a successor that does not find it starts afresh too. */
static void log_start(struct inflight_log *log, uint16_t used_index)
{
	struct vhost_user_inflight_queue *shared = log->shared;

	inflight_store(shared->features, 0);
	inflight_store(shared->desc_num, log->size);
	inflight_store(shared->last_batch_head, 0);
	/* The ring's own: a zero here would later be taken for a batch of as many elements as the ring has seen. */
	inflight_store(shared->used_idx, used_index);
	for (uint16_t i = 0; i < log->size; i++) {
		inflight_store(shared->entries[i].inflight, 0);
		inflight_store(shared->entries[i].next, 0);
		inflight_store(shared->entries[i].counter, 0);
	}
	CRASH_POINT(FRESH);
	inflight_store(shared->version, VHOST_USER_INFLIGHT_VERSION);
}

int inflight_log_new(struct vhost_user_inflight_queue *shared, uint16_t size, uint16_t used_index,
		     struct inflight_log **log)
{
	struct inflight_log *new_log = calloc(1, sizeof(*new_log) + 2u * size * sizeof(new_log->heads[0]));
	uint16_t version = __atomic_load_n(&shared->version, __ATOMIC_ACQUIRE);
	int result = 0;

	if (new_log == NULL)
		return -ENOMEM;
	new_log->shared = shared;
	new_log->size = size;
	new_log->batch = new_log->heads + size;
	if (version == 0)
		log_start(new_log, used_index);
	else if (version == VHOST_USER_INFLIGHT_VERSION)
		result = log_recover(new_log, used_index);
	else
		result = refuse("its version is unknown", version);
	if (result < 0) {
		free(new_log);
		return result;
	}
	new_log->first_counter = new_log->counter;
	*log = new_log;
	return 0;
}

void inflight_log_free(struct inflight_log *log, bool retire)
{
	if (log == NULL)
		return;
	if (retire) {
		inflight_store(log->shared->version, 0);
		CRASH_POINT(RETIRED);
	}
	free(log);
}
