/*
 * The network device as a whole: see net_device.h. What a front end asks arrives here through
 * vhost_user_backend.h, what the guest and the tap have to say through the loop.
 *
 * Who waits for what:
 *
 *   - receiving, for frames in the tap; with the window empty, or a frame held that does not fit, for the
 *     guest's kick alone, and kicks are wanted then only;
 *   - sending, for the guest's kick; with the tap full, for room in the tap;
 *   - control, for the guest's kick.
 */
#include "dev-net/net_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/tap.h"
#include "common/spec/virtio_spec.h"
#include "dev-net/net_control.h"
#include "dev-net/net_header.h"
#include "dev-net/net_state.h"

static bool device_has(const struct net_device *device, unsigned bit)
{
	return (device->port.features & VIRTIO_BIT(bit)) != 0;
}

/* What the driver has set is known to a successor from now on. */
static void device_commit(struct net_device *device)
{
	net_state_commit(&device->state, &device->port, device->announce);
}

/* --- Watching --- */

/* Brings the tap's watch in line with who waits for it. */
static void device_watch_tap(struct net_device *device)
{
	const struct net_queue *rx = &device->queues[VIRTIO_NET_QUEUE_RX];
	const struct net_queue *tx = &device->queues[VIRTIO_NET_QUEUE_TX];
	unsigned events = 0;

	if (rx->virtqueue != NULL && !rx->broken && !device->rx_starved)
		events |= LOOP_READ;
	if (tx->virtqueue != NULL && !tx->broken && device->tx_blocked)
		events |= LOOP_WRITE;
	if (device->tap_gone)
		events = 0;
	if (events == device->tap_events)
		return;
	device->tap_events = events;
	loop_watch_set_events(device->tap_watch, events);
}

/* Has the queue looked at from the loop, as if the guest had kicked. */
static void queue_wake(struct net_queue *queue)
{
	int kick_fd = virtqueue_kick_fd(queue->virtqueue);

	if (kick_fd >= 0)
		eventfd_write(kick_fd, 1);
	else
		loop_timer_arm(queue->device->poll_timer, 0);
}

static void queue_break(struct net_queue *queue)
{
	struct net_device *device = queue->device;

	queue->broken = true;
	loop_unwatch(queue->kick_watch);
	queue->kick_watch = NULL;
	if (device->session != NULL)
		vhost_user_backend_queue_broken(device->session, (uint16_t)(queue - device->queues));
}

static void device_config_changed(struct net_device *device)
{
	/* A front end that cannot or will not hear it has asked for that. */
	if (device->session != NULL)
		vhost_user_backend_config_changed(device->session);
}

/* --- Receiving --- */

static void device_tap_went(struct net_device *device)
{
	log_error("the tap is gone; the guest's link is down");
	device->tap_gone = true;
	device->port.link_up = false;
	device_config_changed(device);
}

static void device_run_rx(struct net_device *device)
{
	struct virtqueue *virtqueue = device->rx.queue;
	unsigned budget = NET_BUDGET;
	enum net_progress progress;

	device->rx_starved = false;
	/* Buffers that came just before kicks were asked for are taken at once, within the budget. */
	do {
		virtqueue_disable_kicks(virtqueue);
		progress = net_rx_run(&device->rx, &budget);
	} while (progress == NET_PROGRESS_BLOCKED && virtqueue_enable_kicks(virtqueue) && budget-- > 0);
	switch (progress) {
	case NET_PROGRESS_BLOCKED:
		device->rx_starved = true;
		net_count(&device->port, NET_COUNTER_RX_STARVED, 1);
		/* The budget ran out between asking for kicks and a buffer that came before. */
		if (virtqueue_ready(virtqueue))
			queue_wake(&device->queues[VIRTIO_NET_QUEUE_RX]);
		break;
	case NET_PROGRESS_BROKEN:
		queue_break(&device->queues[VIRTIO_NET_QUEUE_RX]);
		break;
	case NET_PROGRESS_GONE:
		device_tap_went(device);
		break;
	default:
		break; /* the tap is watched */
	}
	device_watch_tap(device);
}

