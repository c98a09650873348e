/*
 * The asking side of the monitor, for the commands about running VMs.
 */
#ifndef ATOLL_COMMON_HOST_MONITOR_CLIENT_H
#define ATOLL_COMMON_HOST_MONITOR_CLIENT_H

#include <sys/types.h>

#include "common/base/control_wire.h"

/*
 * Connects to the VM of this name. Returns the socket, -ENOENT when none runs, or -errno. *pid is its
 * supervisor's, 0 if unknown.
 */
int monitor_client_connect(const char *name, pid_t *pid);

/* What a supervisor answers at once, or after half a second if a process of its VM does not. */
#define MONITOR_CLIENT_TIMEOUT_MS 5000

/*
 * Sends a command, about a device or NULL, and waits up to timeout_ms for the reply, which goes into *message, to be
 * cleared by the caller. 0, -EPROTO, -ETIMEDOUT, -EPIPE when the VM ended meanwhile, or -errno.
 */
int monitor_client_ask(int socket_fd, Atoll__Control__MonitorRequest__Command command, const char *device,
		       int timeout_ms, struct control_message *message);

/* Asks for the state of the VM and all of its processes, as often as it takes to be told of each. Else as above. */
int monitor_client_query(int socket_fd, int timeout_ms, struct control_message *message);

/*
 * Waits for the VM's end, at most timeout_ms; and then for that of its supervisor, the process pid, which has nothing
 * more to do than to end. 0, -ETIMEDOUT or -errno.
 */
int monitor_client_wait_end(int socket_fd, pid_t pid, int timeout_ms);

#endif
