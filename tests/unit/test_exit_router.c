/*
 * The exit router: who gets an access, what straddles, readers that look up while ranges come and go, and releases
 * that wait for the calls in progress.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/machine/exit_router.h"

struct place {
	uint64_t last_offset;
	unsigned last_size;
	uint64_t last_value;
	_Atomic unsigned reads;
	_Atomic unsigned writes;
	uint8_t fill;
};

static void place_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct place *place = owner;

	place->last_offset = offset;
	place->last_size = size;
	atomic_fetch_add(&place->reads, 1);
	memset(data, place->fill, size);
}

static void place_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct place *place = owner;

	place->last_offset = offset;
	place->last_value = 0;
	memcpy(&place->last_value, data, size);
	atomic_fetch_add(&place->writes, 1);
}

static const struct exit_ops place_ops = {.read = place_read, .write = place_write};

static int claim(struct exit_router *router, enum exit_space space, uint64_t base, uint64_t size,
		 struct place *place, const char *name)
{
	struct exit_range range = {space, base, size, &place_ops, place, name};

	return exit_router_claim(router, &range);
}

struct counter_query {
	const char *name;
	uint64_t value;
	bool found;
};

static void counter_look(void *argument, const char *name, uint64_t value)
{
	struct counter_query *query = argument;

	if (strcmp(query->name, name) == 0) {
		assert_false(query->found);
		query->found = true;
		query->value = value;
	}
}

static uint64_t counter(struct exit_router *router, const char *name)
{
	struct counter_query query = {.name = name};

	exit_router_counters(router, counter_look, &query);
	assert_true(query.found);
	return query.value;
}

static void routes_to_the_claimant(void **state)
{
	struct exit_router *router = exit_router_new(2);
	struct place low = {.fill = 1}, high = {.fill = 2}, port = {.fill = 3};
	uint32_t value = 0;

	(void)state;
	/* Claimed out of order. */
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x3000, 0x1000, &high, "high"), 0);
	assert_int_equal(claim(router, EXIT_SPACE_PIO, 0x3f8, 8, &port, "port"), 0);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x1000, 0x1000, &low, "low"), 0);

	exit_router_read(router, 0, EXIT_SPACE_MMIO, 0x1ffc, &value, 4);
	assert_int_equal(value, 0x01010101);
	assert_int_equal(low.last_offset, 0xffc);
	exit_router_read(router, 1, EXIT_SPACE_MMIO, 0x3000, &value, 4);
	assert_int_equal(value, 0x02020202);
	assert_int_equal(high.last_offset, 0);
	value = 0xaabb;
	exit_router_write(router, 0, EXIT_SPACE_PIO, 0x3fe, &value, 2);
	assert_int_equal(port.last_offset, 6);
	assert_int_equal(port.last_value, 0xaabb);
	/* The spaces are apart. */
	exit_router_read(router, 0, EXIT_SPACE_MMIO, 0x3f8, &value, 1);
	assert_int_equal(value & 0xff, 0xff);
	assert_int_equal(port.reads, 0);

	assert_int_equal(counter(router, "low"), 1);
	assert_int_equal(counter(router, "high"), 1);
	assert_int_equal(counter(router, "port"), 1);
	assert_int_equal(counter(router, "unclaimed-mmio"), 1);
	assert_int_equal(counter(router, "unclaimed-pio"), 0);
	exit_router_free(router);
}

static void straddling_belongs_to_nobody(void **state)
{
	struct exit_router *router = exit_router_new(1);
	struct place place = {.fill = 7}, tiny = {.fill = 9};
	uint64_t value = 0;

	(void)state;
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x1000, 0x1000, &place, "place"), 0);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x5000, 2, &tiny, "tiny"), 0);
	exit_router_read(router, 0, EXIT_SPACE_MMIO, 0x1ffd, &value, 4);
	assert_int_equal(value, 0xffffffff);
	exit_router_read(router, 0, EXIT_SPACE_MMIO, 0xffe, &value, 4);
	assert_int_equal(value, 0xffffffff);
	/* Wider than the range. */
	exit_router_read(router, 0, EXIT_SPACE_MMIO, 0x5000, &value, 8);
	assert_true(value == UINT64_MAX);
	exit_router_write(router, 0, EXIT_SPACE_MMIO, 0x1fff, &value, 2);
	assert_int_equal(place.writes, 0);
	assert_int_equal(place.reads, 0);
	assert_int_equal(counter(router, "unclaimed-mmio"), 4);
	exit_router_free(router);
}

