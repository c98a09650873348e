/*
 * virtio-console: bytes from the transmit queue to the output, bytes from the output to the receive queue.
 *
 * Back-pressure runs both ways and nothing is dropped. A chain is taken from the transmit queue only while
 * the output has room; one that is longer than the room stays popped with a mark of how far it was taken, and
 * the queue waits for the output. Input is read when the driver has a buffer for it, as much as that holds; while
 * there is none the output is not asked for input, and the receive queue's next kick goes on.
 *
 * A queue that is stopped in the middle of a chain gives it back to the ring; the mark is kept, so that the
 * same chain goes on behind it when the queue starts again, and forgotten when the driver starts anew.
 *
 * Succession. Chains are given back in the order in which they came, one by one, and each step is committed to the
 * console's state (console_state.h) before the driver can see it. So where a successor starts, at the used index, is
 * where the state says, or one chain before:
 *
 *   transmit  a chain that is in the output as a whole, but was not given back, is given back without a look into it
 *   receive   a chain that was given input and was not given back is filled again, with the same input; when it
 *             was, that input counts as taken
 */
#include "dev-console/virtio_console.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/base/log.h"
#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"
#include "dev-console/virtio_console_spec.h"

#define CONSOLE_DRAIN_MS 1000
/* Chains taken at one kick. A driver that never stops shall not keep us from everything else: we then kick
 * ourselves. */
#define CONSOLE_BATCH 1024

struct virtio_console {
	struct loop *loop;
	struct output *output;
	struct console_state *state;
	struct vhost_user_backend *backend;
	void (*session_end)(void *argument, int error);
	void *argument;
	uint16_t columns;
	uint16_t rows;

	struct virtqueue *receiveq; /* NULL: stopped */
	struct virtqueue *transmitq;
	struct loop_watch *receive_kick;
	struct loop_watch *transmit_kick;

	bool transmitting; /* transmit_chain is in hand */
	bool served;	   /* a session was there */
	struct virtqueue_chain transmit_chain;
	struct virtqueue_chain receive_chain;
};

/* --- Transmit queue: the guest's output --- */

/* Gives the output the rest of the chain, as far as it has room; true when all of it is there. */
static bool console_take_chain(struct virtio_console *console)
{
	const struct virtqueue_chain *chain = &console->transmit_chain;
	struct console_record *record = &console->state->live;
	size_t skip = record->transmitted;

	for (size_t i = 0; i < chain->out_count; i++) {
		size_t size = chain->iov[i].iov_len, room;

		if (skip >= size) {
			skip -= size;
			continue;
		}
		while (skip < size) {
			if (output_room(console->output) == 0) {
				console_state_commit(console->state);
				output_flush(console->output);
			}
			room = output_room(console->output);
			if (room == 0)
				return false;
			if (room > size - skip)
				room = size - skip;
			output_write(console->output, (const uint8_t *)chain->iov[i].iov_base + skip, room);
			skip += room;
			record->transmitted += (uint32_t)room;
		}
		skip = 0;
	}
	return true;
}

/* The chain in hand is in the output: that is noted, and then the driver is told. */
static void console_give_back(struct virtio_console *console)
{
	struct console_record *record = &console->state->live;

	record->transmit_next = virtqueue_taken(console->transmitq);
	record->transmitted = 0;
	console_state_commit(console->state);
	virtqueue_push(console->transmitq, &console->transmit_chain.token, 0);
	virtqueue_publish(console->transmitq);
	console->transmitting = false;
}

/* Takes chains until the ring is empty (true), or the output full or the budget used up (false). */
static bool console_transmit_ring(struct virtio_console *console, unsigned *budget)
{
	for (; *budget > 0; (*budget)--) {
		if (!console->transmitting) {
			if (virtqueue_pop(console->transmitq, &console->transmit_chain) <= 0)
				return true;
			console->transmitting = true;
		}
		if (!console_take_chain(console))
			return false;
		console_give_back(console);
	}
	return false;
}

static void console_transmit(struct virtio_console *console)
{
	struct virtqueue *queue = console->transmitq;
	unsigned budget = CONSOLE_BATCH;
	bool empty;

	if (queue == NULL || virtqueue_broken(queue) != NULL)
		return;
	virtqueue_disable_kicks(queue);
	do
		empty = console_transmit_ring(console, &budget);
	while (empty && virtqueue_broken(queue) == NULL && virtqueue_enable_kicks(queue));
	if (budget == 0)
		eventfd_write(virtqueue_kick_fd(queue), 1);
	virtqueue_complete(queue);
	console_state_commit(console->state);
	output_flush(console->output);
	if (virtqueue_broken(queue) != NULL)
		vhost_user_backend_queue_broken(console->backend, VIRTIO_CONSOLE_TRANSMITQ_0);
}

