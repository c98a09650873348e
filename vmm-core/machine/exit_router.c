/*
 * The exit router.
 *
 * A table is an array sorted by space and base, found through one atomic pointer. A reader has a mark, a word that nobody
 * else writes. It marks itself as inside a look-up, loads the pointer, searches, copies the entry, and marks itself
 * as in a call of that claim, which it takes back after the call: three stores, and some dozens of instructions
 * on memory that nobody writes. A writer fills the other of two tables, swaps the pointer, and waits for each reader that
 * was inside to have left before the old one becomes the other. Both are as large as the machine can need: a writer may be
 * a vCPU, which allocates nothing. Marking before loading, and swapping before looking at the marks, are sequentially
 * consistent, so one of the two sides always sees the other.
 *
 * Each claim has a number of its own. When the readers that could hold the old table have left it, one that found the
 * range there is in its call or through with it, and a release waits for those who are in it. It leaves the reader out that
 * it is itself, if any: a reader notes its thread, once.
 */
#include "vmm-core/machine/exit_router.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_COUNTERS_MAX 64
#define EXIT_NAME_MAX	  32
/* A slot of the bus has six BARs at most; what a PC has at fixed places is not half as many. */
#define EXIT_RANGES_MAX (32 * 6 + 64)
/* How often a writer looks again before it sleeps: a reader inside is on its way out, unless it lost its processor. */
#define EXIT_LOOKS_MAX 1000
#define CACHE_LINE     64

/* Counters that no range owns. */
enum {
	COUNTER_UNCLAIMED_PIO,
	COUNTER_UNCLAIMED_MMIO,
	COUNTER_RANGES,
};

struct exit_entry {
	struct exit_range range;
	uint32_t claim; /* its number; never 0 */
	unsigned counter;
};

struct exit_table {
	size_t count;
	struct exit_entry entries[EXIT_RANGES_MAX];
};

/* What one vCPU thread writes; nobody else does. */
struct exit_reader {
	_Alignas(CACHE_LINE) _Atomic uint64_t mark; /* below */
	_Atomic(const char *) thread;		    /* exit_thread's address in the thread that it is */
	_Atomic uint64_t counters[EXIT_COUNTERS_MAX];
};

struct exit_router {
	_Atomic(struct exit_table *) table; /* one of the two */
	struct exit_table tables[2];
	pthread_mutex_t writers;
	uint32_t last_claim;
	unsigned reader_count;
	struct exit_reader *readers;
	char counter_names[EXIT_COUNTERS_MAX][EXIT_NAME_MAX];
	unsigned counter_count;
};

/* Nothing but an address of each thread's own. */
static _Thread_local char exit_thread;

/*
 * A mark: bit 0 while the reader is inside a look-up, bits 1 to 32 the claim that it calls, or 0, above them the look-up's
 * number, so that two look-ups have different marks. Numbers come again, after hours: a writer does not look away so
 * long, and two claims of one number are waited for both.
 */
#define MARK_INSIDE	 UINT64_C(1)
#define MARK_CLAIM_SHIFT 1
#define MARK_NUMBER	 (UINT64_C(1) << 33)

static uint32_t mark_claim(uint64_t mark)
{
	return (uint32_t)(mark >> MARK_CLAIM_SHIFT);
}

struct exit_router *exit_router_new(unsigned readers)
{
	struct exit_router *router = calloc(1, sizeof(*router));

	if (router == NULL)
		return NULL;
	router->readers = aligned_alloc(CACHE_LINE, (readers > 0 ? readers : 1) * sizeof(struct exit_reader));
	router->table = &router->tables[0];
	if (router->readers == NULL) {
		free(router);
		errno = ENOMEM;
		return NULL;
	}
	memset(router->readers, 0, (readers > 0 ? readers : 1) * sizeof(struct exit_reader));
	router->reader_count = readers;
	pthread_mutex_init(&router->writers, NULL);
	strcpy(router->counter_names[COUNTER_UNCLAIMED_PIO], "unclaimed-pio");
	strcpy(router->counter_names[COUNTER_UNCLAIMED_MMIO], "unclaimed-mmio");
	router->counter_count = COUNTER_RANGES;
	return router;
}

