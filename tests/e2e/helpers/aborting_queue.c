/* Linked with --wrap=virtqueue_pop: the thread of a queue that aborts, as by a failed assertion, at its 300th request. */
#include <stdlib.h>

#include "common/virtqueue.h"

#define REQUESTS 300

__typeof__(virtqueue_pop) __real_virtqueue_pop, __wrap_virtqueue_pop;

int __wrap_virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	static unsigned calls;

	if (++calls == REQUESTS)
		abort();
	return __real_virtqueue_pop(queue, chain);
}
