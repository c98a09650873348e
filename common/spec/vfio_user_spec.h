/*
 * vfio-user, protocol version 0.1: the wire's layouts and numbers, in the specification's names.
 *
 * The specification borrows flags and indices from <linux/vfio.h> (VFIO_DEVICE_FLAGS_*,
 * VFIO_REGION_INFO_FLAG_*, VFIO_IRQ_*); they are taken from there. All fields are in the host's byte order
 * ("Protocol Specification"). No structure below has padding.
 *
 * Source: QEMU docs/interop/vfio-user.rst.
 */
#ifndef ATOLL_COMMON_SPEC_VFIO_USER_SPEC_H
#define ATOLL_COMMON_SPEC_VFIO_USER_SPEC_H

#include <stdint.h>

#include <linux/vfio.h>

/* "VFIO_USER_VERSION" */
#define VFIO_USER_VERSION_MAJOR 0
#define VFIO_USER_VERSION_MINOR 1

/* "Commands" */
enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11,  /* server to client */
	VFIO_USER_DMA_WRITE = 12, /* server to client */
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_REGION_WRITE_MULTI = 15,
	VFIO_USER_DEVICE_FEATURE = 16,
	VFIO_USER_MIG_DATA_READ = 17,
	VFIO_USER_MIG_DATA_WRITE = 18,
};

/* "Header". Message size counts the header too. */
struct vfio_user_header {
	uint16_t message_id;
	uint16_t command;
	uint32_t message_size;
	uint32_t flags;
	uint32_t error; /* a positive errno; valid with VFIO_USER_FLAG_ERROR */
};
#define VFIO_USER_FLAG_TYPE_MASK    UINT32_C(0xf)
#define VFIO_USER_FLAG_TYPE_COMMAND UINT32_C(0x0)
#define VFIO_USER_FLAG_TYPE_REPLY   UINT32_C(0x1)
#define VFIO_USER_FLAG_NO_REPLY	    UINT32_C(0x10)
#define VFIO_USER_FLAG_ERROR	    UINT32_C(0x20)

/* "VFIO_USER_VERSION": version data, a JSON text with its terminating NUL, may follow. */
struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
};
/* What a capability is when the sender does not name it. */
#define VFIO_USER_DEFAULT_MAX_MSG_FDS	     1
#define VFIO_USER_DEFAULT_MAX_DATA_XFER_SIZE 1048576
#define VFIO_USER_DEFAULT_MAX_DMA_MAPS	     65535
#define VFIO_USER_DEFAULT_PGSIZES	     4096

/* "VFIO_USER_DMA_MAP": no payload in the reply; at most one descriptor in the request. */
struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t size;
};
#define VFIO_USER_DMA_READABLE	UINT32_C(1)
#define VFIO_USER_DMA_WRITEABLE UINT32_C(2)

/* "VFIO_USER_DMA_UNMAP": the reply repeats the request. */
struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};

/* "VFIO_USER_DEVICE_GET_INFO" */
struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint32_t num_regions;
	uint32_t num_irqs;
};

/* "VFIO_USER_DEVICE_GET_REGION_INFO" */
struct vfio_user_region_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_* */
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
};

/* "VFIO_USER_DEVICE_GET_REGION_IO_FDS": the sub-regions follow in a reply. */
struct vfio_user_region_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

/* "VFIO_USER_DEVICE_GET_IRQ_INFO" */
struct vfio_user_irq_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_IRQ_INFO_* */
	uint32_t index;
	uint32_t count;
};

/* "VFIO_USER_DEVICE_SET_IRQS": with DATA_BOOL, count bytes follow; with DATA_EVENTFD, the descriptors come
 * along. */
struct vfio_user_irq_set {
	uint32_t argsz;
	uint32_t flags; /* VFIO_IRQ_SET_* */
	uint32_t index;
	uint32_t start;
	uint32_t count;
};

/* "VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE": data follows in the reply, or in the request. */
struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

/* "VFIO_USER_REGION_WRITE_MULTI": a uint64_t with the number of writes, then as many of these; the reply is
 * the number of writes completed. */
struct vfio_user_region_write_one {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /* at most 8 */
	uint8_t data[8];
};

_Static_assert(sizeof(struct vfio_user_header) == 16, "vfio-user header");
_Static_assert(sizeof(struct vfio_user_dma_map) == 32, "vfio-user DMA map");
_Static_assert(sizeof(struct vfio_user_region_info) == 32, "vfio-user region info");
_Static_assert(sizeof(struct vfio_user_irq_set) == 20, "vfio-user IRQ set");
_Static_assert(sizeof(struct vfio_user_region_write_one) == 24, "vfio-user write");

#endif
