/*
 * A vhost-user back end in a thread: answers as the specification says, writes down what it was told, and
 * lies once when it is asked to.
 */
#ifndef ATOLL_TESTS_UNIT_FAKE_BACKEND_H
#define ATOLL_TESTS_UNIT_FAKE_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/vhost-user/vhost_user_message.h"

#define FAKE_BACKEND_QUEUES   4
#define FAKE_BACKEND_REQUESTS 128

enum fake_lie {
	LIE_NONE,
	LIE_SILENCE,	   /* no reply */
	LIE_SHORT,	   /* the reply's payload is a byte too small */
	LIE_LONG,	   /* and a byte too long */
	LIE_HUGE,	   /* the header promises more than any message has */
	LIE_HALF,	   /* half of the header, then silence */
	LIE_CUT,	   /* half of the header, then the end */
	LIE_HANG_UP,	   /* the end instead of a reply */
	LIE_OTHER_REQUEST, /* the reply is to another request */
	LIE_NO_REPLY_FLAG,
	LIE_VERSION,
	LIE_DESCRIPTOR, /* a descriptor that nobody asked for */
	LIE_GARBAGE,
	LIE_VALUE, /* well-formed, with all bits set */
	LIES,
};

struct fake_backend {
	/* Set before fake_backend_start(). */
	uint64_t features; /* bit 30 included */
	uint64_t protocol_features;
	uint64_t queue_num;
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE];
	bool refuse_config; /* SET_CONFIG fails */
	enum fake_lie lie;
	uint32_t lie_at; /* the request */

	/* What it was told; stable while no request runs. */
	uint32_t requests[FAKE_BACKEND_REQUESTS];
	_Atomic unsigned request_count;
	uint64_t acked_features;
	uint64_t acked_protocol_features;
	struct vhost_user_memory memory;
	int memory_fds[VHOST_USER_MEM_TABLE_REGIONS_MAX];
	struct fake_backend_ring {
		uint32_t size;
		uint32_t base;
		struct vhost_user_vring_addr addresses;
		int kick_fd;
		int call_fd;
		int error_fd;
		bool enabled;
		bool stopped;
	} rings[FAKE_BACKEND_QUEUES];
	_Atomic unsigned resets; /* RESET_DEVICE */
	unsigned statuses_count; /* SET_STATUS */
	uint8_t statuses[16];
	int channel_fd;
	int inflight_fd;
	struct vhost_user_inflight inflight;

	int socket_fd; /* its end */
	pthread_t thread;
};

/* A back end with all that a block device of ours has. */
void fake_backend_init(struct fake_backend *backend);
/* Starts the thread; returns the front end's socket. */
int fake_backend_start(struct fake_backend *backend);
/* The front end's socket has been closed, or the back end hung up. Closes all descriptors. */
void fake_backend_join(struct fake_backend *backend);
/* Ends the wire from its side. */
void fake_backend_hang_up(struct fake_backend *backend);

#endif