/* Kicks matter only to who waits for buffers. */
static void device_kick_rx(struct net_device *device)
{
	if (device->rx_starved)
		device_run_rx(device);
}

/* --- Sending --- */

static void device_run_tx(struct net_device *device)
{
	struct net_queue *queue = &device->queues[VIRTIO_NET_QUEUE_TX];
	unsigned budget = NET_BUDGET;
	enum net_progress progress;

	device->tx_blocked = false;
	do {
		virtqueue_disable_kicks(queue->virtqueue);
		progress = net_tx_run(&device->tx, &budget);
	} while (progress == NET_PROGRESS_IDLE && virtqueue_enable_kicks(queue->virtqueue) && budget > 0);
	switch (progress) {
	case NET_PROGRESS_BLOCKED:
		device->tx_blocked = true;
		break;
	case NET_PROGRESS_BROKEN:
		queue_break(queue);
		break;
	default:
		if (budget == 0)
			queue_wake(queue);
		break;
	}
	device_watch_tap(device);
}

/* --- Control --- */

static void device_run_control(struct net_device *device)
{
	struct net_queue *queue = &device->queues[VIRTIO_NET_QUEUE_CONTROL];
	struct virtqueue *virtqueue = queue->virtqueue;
	bool announced = false, heard = false;
	unsigned budget = NET_BUDGET;
	int result;

	do {
		while ((result = virtqueue_pop(virtqueue, device->command)) > 0 && budget > 0) {
			uint8_t answer = net_control_execute(&device->port, device->command, &announced);

			budget--;
			heard |= announced && device->announce;
			device->announce &= !announced;
			/* Before the driver is told that it is done. */
			device_commit(device);
			virtqueue_push(
				virtqueue, &device->command->token,
				(uint32_t)virtqueue_chain_write(device->command, 0, &answer, sizeof(answer)));
		}
		if (result > 0)
			virtqueue_rewind(virtqueue, &device->command->token);
		if (virtqueue_complete(virtqueue))
			net_count(&device->port, NET_COUNTER_CONTROL_INTERRUPTS, 1);
	} while (result == 0 && virtqueue_enable_kicks(virtqueue));
	if (result < 0)
		queue_break(queue);
	else if (result > 0)
		queue_wake(queue);
	if (heard)
		device_config_changed(device);
}

/* --- Events --- */

static void device_tap_ready(int fd, unsigned events, void *argument)
{
	struct net_device *device = argument;

	(void)fd;
	if ((events & LOOP_WRITE) != 0 && device->tx_blocked)
		device_run_tx(device);
	if ((events & LOOP_READ) != 0 && (device->tap_events & LOOP_READ) != 0)
		device_run_rx(device);
}

static void device_kicked(int fd, unsigned events, void *argument)
{
	struct net_queue *queue = argument;

	(void)fd;
	(void)events;
	virtqueue_kick_drain(queue->virtqueue);
	net_count(&queue->device->port, queue->kicks, 1);
	queue->run(queue->device);
}

/* Looks at the queues whose front end does not kick. */
static void device_poll(void *argument)
{
	struct net_device *device = argument;
	bool again = false;

	for (size_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		struct net_queue *queue = &device->queues[i];

		if (queue->virtqueue == NULL || queue->broken || virtqueue_kick_fd(queue->virtqueue) >= 0)
			continue;
		again = true;
		if (virtqueue_ready(queue->virtqueue))
			queue->run(device);
	}
	if (again)
		loop_timer_arm(device->poll_timer, NET_POLL_US);
}

/* --- What the session asks --- */

/* The driver has set nothing. */
static void device_forget_driver(struct net_device *device)
{
	device->port.features = 0;
	net_filter_reset(&device->port.filter, device->mac);
	net_rx_drop_held(&device->rx);
	device->announce = false;
}

