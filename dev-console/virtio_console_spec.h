/*
 * Virtio 1.2, 5.3 "Console Device". Names are the specification's.
 */
#ifndef ATOLL_DEV_CONSOLE_VIRTIO_CONSOLE_SPEC_H
#define ATOLL_DEV_CONSOLE_VIRTIO_CONSOLE_SPEC_H

#include <stdint.h>

/* 5.3.2 Virtqueues */
#define VIRTIO_CONSOLE_RECEIVEQ_0  0
#define VIRTIO_CONSOLE_TRANSMITQ_0 1
#define VIRTIO_CONSOLE_QUEUES	   2

/* 5.3.3 Feature bits */
#define VIRTIO_CONSOLE_F_SIZE	     0
#define VIRTIO_CONSOLE_F_MULTIPORT   1
#define VIRTIO_CONSOLE_F_EMERG_WRITE 2

/* 5.3.4 Device configuration layout, little-endian */
struct virtio_console_config {
	uint16_t cols;
	uint16_t rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};

_Static_assert(sizeof(struct virtio_console_config) == 12, "virtio console config");

#endif