void exit_router_free(struct exit_router *router)
{
	if (router == NULL)
		return;
	pthread_mutex_destroy(&router->writers);
	free(router->readers);
	free(router);
}

/* --- Writers --- */

/* Ranges of one name share a counter, which stays when they go: a BAR that moves goes on counting. */
static int exit_counter(struct exit_router *router, const char *name, unsigned *counter)
{
	for (unsigned i = COUNTER_RANGES; i < router->counter_count; i++) {
		if (strcmp(router->counter_names[i], name) == 0) {
			*counter = i;
			return 0;
		}
	}
	if (router->counter_count == EXIT_COUNTERS_MAX || strlen(name) >= EXIT_NAME_MAX)
		return -ENOSPC;
	strcpy(router->counter_names[router->counter_count], name);
	*counter = router->counter_count++;
	return 0;
}

/* The one to fill. The lock is held. */
static struct exit_table *exit_table_other(struct exit_router *router, const struct exit_table *table)
{
	return table == &router->tables[0] ? &router->tables[1] : &router->tables[0];
}

/* Between two looks at a mark. By poll(2), which a vCPU calls anyway. */
static void exit_look_away(unsigned *looks)
{
	if (++*looks > EXIT_LOOKS_MAX)
		poll(NULL, 0, 1);
}

/* Puts the new table in place, and returns when no reader can hold the old one. */
static void exit_table_swap(struct exit_router *router, struct exit_table *table)
{
	atomic_store(&router->table, table);
	for (unsigned i = 0; i < router->reader_count; i++) {
		uint64_t mark = atomic_load(&router->readers[i].mark);
		unsigned looks = 0;

		while ((mark & MARK_INSIDE) != 0 && atomic_load(&router->readers[i].mark) == mark)
			exit_look_away(&looks);
	}
}

/*
 * Returns when nobody else is in a call of a claim that the table has no more. Without the lock: those who are in one
 * may claim and release in it.
 */
static void exit_calls_end(struct exit_router *router, uint32_t claim)
{
	for (unsigned i = 0; i < router->reader_count; i++) {
		struct exit_reader *reader = &router->readers[i];
		unsigned looks = 0;

		if (atomic_load_explicit(&reader->thread, memory_order_relaxed) == &exit_thread)
			continue;
		while (mark_claim(atomic_load(&reader->mark)) == claim)
			exit_look_away(&looks);
	}
}

static bool exit_before(const struct exit_range *range, enum exit_space space, uint64_t address)
{
	return range->space != space ? range->space < space : range->base + (range->size - 1) < address;
}

int exit_router_claim(struct exit_router *router, const struct exit_range *range)
{
	struct exit_table *old, *table;
	uint64_t last;
	unsigned counter;
	size_t at = 0;
	int result;

	if (range->size == 0 || __builtin_add_overflow(range->base, range->size - 1, &last) ||
	    (range->space == EXIT_SPACE_PIO && last > UINT16_MAX))
		return -EINVAL;
	pthread_mutex_lock(&router->writers);
	old = atomic_load(&router->table);
	while (at < old->count && exit_before(&old->entries[at].range, range->space, range->base))
		at++;
	result = -EEXIST;
	if (at < old->count && old->entries[at].range.space == range->space &&
	    old->entries[at].range.base <= last)
		goto unlock;
	result = old->count < EXIT_RANGES_MAX ? exit_counter(router, range->name, &counter) : -ENOSPC;
	if (result < 0)
		goto unlock;
	table = exit_table_other(router, old);
	table->count = old->count + 1;
	memcpy(table->entries, old->entries, at * sizeof(table->entries[0]));
	if (++router->last_claim == 0)
		router->last_claim = 1;
	table->entries[at] =
		(struct exit_entry){.range = *range, .claim = router->last_claim, .counter = counter};
	memcpy(table->entries + at + 1, old->entries + at, (old->count - at) * sizeof(table->entries[0]));
	exit_table_swap(router, table);
	result = 0;
unlock:
	pthread_mutex_unlock(&router->writers);
	return result;
}