static int device_set_features(void *argument, uint64_t features)
{
	struct net_device *device = argument;
	int result;

	if (vhost_user_backend_same_driver(device->port.features, features))
		return 0;
	if (device->port.features != 0)
		device_forget_driver(device);
	device->port.features = features;
	device->port.filter.vlan_filtering = device_has(device, VIRTIO_NET_F_CTRL_VLAN);
	result = net_port_set_offloads(&device->port, features);
	device_commit(device);
	return result;
}

static void device_get_config(void *argument, uint8_t *config)
{
	const struct net_device *device = argument;
	struct virtio_net_config values = {
		.status = (uint16_t)((device->port.link_up ? VIRTIO_NET_S_LINK_UP : 0) |
				     (device->announce ? VIRTIO_NET_S_ANNOUNCE : 0)),
		.max_virtqueue_pairs = 1,
		.mtu = device->mtu,
	};

	memcpy(values.mac, device->port.filter.mac, sizeof(values.mac));
	memcpy(config, &values, sizeof(values));
}

/* "The back-end must respond with zero in case the specified MTU is valid": one that the tap carries. */
static int device_set_mtu(void *argument, uint16_t mtu)
{
	struct net_device *device = argument;

	if (mtu < VIRTIO_NET_MTU_MIN || mtu > device->port.mtu_max) {
		log_warning("the front end set an MTU of %u, the tap's is %u; give the tap that MTU", mtu,
			    device->port.mtu_max);
		return -EINVAL;
	}
	device->mtu = mtu;
	return 0;
}

static int device_start_queue(void *argument, uint16_t index, struct virtqueue *virtqueue)
{
	struct net_device *device = argument;
	struct net_queue *queue = &device->queues[index];
	int kick_fd = virtqueue_kick_fd(virtqueue);

	if (!device_has(device, VIRTIO_F_VERSION_1)) {
		log_error("queue %u: the driver is a legacy one; use a driver of virtio 1.0 or later", index);
		return -EINVAL;
	}
	if (kick_fd >= 0) {
		queue->kick_watch = loop_watch_fd(device->loop, kick_fd, LOOP_READ, device_kicked, queue);
		if (queue->kick_watch == NULL)
			return -errno;
	}
	queue->virtqueue = virtqueue;
	queue->broken = false;
	if (index == VIRTIO_NET_QUEUE_RX) {
		net_rx_start(&device->rx, virtqueue);
		virtqueue_disable_kicks(virtqueue);
		device->rx_starved = false;
	} else if (index == VIRTIO_NET_QUEUE_TX) {
		device->tx.queue = virtqueue;
		device->tx_blocked = false;
	}
	queue_wake(queue);
	device_watch_tap(device);
	return 0;
}

static void device_stop_queue(void *argument, uint16_t index)
{
	struct net_device *device = argument;
	struct net_queue *queue = &device->queues[index];

	loop_unwatch(queue->kick_watch);
	queue->kick_watch = NULL;
	queue->virtqueue = NULL;
	/* A queue that does not run waits neither for the tap nor for buffers. */
	if (index == VIRTIO_NET_QUEUE_RX) {
		net_rx_stop(&device->rx);
		device->rx_starved = false;
	} else if (index == VIRTIO_NET_QUEUE_TX) {
		device->tx.queue = NULL;
		device->tx_blocked = false;
	}
	device_watch_tap(device);
}

static void device_reset(void *argument)
{
	struct net_device *device = argument;

	device_forget_driver(device);
	net_port_set_offloads(&device->port, 0);
	device_commit(device);
}

static void device_session_end(void *argument, int error)
{
	struct net_device *device = argument;

	net_device_session_stop(device);
	device->session_ended(device->argument, error);
}

/* --- Life --- */

