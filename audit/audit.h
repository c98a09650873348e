/*
 * The audit: what every process and thread of a running VM may do at this moment, told by the kernel, held
 * against what is written.
 *
 *   audit_gather.c   asks the supervisor who there is, and the kernel about each: facts, unjudged
 *   audit_fds.c      what each descriptor is for, from who else has its other end
 *   audit_shares.c   which descriptions two processes have in common
 *   audit_outside.c  who outside of the VM is in a namespace of its processes
 *   audit_expect.c   the one table of what is written, a row a role
 *   audit_judge.c    compares; a list of checks, each with a verdict
 *   audit_print.c    the list for a person, facts and list for a machine
 *
 * Nothing that a process says of itself is believed: the supervisor tells which processes there are, since it is
 * their parent; everything else is from /proc, sock_diag(7) and ptrace(2), that is, from the kernel.
 */
#ifndef ATOLL_AUDIT_AUDIT_H
#define ATOLL_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "audit/audit_proc.h"
#include "audit/audit_sockets.h"
#include "audit/audit_trace.h"
#include "common/base/control_wire.h"
#include "common/base/seccomp_filter.h"

enum audit_verdict {
	AUDIT_AS_WRITTEN,
	AUDIT_INFERRED, /* the kernel does not tell anybody; it follows from something that it tells */
	AUDIT_UNREAD,	/* it does not tell us: more rights are needed, or the process ended */
	AUDIT_DEVIATES,
};

#define AUDIT_TEXT_MAX 1024

/* One question, its answer and the verdict on it. */
struct audit_check {
	const char *subject; /* "filters" */
	pid_t thread;	     /* 0: the whole process */
	enum audit_verdict verdict;
	char text[AUDIT_TEXT_MAX]; /* what was found; if it deviates, also what is written */
};

/* --- facts --- */

struct audit_thread {
	pid_t thread;
	int error; /* of status; -ESRCH: it ended meanwhile */
	struct proc_status status;
	struct proc_namespaces namespaces;
	int namespaces_error;
	bool kernel_worker; /* runs no code of the process: a worker of io_uring or KVM */
	int filters_error;
	struct trace_filters filters;
	/* What the judge found each filter to be, in the same order: a name, or NULL. */
	const char *filter_names[TRACE_FILTERS_MAX];
};

/* What a descriptor is for. */
enum audit_fd_kind {
	AUDIT_FD_OTHER, /* nothing that a process of ours has */
	AUDIT_FD_NULL,
	AUDIT_FD_LOG, /* 1 and 2: of a child a pipe that only the supervisor reads; of the supervisor its own */
	AUDIT_FD_OUTPUT,   /* the supervisor's end of that pipe */
	AUDIT_FD_CONTROL,  /* SEQPACKET, between the supervisor and a child */
	AUDIT_FD_WIRE,	   /* STREAM, between the core and a device */
	AUDIT_FD_STREAM,   /* STREAM, between the supervisor and a console */
	AUDIT_FD_LISTENER, /* a listening unix socket */
	AUDIT_FD_CLIENT,   /* a unix socket whose other end is no process of the VM's */
	AUDIT_FD_UNIX,	   /* a unix socket, and the kernel does not tell whose its other end is */
	AUDIT_FD_NETLINK,
	AUDIT_FD_PIPE,		 /* both ends in the same process */
	AUDIT_FD_EVENTFD,	 /* its own */
	AUDIT_FD_SHARED_EVENTFD, /* kick, call and interrupts: between the core and a device */
	AUDIT_FD_EPOLL,
	AUDIT_FD_TIMER,
	AUDIT_FD_SIGNALS,
	AUDIT_FD_PIDFD,
	AUDIT_FD_URING,
	AUDIT_FD_KVM,
	AUDIT_FD_VM,
	AUDIT_FD_VCPU,
	AUDIT_FD_RAM,	 /* the guest's memory, which the core has, and the supervisor keeps */
	AUDIT_FD_MEMFD,	 /* another of the core's */
	AUDIT_FD_STATE,	 /* a state page, which the supervisor keeps for a device's next process */
	AUDIT_FD_FILE,	 /* of a device, which the supervisor has open too */
	AUDIT_FD_BOOT,	 /* the supervisor's: kernel and initrd */
	AUDIT_FD_FOLDER, /* the supervisor's: the runtime directory, the VM's in it, control groups */
	AUDIT_FD_LOCK,	 /* the supervisor's: the pid file in the latter */
	AUDIT_FD_INPUT,	 /* the supervisor's 0, where it is no terminal */
	AUDIT_FD_TAP,	 /* likewise */
	AUDIT_FD_PTY,	 /* likewise */
	AUDIT_FD_TERMINAL,
	AUDIT_FD_KIND_COUNT,
};