int exit_router_release(struct exit_router *router, enum exit_space space, uint64_t base)
{
	struct exit_table *old, *table;
	uint32_t claim = 0;
	size_t at = 0;
	int result = -ENOENT;

	pthread_mutex_lock(&router->writers);
	old = atomic_load(&router->table);
	while (at < old->count &&
	       (old->entries[at].range.space != space || old->entries[at].range.base != base))
		at++;
	if (at == old->count)
		goto unlock;
	claim = old->entries[at].claim;
	table = exit_table_other(router, old);
	table->count = old->count - 1;
	memcpy(table->entries, old->entries, at * sizeof(table->entries[0]));
	memcpy(table->entries + at, old->entries + at + 1, (old->count - at - 1) * sizeof(table->entries[0]));
	exit_table_swap(router, table);
	result = 0;
unlock:
	pthread_mutex_unlock(&router->writers);
	if (result == 0)
		exit_calls_end(router, claim);
	return result;
}

/* --- Readers --- */

static const struct exit_entry *exit_search(const struct exit_table *table, enum exit_space space,
					    uint64_t address)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (exit_before(&table->entries[middle].range, space, address))
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count ? &table->entries[low] : NULL;
}

/* Finds who has [address, +size) as a whole, and counts the access. When found, the call has begun, and goes on until
 * *mark is the reader's. */
static bool exit_call_begin(struct exit_router *router, unsigned reader, enum exit_space space,
			    uint64_t address, unsigned size, struct exit_range *range, uint64_t *mark)
{
	struct exit_reader *self = &router->readers[reader];
	uint64_t number = atomic_load_explicit(&self->mark, memory_order_relaxed) + MARK_NUMBER;
	unsigned counter = space == EXIT_SPACE_PIO ? COUNTER_UNCLAIMED_PIO : COUNTER_UNCLAIMED_MMIO;
	const struct exit_entry *entry;
	uint64_t claim = 0;
	bool found;

	if (atomic_load_explicit(&self->thread, memory_order_relaxed) != &exit_thread)
		atomic_store_explicit(&self->thread, &exit_thread, memory_order_relaxed);
	atomic_store(&self->mark, number | MARK_INSIDE);
	entry = exit_search(atomic_load(&router->table), space, address);
	found = entry != NULL && entry->range.space == space && address >= entry->range.base &&
		size <= entry->range.size && address - entry->range.base <= entry->range.size - size;
	if (found) {
		*range = entry->range;
		counter = entry->counter;
		claim = entry->claim;
	}
	atomic_store_explicit(&self->mark, number | claim << MARK_CLAIM_SHIFT, memory_order_release);
	*mark = number;
	atomic_store_explicit(&self->counters[counter],
			      atomic_load_explicit(&self->counters[counter], memory_order_relaxed) + 1,
			      memory_order_relaxed);
	return found;
}

static void exit_call_end(struct exit_router *router, unsigned reader, uint64_t mark)
{
	atomic_store_explicit(&router->readers[reader].mark, mark, memory_order_release);
}

void exit_router_read(struct exit_router *router, unsigned reader, enum exit_space space, uint64_t address,
		      void *data, unsigned size)
{
	struct exit_range range;
	uint64_t mark;

	if (!exit_call_begin(router, reader, space, address, size, &range, &mark)) {
		memset(data, 0xff, size);
		return;
	}
	range.ops->read(range.owner, address - range.base, data, size);
	exit_call_end(router, reader, mark);
}

void exit_router_write(struct exit_router *router, unsigned reader, enum exit_space space, uint64_t address,
		       const void *data, unsigned size)
{
	struct exit_range range;
	uint64_t mark;

	if (!exit_call_begin(router, reader, space, address, size, &range, &mark))
		return;
	range.ops->write(range.owner, address - range.base, data, size);
	exit_call_end(router, reader, mark);
}

void exit_router_counters(struct exit_router *router,
			  void (*each)(void *argument, const char *name, uint64_t value), void *argument)
{
	pthread_mutex_lock(&router->writers);
	for (unsigned i = 0; i < router->counter_count; i++) {
		uint64_t value = 0;

		for (unsigned reader = 0; reader < router->reader_count; reader++)
			value += atomic_load_explicit(&router->readers[reader].counters[i],
						      memory_order_relaxed);
		each(argument, router->counter_names[i], value);
	}
	pthread_mutex_unlock(&router->writers);
}
