/*
 * The runtime directory: where a running VM is found. See interfaces in docs/man/atoll.1, FILES.
 *
 * A VM owns NAME/ (mode 0700) while it holds the lock on NAME/pid. The lock ends with its process, however
 * that ends, so what a killed supervisor left behind is recognised and cleaned up by the next one, or by
 * `atoll list`. Entries are reached through the directory's descriptor: a path of any length works for a
 * socket too.
 *
 * The directory may hold files of the operator's, by mistake or not, and none of them is ours to delete. So the
 * directory of all VMs must be this user's or root's, with nobody else able to write it; NAME/ is a VM's only
 * if it has our mark, NAME/atoll-vm; and only entries that we make, of the kind that we make, are ever removed.
 */
#ifndef ATOLL_COMMON_HOST_RUNTIME_DIR_H
#define ATOLL_COMMON_HOST_RUNTIME_DIR_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#define RUNTIME_CONTROL_SOCKET "control"
#define RUNTIME_LOG	       "log"

/* Beside errno's, results (negative) of the functions below; runtime_strerror() has words for all. */
enum runtime_error {
	RUNTIME_ERROR_OWNER = 4096, /* the directory of all VMs is another user's */
	RUNTIME_ERROR_MODE,	    /* others can write it */
	RUNTIME_ERROR_FOREIGN,	    /* NAME/ is there, holds something, and is no VM's */
};

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

/* Opens it; with create also makes it. Returns 0, -errno, or the error that it is not safe to use. */
int runtime_base_open(int *base_fd, int create);

/* What is wrong, for a result of the functions here. */
const char *runtime_strerror(int result);

/*
 * Takes NAME/ for this process. Returns 0, -EBUSY when a VM of that name runs (its pid in *holder, 0 if
 * unknown), -RUNTIME_ERROR_FOREIGN, or -errno. On failure nothing is left, and nothing of others' is touched.
 */
int runtime_dir_take(const char *name, struct runtime_dir *dir, pid_t *holder);
/* Whether that would be refused, and as what; takes and leaves nothing. */
int runtime_dir_look(int base_fd, const char *name, pid_t *holder);
/* Removes what we made in NAME/, and NAME/ itself unless it has something else; that is warned of. */
void runtime_dir_remove(struct runtime_dir *dir);

/* A listening socket NAME/entry, non-blocking; type is SOCK_STREAM or SOCK_SEQPACKET. Returns it or -errno.
 */
int runtime_dir_listen(const struct runtime_dir *dir, const char *entry, int type);
/* A symlink NAME/entry. */
int runtime_dir_link(const struct runtime_dir *dir, const char *target, const char *entry);

/*
 * Whether a VM of that name runs: 1 with *pid, 0 when none does, -errno. Removes what a dead one left, if nothing
 * else is there; what has not our mark is not even opened for writing.
 */
int runtime_vm_find(int base_fd, const char *name, pid_t *pid);
/* Connects to the control socket of a VM; the socket or -errno. */
int runtime_vm_connect(int base_fd, const char *name);

/* Binds a unix socket below a directory's descriptor, whatever the length of its path; or connects to it. 0
 * or -errno. */
int socket_bind_at(int socket_fd, int directory_fd, const char *entry);
int socket_connect_at(int socket_fd, int directory_fd, const char *entry);

#endif
