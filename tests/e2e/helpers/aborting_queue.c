/*
 * Linked with --wrap=virtqueue_pop: the thread of a queue that aborts at its 300th request. By a failed assertion; with
 * ABORT_BY_HEAP by what the C library finds wrong with the heap, of which it tells first; with VIOLATE it does not
 * abort, but makes another call that it may not.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/ring/virtqueue.h"

#define REQUESTS 300

__typeof__(virtqueue_pop) __real_virtqueue_pop, __wrap_virtqueue_pop;

static void come_to_an_end(void)
{
#if defined(ABORT_BY_HEAP)
	static char no_heap[64];
	char *volatile inside = no_heap + 16;

	free(inside);
#elif defined(VIOLATE)
	open("/etc/passwd", O_RDONLY | O_CLOEXEC);
#else
	assert(!"this is to fail");
#endif
}

int __wrap_virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	static unsigned calls;

	if (++calls == REQUESTS)
		come_to_an_end();
	return __real_virtqueue_pop(queue, chain);
}
