/*
 * A tap that exists: opening it, and the few things that are set and asked on its descriptor.
 *
 * Opened by the supervisor for its VMs and by atoll-net that is run by hand. Nothing here makes an interface:
 * a name that is no tap is refused before TUNSETIFF could bring one into being.
 *
 * Source: Linux Documentation/networking/tuntap.rst, <linux/if_tun.h>.
 */
#ifndef ATOLL_COMMON_HOST_TAP_H
#define ATOLL_COMMON_HOST_TAP_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the virtio-net header in front of each frame that is read or written: virtio_net_hdr_v1. */
#define TAP_VNET_HEADER_SIZE 12

struct tap {
	int fd;	      /* O_NONBLOCK, O_CLOEXEC; one frame a read or write, behind its header, little-endian */
	uint32_t mtu; /* bytes, without the Ethernet header */
	unsigned index;
	bool up; /* whether the interface is administratively up; writing to one that is down is EIO */
};

/*
 * Takes the one queue of the tap `name`, in the network namespace of the caller, with all offloads off. On
 * success *tap is filled and its descriptor the caller's. On failure *problem is one line "WHAT; REMEDY"
 * (static) and the result
 *
 *   -EINVAL          name is no interface's name
 *   -ENODEV          no such interface
 *   -EMEDIUMTYPE     the interface is no tap: a tun, a bridge, hardware
 *   -EOPNOTSUPP      the tap has several queues, or the kernel lacks the header
 *   -EBUSY           another process has it
 *   -EPERM, -EACCES  no right to it, or to /dev/net/tun
 *   -ENOENT          no /dev/net/tun
 *
 * or another error of the system.
 */
int tap_open(const char *name, struct tap *tap, const char **problem);

/*
 * Whether the interface of a descriptor that tap_open() gave was deleted since. Never again does a frame pass through
 * it.
 */
bool tap_gone(int fd);

/* What the reader of the tap takes: TUN_F_* of <linux/if_tun.h>, and the two below. 0 or -errno. */
int tap_set_offload(int fd, unsigned flags);

/* Linux 6.2's UDP segmentation offload, which the kernel takes for both IP versions or for none. */
#define TAP_OFFLOAD_USO4 0x20u
#define TAP_OFFLOAD_USO6 0x40u

/* Whether the kernel's taps know UDP segmentation offload. Leaves all offloads off. */
bool tap_has_uso(int fd);

#endif
