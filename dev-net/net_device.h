/*
 * The network device as a whole: a tap, three queues, and the vhost-user session of the moment. Knows no
 * process: main.c makes a program of it, the tests drive it with a socket in place of the tap.
 *
 * Everything runs in the main thread's loop. A frame is one system call and a few hundred instructions around
 * it, and the session is silent while frames flow: a thread of its own for the queues would have the loop's
 * thread idle beside it, and would buy locks around the filter and the link with it. Fairness comes from
 * budgets: a queue gives the loop back after NET_BUDGET frames.
 *
 * All functions are the main thread's.
 */
#ifndef ATOLL_DEV_NET_NET_DEVICE_H
#define ATOLL_DEV_NET_NET_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/ring/device_state.h"
#include "common/vhost-user/vhost_user_backend.h"
#include "dev-net/net_port.h"
#include "dev-net/net_rx.h"
#include "dev-net/net_tx.h"
#include "dev-net/virtio_net_spec.h"

/* Frames that one queue carries before the others, and the session, have their turn. */
#define NET_BUDGET 256
/* How often a queue without a kick eventfd is looked at. */
#define NET_POLL_US 100

struct net_setup {
	int tap_fd;	    /* as tap_open() makes it */
	const uint8_t *mac; /* 6 bytes */
	uint32_t mtu;	    /* of the tap, and what the guest is told; 0: unknown, and not told */
	bool link_up;
};

struct net_device;

struct net_queue {
	struct net_device *device;
	struct virtqueue *virtqueue; /* NULL: not running */
	struct loop_watch *kick_watch;
	void (*run)(struct net_device *device);
	enum net_counter kicks;
	bool broken;
};

struct net_device {
	struct net_port port;
	uint8_t mac[NET_ADDRESS_SIZE]; /* what the guest's own goes back to at a reset */
	uint16_t mtu;		       /* what the guest is told */
	bool announce;		       /* the guest is asked to announce itself */

	int state_fd; /* the state page, until it is mapped; -1: none */
	bool successor;
	struct device_state state;

	struct net_queue queues[VIRTIO_NET_QUEUES];
	struct net_rx rx;
	struct net_tx tx;
	struct virtqueue_chain *command; /* scratch for the control queue */
	bool rx_starved;		 /* waits for buffers: the tap is not read */
	bool tx_blocked;		 /* waits for room in the tap */
	bool tap_gone;

	struct loop *loop;
	struct loop_watch *tap_watch;
	unsigned tap_events;
	struct loop_watch *poll_timer;

	struct vhost_user_device_ops ops;
	struct vhost_user_backend *session; /* NULL: none */
	bool served;			    /* a session was there */
	void (*session_ended)(void *argument, int error);
	void *argument;
};

/* What a device is before it has a tap; net_device_close() may be called from then on. */
void net_device_init(struct net_device *device);

/* Gives it its tap, whose descriptor becomes the device's on success. 0, or -EINVAL with a line in *problem.
 */
int net_device_configure(struct net_device *device, const struct net_setup *setup, const char **problem);

/*
 * The page (common/ring/state_page.h) in which it keeps what the driver sets, for a successor; the descriptor becomes
 * the device's. successor: a process of this device served before, so what stands there counts. Before
 * net_device_prepare().
 */
void net_device_set_state(struct net_device *device, int state_fd, bool successor);

/*
 * Makes memory and watches, and takes over what a predecessor left. After it nothing is opened or created but what a
 * front end brings. 0 or -errno.
 */
int net_device_prepare(struct net_device *device, struct loop *loop);

/*
 * Serves a front end on a connected socket, which becomes the device's on success. When the front end ends
 * the session, session_ended() is called, with the session already freed. 0 or -errno.
 */
int net_device_session_start(struct net_device *device, int socket_fd,
			     void (*session_ended)(void *argument, int error), void *argument);
void net_device_session_stop(struct net_device *device);

/*
 * Plugs the cable in or out: while it is out, what comes from the tap and what the guest sends is dropped.
 * The guest is told, and asked to announce itself when the link is back. Without effect once the tap has
 * gone.
 */
void net_device_set_link(struct net_device *device, bool up);

void net_device_close(struct net_device *device);

/* *kicked: frames of the guest are there that nothing keeps from being sent; *host_io: the tap has no room. */
void net_device_heartbeat(const struct net_device *device, bool *kicked, bool *host_io);

#endif
