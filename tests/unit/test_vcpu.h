/*
 * A vCPU's thread for tests of the core's parts: it does one thing at a time, while the test runs the loop.
 */
#ifndef ATOLL_TESTS_UNIT_TEST_VCPU_H
#define ATOLL_TESTS_UNIT_TEST_VCPU_H

#include <pthread.h>
#include <stdbool.h>

static struct {
	pthread_t thread;
	void (*act)(void);
	_Atomic bool done;
} vcpu;

static void *vcpu_run(void *argument)
{
	(void)argument;
	vcpu.act();
	vcpu.done = true;
	return NULL;
}

static inline void vcpu_begin(void (*act)(void))
{
	vcpu.act = act;
	vcpu.done = false;
	assert_int_equal(pthread_create(&vcpu.thread, NULL, vcpu_run, NULL), 0);
}

/* Once vcpu.done, for which the test's own loop waits. */
static inline void vcpu_join(void)
{
	pthread_join(vcpu.thread, NULL);
}

#endif