static void the_last_byte_of_the_space(void **state)
{
	struct exit_router *router = exit_router_new(1);
	struct place place = {.fill = 5};
	uint64_t value = 0;

	(void)state;
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, UINT64_MAX - 0xfff, 0x1000, &place, "top"), 0);
	exit_router_read(router, 0, EXIT_SPACE_MMIO, UINT64_MAX, &value, 1);
	assert_int_equal(value, 5);
	/* Past the end of all addresses. */
	exit_router_read(router, 0, EXIT_SPACE_MMIO, UINT64_MAX, &value, 4);
	assert_int_equal(value & 0xffffffff, 0xffffffff);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, UINT64_MAX - 0x10, 0x1000, &place, "x"), -EINVAL);
	assert_int_equal(claim(router, EXIT_SPACE_PIO, 0xfffc, 8, &place, "x"), -EINVAL);
	assert_int_equal(claim(router, EXIT_SPACE_PIO, 0, 0, &place, "x"), -EINVAL);
	exit_router_free(router);
}

static void overlaps_are_refused(void **state)
{
	struct exit_router *router = exit_router_new(1);
	struct place place = {0};

	(void)state;
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x1000, 0x1000, &place, "a"), 0);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x1000, 0x1000, &place, "b"), -EEXIST);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0xfff, 2, &place, "b"), -EEXIST);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x1fff, 2, &place, "b"), -EEXIST);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0, 0x10000, &place, "b"), -EEXIST);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x2000, 1, &place, "b"), 0);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0xfff, 1, &place, "b"), 0);
	assert_int_equal(exit_router_release(router, EXIT_SPACE_MMIO, 0x1001), -ENOENT);
	assert_int_equal(exit_router_release(router, EXIT_SPACE_PIO, 0x1000), -ENOENT);
	assert_int_equal(exit_router_release(router, EXIT_SPACE_MMIO, 0x1000), 0);
	assert_int_equal(claim(router, EXIT_SPACE_MMIO, 0x1000, 0x1000, &place, "a"), 0);
	exit_router_free(router);
}

/* A claimant that moves itself from within its own access, as a BAR does. */
static struct exit_router *moving_router;
static uint64_t moving_base;

static void moving_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct exit_range range = {EXIT_SPACE_MMIO, 0, 0x100, NULL, owner, "moving"};
	static const struct exit_ops ops = {.read = place_read, .write = moving_write};

	(void)offset, (void)size;
	assert_int_equal(exit_router_release(moving_router, EXIT_SPACE_MMIO, moving_base), 0);
	memcpy(&range.base, data, size);
	range.ops = &ops;
	moving_base = range.base;
	assert_int_equal(exit_router_claim(moving_router, &range), 0);
}

static void a_range_moves_itself(void **state)
{
	static const struct exit_ops ops = {.read = place_read, .write = moving_write};
	struct place place = {.fill = 4};
	struct exit_range range = {EXIT_SPACE_MMIO, 0x1000, 0x100, &ops, &place, "moving"};
	uint64_t to = 0x9000;
	uint8_t value;

	(void)state;
	moving_router = exit_router_new(1);
	moving_base = range.base;
	assert_int_equal(exit_router_claim(moving_router, &range), 0);
	exit_router_write(moving_router, 0, EXIT_SPACE_MMIO, 0x1000, &to, 8);
	exit_router_read(moving_router, 0, EXIT_SPACE_MMIO, 0x1000, &value, 1);
	assert_int_equal(value, 0xff);
	exit_router_read(moving_router, 0, EXIT_SPACE_MMIO, 0x9000, &value, 1);
	assert_int_equal(value, 4);
	/* The counter goes along. */
	assert_int_equal(counter(moving_router, "moving"), 2);
	exit_router_free(moving_router);
}

/* --- Readers against a writer --- */

#define STRESS_READERS 4
#define STRESS_MOVES   2000
#define STILL_BASE     UINT64_C(0x100000)

struct stress {
	struct exit_router *router;
	struct place still;
	struct place moving;
	_Atomic bool stop;
	_Atomic uint64_t bad;
	_Atomic uint64_t reads;
	_Atomic unsigned next_reader;
};

/* Writes nothing but the counter: several readers are in it at once. */
static void stress_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct place *place = owner;

	(void)offset;
	atomic_fetch_add(&place->reads, 1);
	memset(data, place->fill, size);
}

