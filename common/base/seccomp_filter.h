/*
 * A compiled seccomp filter, as policy/ makes it at build time and a program embeds it.
 *
 * The instructions are what the kernel gets, but for slots: a slot is an instruction whose constant is known
 * only when the filter is installed, such as the number of a vCPU's own descriptor. An auditor who dumps an
 * installed filter finds these bytes, with the slot's value in its place.
 *
 * Source: Linux, Documentation/userspace-api/seccomp_filter.rst.
 */
#ifndef ATOLL_COMMON_BASE_SECCOMP_FILTER_H
#define ATOLL_COMMON_BASE_SECCOMP_FILTER_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

struct seccomp_filter_slot {
	const char *name;     /* as in the policy, without "$": "OWN_FD" */
	uint16_t instruction; /* whose k is the value */
};

struct seccomp_filter {
	const char *name; /* "blk.queue" */
	const char *hash; /* SHA-256 of the policy's text, included files in their place; hexadecimal */
	const struct sock_filter *instructions;
	uint16_t count;
	const struct seccomp_filter_slot *slots;
	size_t slot_count;
	const uint8_t *ring_opcodes; /* enum io_uring_op that the policy allows; NULL: no ring */
	size_t ring_opcode_count;
	unsigned rules; /* system calls that the policy allows */
};

#endif