static void console_transmit_kicked(int fd, unsigned events, void *argument)
{
	struct virtio_console *console = argument;

	(void)fd;
	(void)events;
	virtqueue_kick_drain(console->transmitq);
	console_transmit(console);
}

static void console_output_room(void *owner)
{
	console_transmit(owner);
}

/* --- Receive queue: the guest's input --- */

/* Gives the driver a chain with that much of the input that waits; what it has been given it does not get again. */
static void console_fill_chain(struct virtio_console *console, const uint8_t *data, size_t size)
{
	struct console_record *record = &console->state->live;

	virtqueue_chain_write(&console->receive_chain, 0, data, size);
	record->receive_next = virtqueue_taken(console->receiveq);
	record->receive_pending = (uint32_t)size;
	console_state_commit(console->state);
	virtqueue_push(console->receiveq, &console->receive_chain.token, (uint32_t)size);
	virtqueue_publish(console->receiveq);
	output_take(console->output, size);
	record->receive_pending = 0;
}

/* Gives input to the driver. Returns whether more input may be had now. */
static bool console_receive_ring(struct virtio_console *console, unsigned *budget)
{
	struct virtqueue_chain *chain = &console->receive_chain;
	const uint8_t *data = NULL;

	for (; *budget > 0 && virtqueue_pop(console->receiveq, chain) > 0; (*budget)--) {
		/* A buffer without room is given back as it is. */
		size_t size = 0;

		if (chain->in_bytes > 0) {
			size = output_input(console->output, chain->in_bytes, &data);
			if (size == 0) {
				virtqueue_rewind(console->receiveq, &chain->token);
				return false;
			}
		}
		console_fill_chain(console, data, size);
		/* A buffer that was not filled has had all there was. */
		if (size < chain->in_bytes && size < CONSOLE_STATE_INPUT &&
		    !output_has_input(console->output))
			return false;
	}
	return true;
}

static void console_receive(struct virtio_console *console)
{
	struct virtqueue *queue = console->receiveq;
	unsigned budget = CONSOLE_BATCH;
	bool more;

	if (queue == NULL || virtqueue_broken(queue) != NULL) {
		output_want_input(console->output, false);
		return;
	}
	virtqueue_disable_kicks(queue);
	/* While there is input left the driver is asked for buffers; else a kick would tell nothing. */
	do
		more = console_receive_ring(console, &budget);
	while (more && budget > 0 && virtqueue_broken(queue) == NULL && virtqueue_enable_kicks(queue));
	if (budget == 0)
		eventfd_write(virtqueue_kick_fd(queue), 1);
	output_want_input(console->output, !more);
	virtqueue_complete(queue);
	if (virtqueue_broken(queue) != NULL)
		vhost_user_backend_queue_broken(console->backend, VIRTIO_CONSOLE_RECEIVEQ_0);
}

static void console_output_input(void *owner)
{
	console_receive(owner);
}

static void console_receive_kicked(int fd, unsigned events, void *argument)
{
	struct virtio_console *console = argument;

	(void)fd;
	(void)events;
	virtqueue_kick_drain(console->receiveq);
	console_receive(console);
}

static const struct output_ops console_output_ops = {
	.input = console_output_input,
	.room = console_output_room,
};

/* --- What vhost-user asks for --- */

static int console_set_features(void *device, uint64_t features)
{
	(void)device;
	(void)features;
	return 0;
}

static void console_get_config(void *device, uint8_t *config)
{
	const struct virtio_console *console = device;
	struct virtio_console_config layout = {
		.cols = htole16(console->columns),
		.rows = htole16(console->rows),
		.max_nr_ports = htole32(1),
	};

	memcpy(config, &layout, sizeof(layout));
}

/* 5.3.4: one character for whoever debugs a driver that does not get to its queues. */
static int console_set_config(void *device, uint32_t offset, const uint8_t *data, uint32_t size)
{
	struct virtio_console *console = device;

	if (offset != offsetof(struct virtio_console_config, emerg_wr) || size != sizeof(uint32_t))
		return -EINVAL;
	if (output_room(console->output) > 0)
		output_write(console->output, data, 1);
	console_state_commit(console->state);
	output_flush(console->output);
	return 0;
}

/* The transmit queue starts; what a predecessor did with the first chain is not done again. */
static void console_resume_transmit(struct virtio_console *console, struct virtqueue *queue)
{
	struct console_record *record = &console->state->live;
	uint64_t taken;
	bool in_output;

	virtqueue_count_on(queue, record->transmit_next);
	taken = virtqueue_taken(queue);
	in_output = record->transmit_running && record->transmit_next == taken + 1;
	console->transmitq = queue;
	record->transmit_running = true;
	if (record->transmit_next == taken)
		return; /* in its middle, or before it */
	if (in_output && virtqueue_pop(queue, &console->transmit_chain) > 0) {
		virtqueue_push(queue, &console->transmit_chain.token, 0);
		virtqueue_publish(queue);
		return;
	}
	record->transmit_next = taken;
	record->transmitted = 0;
}