static int stress_claim(struct exit_router *router, uint64_t base, struct place *place, const char *name)
{
	static const struct exit_ops ops = {.read = stress_read, .write = place_write};
	struct exit_range range = {EXIT_SPACE_MMIO, base, 0x1000, &ops, place, name};

	return exit_router_claim(router, &range);
}

static void *stress_reader(void *argument)
{
	struct stress *stress = argument;
	unsigned reader = atomic_fetch_add(&stress->next_reader, 1);
	uint64_t reads = 0;

	while (!atomic_load(&stress->stop)) {
		uint8_t value = 0;

		/* What does not move is always found, and what moves is there or nobody's. */
		exit_router_read(stress->router, reader, EXIT_SPACE_MMIO, STILL_BASE, &value, 1);
		if (value != 1)
			atomic_fetch_add(&stress->bad, 1);
		exit_router_read(stress->router, reader, EXIT_SPACE_MMIO, 0x1000 + (reads % 16) * 0x1000,
				 &value, 1);
		if (value != 2 && value != 0xff)
			atomic_fetch_add(&stress->bad, 1);
		reads += 2;
	}
	atomic_fetch_add(&stress->reads, reads);
	return NULL;
}

static void readers_while_ranges_move(void **state)
{
	static struct stress stress = {.still = {.fill = 1}, .moving = {.fill = 2}};
	pthread_t threads[STRESS_READERS];
	uint64_t base = 0x1000;

	(void)state;
	stress.router = exit_router_new(STRESS_READERS);
	assert_int_equal(stress_claim(stress.router, STILL_BASE, &stress.still, "still"), 0);
	assert_int_equal(stress_claim(stress.router, base, &stress.moving, "moving"), 0);
	for (unsigned i = 0; i < STRESS_READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, stress_reader, &stress), 0);
	for (unsigned i = 0; i < STRESS_MOVES; i++) {
		assert_int_equal(exit_router_release(stress.router, EXIT_SPACE_MMIO, base), 0);
		base = 0x1000 + (i * 7 % 16) * 0x1000;
		assert_int_equal(stress_claim(stress.router, base, &stress.moving, "moving"), 0);
	}
	atomic_store(&stress.stop, true);
	for (unsigned i = 0; i < STRESS_READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stress.bad, 0);
	/* Each access was counted once. */
	assert_int_equal(counter(stress.router, "still") + counter(stress.router, "moving") +
				 counter(stress.router, "unclaimed-mmio"),
			 stress.reads);
	assert_int_equal(counter(stress.router, "still"), stress.still.reads);
	assert_int_equal(counter(stress.router, "moving"), stress.moving.reads);
	exit_router_free(stress.router);
}

/* --- Releases against calls in progress (5) --- */

/* A range whose reads last until they are let go of. */
struct gate {
	struct exit_router *router;
	uint64_t base;
	_Atomic unsigned inside;
	_Atomic bool open;
	_Atomic unsigned left; /* calls that were to their end when ... */
	_Atomic bool released;
	unsigned left_at_release; /* ... the release returned */
};

static void gate_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct gate *gate = owner;

	(void)offset;
	atomic_fetch_add(&gate->inside, 1);
	while (!gate->open)
		poll(NULL, 0, 1);
	memset(data, 6, size);
	atomic_fetch_add(&gate->left, 1);
}

static void *gate_release(void *argument)
{
	struct gate *gate = argument;

	assert_int_equal(exit_router_release(gate->router, EXIT_SPACE_MMIO, gate->base), 0);
	gate->left_at_release = gate->left;
	gate->released = true;
	return NULL;
}

/* A release from within a call of the range itself. */
static void gate_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	(void)offset, (void)data, (void)size;
	gate_release(owner);
}

static const struct exit_ops gate_ops = {.read = gate_read, .write = gate_write};

static void gate_new(struct gate *gate, unsigned readers)
{
	struct exit_range range = {EXIT_SPACE_MMIO, 0x1000, 0x1000, &gate_ops, gate, "gate"};

	*gate = (struct gate){.router = exit_router_new(readers), .base = range.base};
	assert_int_equal(exit_router_claim(gate->router, &range), 0);
}

static void *gate_reader(void *argument)
{
	struct gate *gate = argument;
	uint8_t value = 0;

	exit_router_read(gate->router, 0, EXIT_SPACE_MMIO, gate->base, &value, 1);
	assert_int_equal(value, 6);
	return NULL;
}

