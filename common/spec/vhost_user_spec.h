/*
 * vhost-user on the wire: QEMU docs/interop/vhost-user.rst. Names and numbers are the specification's; what
 * was added after protocol feature 19 has differing numbers in the field and is left out.
 */
#ifndef ATOLL_COMMON_SPEC_VHOST_USER_SPEC_H
#define ATOLL_COMMON_SPEC_VHOST_USER_SPEC_H

#include <stddef.h>
#include <stdint.h>

/* "Communication": the header, and its flags. */
struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};
#define VHOST_USER_HEADER_SIZE 12

#define VHOST_USER_VERSION	   0x1u
#define VHOST_USER_VERSION_MASK	   0x3u
#define VHOST_USER_REPLY_FLAG	   0x4u
#define VHOST_USER_NEED_REPLY_FLAG 0x8u

/* "Front-end message types" */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_IOTLB_MSG = 22,
	VHOST_USER_SET_VRING_ENDIAN = 23,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_CREATE_CRYPTO_SESSION = 26,
	VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
	VHOST_USER_POSTCOPY_ADVISE = 28,
	VHOST_USER_POSTCOPY_LISTEN = 29,
	VHOST_USER_POSTCOPY_END = 30,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_GPU_SET_SOCKET = 33,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_VRING_KICK = 35,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_REQUEST_MAX,
};

/* "Back-end message types" */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_IOTLB_MSG = 1,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
	VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VHOST_USER_BACKEND_VRING_CALL = 4,
	VHOST_USER_BACKEND_VRING_ERR = 5,
};

/* The feature bit that opens the protocol features ("Protocol features"). */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* "Protocol features" */
#define VHOST_USER_PROTOCOL_F_MQ		   0
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD		   1
#define VHOST_USER_PROTOCOL_F_RARP		   2
#define VHOST_USER_PROTOCOL_F_REPLY_ACK		   3
#define VHOST_USER_PROTOCOL_F_MTU		   4
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ	   5
#define VHOST_USER_PROTOCOL_F_CROSS_ENDIAN	   6
#define VHOST_USER_PROTOCOL_F_CRYPTO_SESSION	   7
#define VHOST_USER_PROTOCOL_F_PAGEFAULT		   8
#define VHOST_USER_PROTOCOL_F_CONFIG		   9
#define VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD	   10
#define VHOST_USER_PROTOCOL_F_HOST_NOTIFIER	   11
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD	   12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE	   13
#define VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS 14
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS  15
#define VHOST_USER_PROTOCOL_F_STATUS		   16

/* "A vring state description" */
struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

/* "A vring address description" */
struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t descriptor; /* the addresses are in the front end's own mapping */
	uint64_t used;
	uint64_t available;
	uint64_t log;
};

/* "Memory region description" */
struct vhost_user_memory_region {
	uint64_t guest_address;
	uint64_t size;
	uint64_t user_address;
	uint64_t mmap_offset;
};

/* "Multiple Memory regions description": at most 8 in one message. */
#define VHOST_USER_MEM_TABLE_REGIONS_MAX 8
struct vhost_user_memory {
	uint32_t region_count;
	uint32_t padding;
	struct vhost_user_memory_region regions[VHOST_USER_MEM_TABLE_REGIONS_MAX];
};
#define VHOST_USER_MEMORY_HEADER_SIZE 8

/* "Single memory region description" */
struct vhost_user_memory_single {
	uint64_t padding;
	struct vhost_user_memory_region region;
};

/* "Virtio device config space" */
#define VHOST_USER_MAX_CONFIG_SIZE 256
struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t payload[VHOST_USER_MAX_CONFIG_SIZE];
};
#define VHOST_USER_CONFIG_HEADER_SIZE 12

/*
 * "Inflight description". The specification's payload ends with queue_size; C structs that are not packed, as
 * QEMU's, are padded to 24 bytes, and both are met.
 */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding;
};
#define VHOST_USER_INFLIGHT_SIZE_MIN 20

/* "Inflight I/O tracking", the region of one split ring. The regions of a device lie behind each other, each
 * at a multiple of 64 bytes. */
struct vhost_user_inflight_entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};
struct vhost_user_inflight_queue {
	uint64_t features;
	uint16_t version; /* 1; 0: never used */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct vhost_user_inflight_entry entries[];
};
#define VHOST_USER_INFLIGHT_VERSION   1
#define VHOST_USER_INFLIGHT_ALIGNMENT 64u
#define VHOST_USER_INFLIGHT_QUEUE_SIZE(queue_size)                                                          \
	((sizeof(struct vhost_user_inflight_queue) +                                                        \
	  (size_t)(queue_size) * sizeof(struct vhost_user_inflight_entry) + VHOST_USER_INFLIGHT_ALIGNMENT - \
	  1) &                                                                                              \
	 ~(size_t)(VHOST_USER_INFLIGHT_ALIGNMENT - 1))

/* The u64 of SET_VRING_KICK, _CALL and _ERR: the ring's index, and a bit that says that no descriptor comes.
 */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NOFD	    0x100u

#endif
