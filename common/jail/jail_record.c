/* Recording: see jail_record.h. */
#include "common/jail/jail_record.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/jail/jail_violation.h"

/* Younger than the headers of some hosts: Linux 5.19. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

bool jail_records(void)
{
	/* Without a supervisor nobody would listen: the process would stand still at its next call. */
	return violation_control() >= 0 && getenv(JAIL_RECORD_ENV) != NULL;
}

static int record_send_listener(int control_fd, int listener_fd)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Recording message = ATOLL__CONTROL__RECORDING__INIT;

	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_RECORDING;
	envelope.recording = &message;
	return control_send(control_fd, &envelope, &listener_fd, 1);
}

int jail_record_process(int control_fd)
{
	const struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendmsg, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)control_fd, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(instructions) / sizeof(instructions[0]),
					   (struct sock_filter *)instructions};
	unsigned long flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
			      SECCOMP_FILTER_FLAG_NEW_LISTENER;
	/* A vCPU is interrupted by signals: a call that was told is not to be told again for each of them. */
	long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	int result;

	if (listener < 0 && errno == EINVAL)
		listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (listener < 0)
		return -errno;
	result = record_send_listener(control_fd, (int)listener);
	/* The supervisor's copy is the one that counts; to close ours is told through it. */
	close((int)listener);
	return result;
}