static void *gate_writer(void *argument)
{
	struct gate *gate = argument;
	uint8_t value = 0;

	exit_router_write(gate->router, 1, EXIT_SPACE_MMIO, gate->base, &value, 1);
	return NULL;
}

/* `release` is begun while reader 0 is in a call, and returns when that call is over. */
static void release_during_a_call(void *(*release)(void *argument))
{
	static struct gate gate;
	pthread_t reader, releaser;
	struct place other = {.fill = 3};
	uint8_t value = 0;

	gate_new(&gate, 3);
	assert_int_equal(pthread_create(&reader, NULL, gate_reader, &gate), 0);
	while (gate.inside == 0)
		poll(NULL, 0, 1);
	assert_int_equal(pthread_create(&releaser, NULL, release, &gate), 0);
	/* Nobody else is held up: other ranges come, are used, and go. */
	assert_int_equal(claim(gate.router, EXIT_SPACE_MMIO, 0x8000, 0x1000, &other, "other"), 0);
	exit_router_read(gate.router, 2, EXIT_SPACE_MMIO, 0x8000, &value, 1);
	assert_int_equal(value, 3);
	assert_int_equal(exit_router_release(gate.router, EXIT_SPACE_MMIO, 0x8000), 0);
	/* One that does not wait has time to show it. */
	for (unsigned i = 0; i < 50 && !gate.released; i++)
		poll(NULL, 0, 1);
	gate.open = true;
	pthread_join(releaser, NULL);
	pthread_join(reader, NULL);
	assert_true(gate.released);
	assert_int_equal(gate.left_at_release, 1);
	exit_router_free(gate.router);
}

static void a_release_waits_for_calls(void **state)
{
	(void)state;
	release_during_a_call(gate_release);
}

static void a_release_from_within_waits_for_the_others(void **state)
{
	(void)state;
	release_during_a_call(gate_writer);
}

#define OWNER_MAGIC 0x6f776e65
#define OWNERS	    200

struct owner {
	_Atomic uint64_t *bad;
	uint32_t magic; /* as long as it is there */
};

static void owner_read(void *argument, uint64_t offset, void *data, unsigned size)
{
	const struct owner *owner = argument;
	_Atomic uint64_t *bad = owner->bad;

	(void)offset;
	for (unsigned i = 0; i < 4; i++) {
		if (owner->magic != OWNER_MAGIC)
			atomic_fetch_add(bad, 1);
		sched_yield();
	}
	memset(data, 2, size);
}

static void owner_write(void *argument, uint64_t offset, const void *data, unsigned size)
{
	uint64_t ignored;

	(void)data;
	owner_read(argument, offset, &ignored, size);
}

/* Owners that are gone as soon as the release returns, under readers that never stop. */
static void owners_go(void **state)
{
	static const struct exit_ops ops = {.read = owner_read, .write = owner_write};
	static struct stress stress = {.still = {.fill = 1}};
	pthread_t threads[STRESS_READERS];

	(void)state;
	stress.router = exit_router_new(STRESS_READERS);
	assert_int_equal(stress_claim(stress.router, STILL_BASE, &stress.still, "still"), 0);
	for (unsigned i = 0; i < STRESS_READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, stress_reader, &stress), 0);
	for (unsigned i = 0; i < OWNERS; i++) {
		struct owner *owner = malloc(sizeof(*owner));
		struct exit_range range = {EXIT_SPACE_MMIO, 0x1000, 0x10000, &ops, owner, "owner"};

		*owner = (struct owner){.bad = &stress.bad, .magic = OWNER_MAGIC};
		assert_int_equal(exit_router_claim(stress.router, &range), 0);
		sched_yield();
		assert_int_equal(exit_router_release(stress.router, EXIT_SPACE_MMIO, range.base), 0);
		owner->magic = 0;
		free(owner);
	}
	atomic_store(&stress.stop, true);
	for (unsigned i = 0; i < STRESS_READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stress.bad, 0);
	exit_router_free(stress.router);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_to_the_claimant),
		cmocka_unit_test(straddling_belongs_to_nobody),
		cmocka_unit_test(the_last_byte_of_the_space),
		cmocka_unit_test(overlaps_are_refused),
		cmocka_unit_test(a_range_moves_itself),
		cmocka_unit_test(readers_while_ranges_move),
		cmocka_unit_test(a_release_waits_for_calls),
		cmocka_unit_test(a_release_from_within_waits_for_the_others),
		cmocka_unit_test(owners_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
