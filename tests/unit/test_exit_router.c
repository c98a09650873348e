/*
 * The exit router: who gets an access, what straddles, and readers that look up while ranges come and go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_to_the_claimant),     cmocka_unit_test(straddling_belongs_to_nobody),
		cmocka_unit_test(the_last_byte_of_the_space), cmocka_unit_test(overlaps_are_refused),
		cmocka_unit_test(a_range_moves_itself),	      cmocka_unit_test(readers_while_ranges_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