/* The receive queue starts; whether the driver got what a predecessor gave it shows in the used index. */
static void console_resume_receive(struct virtio_console *console, struct virtqueue *queue)
{
	struct console_record *record = &console->state->live;

	virtqueue_count_on(queue, record->receive_next);
	console->receiveq = queue;
	if (record->receive_running && virtqueue_taken(queue) == record->receive_next)
		output_take(console->output, record->receive_pending);
	record->receive_pending = 0;
	record->receive_running = true;
}

static int console_start_queue(void *device, uint16_t index, struct virtqueue *queue)
{
	bool receive = index == VIRTIO_CONSOLE_RECEIVEQ_0;
	struct virtio_console *console = device;
	struct loop_watch *kick;

	if (virtqueue_kick_fd(queue) < 0) {
		log_error("queue %u has no kick, and we do not poll", index);
		return -ENOTSUP;
	}
	kick = loop_watch_fd(console->loop, virtqueue_kick_fd(queue), LOOP_READ,
			     receive ? console_receive_kicked : console_transmit_kicked, console);
	if (kick == NULL)
		return -ENOMEM;
	if (receive) {
		console->receive_kick = kick;
		console_resume_receive(console, queue);
		console_state_commit(console->state);
		console_receive(console);
	} else {
		console->transmit_kick = kick;
		console_resume_transmit(console, queue);
		console_state_commit(console->state);
		console_transmit(console);
	}
	return 0;
}

static void console_stop_queue(void *device, uint16_t index)
{
	struct virtio_console *console = device;

	if (index == VIRTIO_CONSOLE_RECEIVEQ_0) {
		loop_unwatch(console->receive_kick);
		console->receive_kick = NULL;
		console->receiveq = NULL;
		console->state->live.receive_running = false;
		console_state_commit(console->state);
		output_want_input(console->output, false);
		return;
	}
	loop_unwatch(console->transmit_kick);
	console->transmit_kick = NULL;
	/* A kick that was not seen yet: what the driver wrote before it stopped us shall be taken. */
	console_transmit(console);
	if (console->transmitting)
		virtqueue_rewind(console->transmitq, &console->transmit_chain.token);
	console->transmitting = false;
	console->transmitq = NULL;
	console->state->live.transmit_running = false;
	console_state_commit(console->state);
}

static void console_reset(void *device)
{
	struct virtio_console *console = device;

	console->state->live.transmitted = 0;
	console_state_commit(console->state);
}

/* Ends the session. Who comes next is a successor's driver, the same as ours, or, by hand, another one. */
static void console_leave(struct virtio_console *console)
{
	vhost_user_backend_free(console->backend);
	console->backend = NULL;
}

static void console_session_end(void *device, int error)
{
	struct virtio_console *console = device;

	console_leave(console);
	console->session_end(console->argument, error);
}

const struct vhost_user_device_ops virtio_console_ops = {
	.device_features = VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE) | VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE),
	.queue_max = VIRTIO_CONSOLE_QUEUES,
	.config_size = sizeof(struct virtio_console_config),
	.set_features = console_set_features,
	.get_config = console_get_config,
	.set_config = console_set_config,
	.start_queue = console_start_queue,
	.stop_queue = console_stop_queue,
	.reset = console_reset,
	.session_end = console_session_end,
};

/* --- Sessions --- */

int virtio_console_start(struct virtio_console *console, int socket_fd,
			 void (*ended)(void *argument, int error), void *argument)
{
	console->session_end = ended;
	console->argument = argument;
	/* By hand, one front end after the other. */
	if (console->served)
		console_reset(console);
	console->served = true;
	return vhost_user_backend_new(console->loop, socket_fd, &virtio_console_ops, console,
				      &console->backend);
}

void virtio_console_stop(struct virtio_console *console)
{
	if (console->backend == NULL)
		return;
	console_transmit(console);
	if (console->transmitting && output_drain(console->output, CONSOLE_DRAIN_MS) == 0)
		console_transmit(console);
	console_leave(console);
}

void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows)
{
	if (console->columns == columns && console->rows == rows)
		return;
	console->columns = columns;
	console->rows = rows;
	/* -ENOTCONN: no session, or a front end that cannot be told; it reads the size when it asks. */
	if (console->backend != NULL)
		vhost_user_backend_config_changed(console->backend);
}

int virtio_console_new(struct loop *loop, struct output *output, struct console_state *state,
		       struct virtio_console **console)
{
	struct virtio_console *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return -ENOMEM;
	new->loop = loop;
	new->output = output;
	new->state = state;
	output_set_owner(output, &console_output_ops, new);
	output_want_input(output, false);
	*console = new;
	return 0;
}

void virtio_console_free(struct virtio_console *console)
{
	if (console == NULL)
		return;
	vhost_user_backend_free(console->backend);
	free(console);
}