static const uint64_t offered_always =
	VIRTIO_BIT(VIRTIO_NET_F_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
	VIRTIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | VIRTIO_BIT(VIRTIO_NET_F_MAC) |
	VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) |
	VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_UFO) |
	VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6) |
	VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN) | VIRTIO_BIT(VIRTIO_NET_F_HOST_UFO) |
	VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_BIT(VIRTIO_NET_F_STATUS) |
	VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) |
	VIRTIO_BIT(VIRTIO_NET_F_CTRL_VLAN) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) |
	VIRTIO_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

static const uint64_t offered_with_uso = VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO4) |
					 VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO6) |
					 VIRTIO_BIT(VIRTIO_NET_F_HOST_USO);

static uint64_t device_features(const struct net_setup *setup)
{
	return offered_always | (setup->mtu != 0 ? VIRTIO_BIT(VIRTIO_NET_F_MTU) : 0) |
	       (tap_has_uso(setup->tap_fd) ? offered_with_uso : 0);
}

void net_device_init(struct net_device *device)
{
	*device = (struct net_device){
		.port = {.tap_fd = -1, .set_offload = tap_set_offload},
		.state_fd = -1,
		.queues =
			{
				[VIRTIO_NET_QUEUE_RX] = {.run = device_kick_rx,
							 .kicks = NET_COUNTER_RX_KICKS},
				[VIRTIO_NET_QUEUE_TX] = {.run = device_run_tx, .kicks = NET_COUNTER_TX_KICKS},
				[VIRTIO_NET_QUEUE_CONTROL] = {.run = device_run_control,
							      .kicks = NET_COUNTER_CONTROL_KICKS},
			},
	};
	for (size_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		device->queues[i].device = device;
}

int net_device_configure(struct net_device *device, const struct net_setup *setup, const char **problem)
{
	static const uint8_t none[NET_ADDRESS_SIZE];
	int flags = fcntl(setup->tap_fd, F_GETFL);

	if ((setup->mac[0] & 1) != 0 || memcmp(setup->mac, none, sizeof(none)) == 0) {
		*problem = "the MAC address is a group's, or zero; give one whose first byte is even";
		return -EINVAL;
	}
	if (setup->mtu != 0 && (setup->mtu < VIRTIO_NET_MTU_MIN || setup->mtu > UINT16_MAX)) {
		*problem = "the MTU is out of range; give 68 to 65535";
		return -EINVAL;
	}
	/* A descriptor that waits would stop everything: not trusted to come as it should. */
	if (flags < 0 || fcntl(setup->tap_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		*problem = "the tap's descriptor cannot be used; see that the tap can be opened";
		return -EINVAL;
	}
	memcpy(device->mac, setup->mac, sizeof(device->mac));
	device->mtu = (uint16_t)setup->mtu;
	device->port.mtu_max = setup->mtu != 0 ? setup->mtu : UINT16_MAX;
	device->port.link_up = setup->link_up;
	device->port.tap_fd = setup->tap_fd;
	net_filter_reset(&device->port.filter, device->mac);
	device->ops = (struct vhost_user_device_ops){
		.device_features = device_features(setup),
		.queue_max = VIRTIO_NET_QUEUES,
		.single_set = true,
		.config_size = sizeof(struct virtio_net_config),
		.set_features = device_set_features,
		.get_config = device_get_config,
		.start_queue = device_start_queue,
		.stop_queue = device_stop_queue,
		.reset = device_reset,
		.set_mtu = device_set_mtu,
		.session_end = device_session_end,
	};
	return 0;
}

void net_device_set_state(struct net_device *device, int state_fd, bool successor)
{
	device->state_fd = state_fd;
	device->successor = successor;
}

/* NULL, or why there is nothing to take over; then nothing is changed, but for the tap's offloads. */
static const char *device_take_over(struct net_device *device)
{
	struct net_port port = device->port;
	bool announce = false;
	const char *problem = net_state_take_over(&device->state, vhost_user_backend_offers(&device->ops),
						  &port, &announce);

	if (problem == NULL && net_port_set_offloads(&port, port.offloads) < 0)
		problem = "the tap does not take its offloads";
	if (problem != NULL)
		return problem;
	device->port = port;
	device->announce = announce;
	return NULL;
}

/* The page is mapped, and its descriptor of no more use. */
static int device_open_state(struct net_device *device)
{
	int result = net_state_open(&device->state, device->state_fd);
	const char *problem = NULL;

	if (device->state_fd >= 0)
		close(device->state_fd);
	device->state_fd = -1;
	if (result < 0)
		return result;
	if (device->successor)
		problem = device_take_over(device);
	if (problem != NULL)
		device_state_refused(problem);
	if (!device->successor || problem != NULL)
		net_state_begin(&device->state, &device->port, device->announce);
	return 0;
}

int net_device_prepare(struct net_device *device, struct loop *loop)
{
	int result = net_rx_init(&device->rx, &device->port);

	if (result == 0)
		result = net_tx_init(&device->tx, &device->port);
	if (result == 0)
		result = device_open_state(device);
	if (result < 0)
		return result;
	device->command = malloc(sizeof(*device->command));
	device->loop = loop;
	device->poll_timer = loop_watch_timer(loop, device_poll, device);
	/* Not watched for anything before a queue runs. */
	device->tap_watch = loop_watch_fd(loop, device->port.tap_fd, 0, device_tap_ready, device);
	if (device->command == NULL || device->poll_timer == NULL || device->tap_watch == NULL)
		return -ENOMEM;
	return 0;
}

int net_device_session_start(struct net_device *device, int socket_fd,
			     void (*session_ended)(void *argument, int error), void *argument)
{
	/* Started by hand, the device serves one front end after the other: a new one has a driver of its own. */
	if (device->served)
		device_reset(device);
	device->served = true;
	device->session_ended = session_ended;
	device->argument = argument;
	return vhost_user_backend_new(device->loop, socket_fd, &device->ops, device, &device->session);
}

void net_device_session_stop(struct net_device *device)
{
	if (device->session == NULL)
		return;
	vhost_user_backend_free(device->session);
	device->session = NULL;
	device->tx.error_logged = false;
	device->rx.too_large_logged = false;
}

void net_device_set_link(struct net_device *device, bool up)
{
	if (device->tap_gone || device->port.link_up == up)
		return;
	device->port.link_up = up;
	/* The other end of the cable may be another switch now. */
	device->announce = up && device_has(device, VIRTIO_NET_F_GUEST_ANNOUNCE);
	device_commit(device);
	/* While everything is dropped, a queue need not wait for the tap or for buffers. */
	if (!up && device->tx_blocked)
		device_run_tx(device);
	if (!up && device->rx_starved)
		device_run_rx(device);
	device_config_changed(device);
}

void net_device_close(struct net_device *device)
{
	net_device_session_stop(device);
	loop_unwatch(device->tap_watch);
	loop_unwatch(device->poll_timer);
	device->tap_watch = NULL;
	device->poll_timer = NULL;
	net_rx_free(&device->rx);
	net_tx_free(&device->tx);
	free(device->command);
	device->command = NULL;
	if (device->port.tap_fd >= 0)
		close(device->port.tap_fd);
	device->port.tap_fd = -1;
	if (device->state_fd >= 0)
		close(device->state_fd);
	device->state_fd = -1;
	device_state_close(&device->state);
}

void net_device_heartbeat(const struct net_device *device, bool *kicked, bool *host_io)
{
	const struct net_queue *tx = &device->queues[VIRTIO_NET_QUEUE_TX];
	bool sends = tx->virtqueue != NULL && !tx->broken;

	*host_io = sends && device->tx_blocked;
	*kicked = sends && virtqueue_ready(tx->virtqueue);
}