/* "wire" */
const char *audit_fd_kind_name(enum audit_fd_kind kind);

struct audit_fd {
	enum audit_fd_kind kind;
	char role[PROC_NAME_MAX]; /* "control wire of blk root", "shared with core" */
	unsigned seals;
	int seals_error; /* 0 for a memfd whose seals were read */
};

struct audit_process {
	char role[16], id[64], state[16]; /* as the supervisor says; escaped */
	char title[96];			  /* "blk root" */
	pid_t pid;
	bool no_sandbox; /* the supervisor says: started with --no-sandbox */
	bool recorded;	 /* and: its calls are told and not refused */
	bool read_only;	 /* and: a disk that its config has read-only */
	int dir_fd;	 /* /proc/PID; -1 */
	int error;	 /* -ESRCH: it ended during the audit; nothing below was read, or not all */
	struct audit_thread *threads; /* the first is the main thread */
	size_t thread_count;
	int threads_error;
	/* Each with the error of reading it. */
	struct proc_namespaces namespaces;
	pid_t outsider[PROC_NAMESPACE_COUNT]; /* who is in one that should be its own; 0: nobody */
	struct proc_mounts mounts;
	struct proc_root root;
	struct proc_fds fds;
	struct audit_fd *fd_roles; /* one for each of fds */
	struct proc_maps maps;
	struct proc_limits limits;
	struct proc_id_map uid_map, gid_map;
	struct proc_ids children;
	char cgroup[PROC_NAME_MAX];
	uint32_t owner;
	int namespaces_error, mounts_error, root_error, fds_error, maps_error, limits_error, uid_map_error,
		gid_map_error, children_error, cgroup_error, owner_error, sockets_error;

	struct audit_check *checks;
	size_t check_count;
};

/* One open file description that two processes have: the index of each, and of the descriptor among its fds. */
struct audit_share {
	size_t process[2], fd[2];
};

struct audit {
	char vm[64], state[16];
	struct audit_process *processes; /* the supervisor is the first */
	size_t process_count;
	struct audit_share *shares;
	size_t share_count;
	int shares_error;
	struct unix_sockets sockets;
	int sockets_error;		      /* of the host's network namespace */
	unsigned outsiders, outsiders_unread; /* processes outside of the VM; those that we may not ask */
	bool outsiders_found;		      /* one of them is in a namespace of the VM's */
	int outsiders_error;
	/* The runtime directory, the VM's folder and its lock file, by their inodes. */
	uint64_t base_inode, folder_inode, lock_inode;
	int folder_error;
	unsigned without; /* devices that may have none of what they serve: no process, or one that starts */
	struct proc_namespaces own; /* the auditor's */
	int own_error;
	/* The filters that are written, compiled; ended by NULL. */
	const struct seccomp_filter *const *filters;
	bool privileged; /* we are root of the host's user namespace, as far as we can tell */

	enum audit_verdict verdict; /* the worst of all checks */
	unsigned counts[AUDIT_DEVIATES + 1];
};

/* --- audit_gather.c --- */

/* Asks a supervisor that is connected, and the kernel; the filters are still to be set. 0, or -errno when the supervisor does not answer. */
int audit_gather(struct audit *audit, const char *vm, int socket_fd, pid_t supervisor);
/* Reads all of one process below an open /proc; role, id and pid are set, dir_fd is -1. */
void audit_gather_process(struct audit_process *process, int proc_fd);
void audit_clear(struct audit *audit);

/* --- audit_fds.c --- */

/* Finds out what all descriptors of all processes are for. -ENOMEM */
int audit_name_fds(struct audit *audit);

/* --- audit_shares.c --- */

/* Finds all descriptions that two processes share, or sets shares_error. Needs the rights of ptrace(2) on all. */
void audit_gather_shares(struct audit *audit);

/* --- audit_outside.c --- */

/* Finds processes of the host that are in namespaces of the VM's, below an open /proc; or sets outsiders_error. */
void audit_gather_outside(struct audit *audit, int proc_fd);

/* --- audit_judge.c --- */

void audit_judge(struct audit *audit);
const char *audit_verdict_name(enum audit_verdict verdict);

/* --- audit_print.c --- */

/* colour: with escape sequences of a terminal. */
void audit_print_table(const struct audit *audit, bool colour);
/* 0 or -ENOMEM. */
int audit_print_json(const struct audit *audit);

#endif
