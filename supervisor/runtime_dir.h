/*
 * The runtime directory: where a running VM is found. See interfaces in docs/man/atoll.1, FILES.
 *
 * A VM owns NAME/ (mode 0700) while it holds the lock on NAME/pid. The lock ends with its process, however
 * that ends, so what a killed supervisor left behind is recognised and cleaned up by the next one, or by
 * `atoll list`. Entries are reached through the directory's descriptor: a path of any length works for a
 * socket too.
 */
#ifndef ATOLL_SUPERVISOR_RUNTIME_DIR_H
#define ATOLL_SUPERVISOR_RUNTIME_DIR_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#define RUNTIME_CONTROL_SOCKET "control"
#define RUNTIME_LOG	       "log"

struct runtime_dir {
	int base_fd; /* the directory of all VMs */
	int fd;	     /* NAME/ */
	int lock_fd; /* NAME/pid, locked */
	char name[64];
	char path[PATH_MAX];
};

/* The directory of all VMs: $ATOLL_RUNTIME_DIR, /run/atoll for root, $XDG_RUNTIME_DIR/atoll. 0, or -ENOENT
 * when the environment names none. */
int runtime_base_path(char *path, size_t size);

/* Opens it; with create also makes it. Returns 0 or -errno. */
int runtime_base_open(int *base_fd, int create);

/*
 * Takes NAME/ for this process. Returns 0, -EBUSY when a VM of that name runs (its pid in *holder, 0 if
 * unknown), or -errno. On failure nothing is left.
 */
int runtime_dir_take(const char *name, struct runtime_dir *dir, pid_t *holder);
/* Removes NAME/ and all in it. */
void runtime_dir_remove(struct runtime_dir *dir);

/* A listening socket NAME/entry, non-blocking; type is SOCK_STREAM or SOCK_SEQPACKET. Returns it or -errno.
 */
int runtime_dir_listen(const struct runtime_dir *dir, const char *entry, int type);
/* A symlink NAME/entry. */
int runtime_dir_link(const struct runtime_dir *dir, const char *target, const char *entry);

/* Whether a VM of that name runs: 1 with *pid, 0 when none does, -errno. Removes what a dead one left. */
int runtime_vm_find(int base_fd, const char *name, pid_t *pid);
/* Connects to the control socket of a VM; the socket or -errno. */
int runtime_vm_connect(int base_fd, const char *name);

/* Binds a unix socket below a directory's descriptor, whatever the length of its path; or connects to it. 0
 * or -errno. */
int socket_bind_at(int socket_fd, int directory_fd, const char *entry);
int socket_connect_at(int socket_fd, int directory_fd, const char *entry);

#endif
