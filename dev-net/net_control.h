/*
 * The control queue's commands: a class, a command and its data in the readable part of a chain.
 *
 * Every byte is the driver's. A command whose data has another length than the specification gives it, that
 * sets what is not there, or that belongs to a feature which was not negotiated, changes nothing and is
 * answered with VIRTIO_NET_ERR.
 *
 * Source: virtio 1.2, 5.1.6.5.
 */
#ifndef ATOLL_DEV_NET_NET_CONTROL_H
#define ATOLL_DEV_NET_NET_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/virtqueue.h"
#include "dev-net/net_port.h"

/* Executes the command in chain. Returns VIRTIO_NET_OK or _ERR. *announced is set when the driver has
 * announced itself. */
uint8_t net_control_execute(struct net_port *port, const struct virtqueue_chain *chain, bool *announced);

#endif
