/*
 * What /proc tells of a process, as the audit needs it.
 *
 * Every function reads below a directory's descriptor, /proc/PID or /proc/PID/task/TID: that stays the same
 * process's for ever, whoever gets its number afterwards. It returns 0; -ESRCH when the process or thread is
 * gone; -EACCES when we may not know; -EFBIG when there is more than any process of ours has; -EPROTO when the
 * text is not what the kernel writes; or another -errno. On failure the output is untouched.
 *
 * The processes may be hostile. What they can choose (names of threads, of files, of mappings) comes out as
 * printable ASCII, everything else as \xNN, and bounded. Nothing here opens a file that a process chose, so
 * nothing waits for one.
 *
 * Source: proc(5); Linux, Documentation/filesystems/proc.rst.
 */
#ifndef ATOLL_AUDIT_AUDIT_PROC_H
#define ATOLL_AUDIT_AUDIT_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_NAME_MAX 256 /* of any text here, its end included; longer ones end in "..." */

/* Opens PID's directory below an open /proc. Returns it or -errno. */
int proc_open(int proc_fd, pid_t pid);

/* --- status --- */

struct proc_status {
	char name[64]; /* escaped twice if it is odd: by the kernel and by us */
	char state;    /* 'R', 'S', 'Z', ... */
	pid_t parent;
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	unsigned groups;	 /* supplementary ones */
	uint64_t inheritable, permitted, effective, bounding, ambient;
	bool no_new_privs;
	unsigned seccomp_mode; /* 0 none, 1 strict, 2 filter */
	int seccomp_filters;   /* -1: this kernel does not tell (before 5.9) */
};

int proc_read_status(int dir_fd, struct proc_status *status);

/* Whether a thread runs only the kernel's code: a worker of io_uring or of KVM. */
int proc_read_is_kernel_worker(int dir_fd, bool *is_worker);

/* --- lists --- */

struct proc_ids {
	pid_t *ids;
	size_t count;
};

/* Threads of the process. proc_ids_free() afterwards. */
int proc_read_threads(int dir_fd, struct proc_ids *threads);
/* Processes that it started and that live, of all its threads. */
int proc_read_children(int dir_fd, struct proc_ids *children);
void proc_ids_free(struct proc_ids *ids);

/* --- namespaces --- */

enum proc_namespace {
	PROC_NAMESPACE_USER,
	PROC_NAMESPACE_MOUNT,
	PROC_NAMESPACE_PID,
	PROC_NAMESPACE_NETWORK,
	PROC_NAMESPACE_IPC,
	PROC_NAMESPACE_UTS,
	PROC_NAMESPACE_CGROUP,
	PROC_NAMESPACE_TIME,
	PROC_NAMESPACE_COUNT,
};

/* "user", "mnt", "pid", "net", ...: as in /proc/PID/ns. */
const char *proc_namespace_name(enum proc_namespace namespace);

struct proc_namespaces {
	uint64_t inode[PROC_NAMESPACE_COUNT]; /* 0: this kernel has none of the kind */
};

int proc_read_namespaces(int dir_fd, struct proc_namespaces *namespaces);

/* --- its root --- */

struct proc_mounts {
	unsigned count;
	bool root_readonly;
	char root_type[32];				  /* the file system on "/" */
	char first[PROC_NAME_MAX], second[PROC_NAME_MAX]; /* mount points, "" if there is none */
};

int proc_read_mounts(int dir_fd, struct proc_mounts *mounts);

struct proc_root {
	unsigned entries; /* at least so many: counting ends at 64 */
	char first[PROC_NAME_MAX];
	bool is_working_directory;
};

/* What is in its root. Call it only for a file system of the kernel's own: another might never answer. */
int proc_read_root(int dir_fd, struct proc_root *root);

/* --- descriptors --- */

struct proc_fd {
	int fd;
	char target[PROC_NAME_MAX]; /* where the link points, escaped */
	unsigned flags;		    /* of open(2) */
	unsigned mount;		    /* its mount's id, and its inode: the file, whatever it is called */
	uint64_t inode;		    /* 0: this kernel does not tell (before 5.14) */
	int eventfd;		    /* of an eventfd, its id in the kernel; -1: none, or not told */
	char interface[32];	    /* of a tap, escaped */
	/*
	 * Descriptors that no process has: sent to this unix socket and not taken from it (-1: this kernel, before
	 * 5.11, does not tell), and registered with this io_uring ring (0 also where that is not told).
	 */
	int in_flight, registered;
};

struct proc_fds {
	struct proc_fd *fds; /* in the order of their numbers */
	size_t count;
};

/* Descriptors that are closed meanwhile are left out. proc_fds_free() afterwards. */
int proc_read_fds(int dir_fd, struct proc_fds *fds);
/* One. */
int proc_read_fd(int dir_fd, int number, struct proc_fd *fd);
void proc_fds_free(struct proc_fds *fds);
/* Where one descriptor points, escaped. */
int proc_read_fd_target(int dir_fd, int fd, char *target, size_t size);
/* The seals of a memfd (F_SEAL_...). -EINVAL: it is none. */
int proc_read_seals(int dir_fd, int fd, unsigned *seals);

/* --- memory --- */

/* A file, or what stands for one, and one way in which it is mapped. */
struct proc_map {
	char name[PROC_NAME_MAX]; /* escaped */
	char device[16];	  /* "fd:01" */
	uint64_t inode;
	bool shared, writable, executable;
};

struct proc_maps {
	unsigned count;
	unsigned writable_executable;  /* mappings that are both */
	unsigned anonymous_executable; /* code that is in no file, and not the kernel's (vdso, vsyscall) */
	char first[PROC_NAME_MAX];     /* of these, the line */
	struct proc_map *files;	       /* each file and way once */
	size_t file_count;
};

/* proc_maps_free() afterwards. */
int proc_read_maps(int dir_fd, struct proc_maps *maps);
void proc_maps_free(struct proc_maps *maps);

/* --- limits, groups, owner --- */

/* Of setrlimit(2); RLIM_NLIMITS is 16. */
#define PROC_LIMITS_COUNT 16

struct proc_limits {
	uint64_t soft[PROC_LIMITS_COUNT], hard[PROC_LIMITS_COUNT]; /* by RLIMIT_...; UINT64_MAX: none */
};

int proc_read_limits(int dir_fd, struct proc_limits *limits);
/* "nofile" for RLIMIT_NOFILE. */
const char *proc_limit_name(unsigned limit);

/* The v2 group if there is one, else the first of v1, escaped: "0::/a/b". */
int proc_read_cgroup(int dir_fd, char *text, size_t size);

/* Its ids below the outer ones: the first line of uid_map. inside is 0 for root of a user namespace. */
struct proc_id_map {
	unsigned ranges;
	uint32_t inside, outside, length; /* of the first */
	uint64_t more;			  /* ids in the others */
};

int proc_read_id_map(int dir_fd, bool group, struct proc_id_map *map);

/* Who owns its files in /proc: the process itself if it is dumpable, else root of its memory's namespace. */
int proc_read_owner(int dir_fd, uint32_t *uid);

#endif
