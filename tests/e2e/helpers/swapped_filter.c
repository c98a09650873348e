/*
 * A filter for atoll-blk's queues that allows everything, in the place of the one that policy/ compiled: the
 * linker takes this one, since it comes first. Everything else of swapped_blk is atoll-blk.
 */
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>

#include "policy/filters.h"

static const struct sock_filter instructions[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static const uint8_t ring_opcodes[] = {
	IORING_OP_READV,       IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,	  IORING_OP_POLL_ADD,
	IORING_OP_POLL_REMOVE, IORING_OP_READ,	 IORING_OP_WRITE, IORING_OP_ASYNC_CANCEL, IORING_OP_NOP};

const struct seccomp_filter filter_blk_queue = {
	.name = "blk.queue",
	.hash = "",
	.instructions = instructions,
	.count = sizeof(instructions) / sizeof(instructions[0]),
	.ring_opcodes = ring_opcodes,
	.ring_opcode_count = sizeof(ring_opcodes),
};
