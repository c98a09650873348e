/*
 * Unix sockets by sock_diag(7). Another network namespace is entered by a thread that ends there.
 */
#include "audit/audit_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX	 (1u << 20)
#define STATE_LISTENING	 10 /* TCP_LISTEN, which unix sockets share */
#define REPLY_TIMEOUT_MS 2000

static int sockets_add(struct unix_sockets *sockets, const struct unix_socket *socket)
{
	if (sockets->count == SOCKETS_MAX)
		return -EFBIG;
	if ((sockets->count & (sockets->count - 1)) == 0) {
		size_t room = sockets->count == 0 ? 1 : sockets->count * 2;
		struct unix_socket *larger = realloc(sockets->sockets, room * sizeof(*larger));

		if (larger == NULL)
			return -ENOMEM;
		sockets->sockets = larger;
	}
	sockets->sockets[sockets->count++] = *socket;
	return 0;
}

static int socket_take(struct unix_sockets *sockets, struct nlmsghdr *header)
{
	struct unix_diag_msg *message = NLMSG_DATA(header);
	struct unix_socket socket;
	struct rtattr *attribute;
	size_t left;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
		return -EPROTO;
	socket = (struct unix_socket){.inode = message->udiag_ino,
				      .type = message->udiag_type,
				      .listening = message->udiag_state == STATE_LISTENING};
	left = header->nlmsg_len - NLMSG_LENGTH(sizeof(*message));
	for (attribute = (struct rtattr *)(void *)(message + 1); RTA_OK(attribute, left);
	     attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attribute) >= sizeof(socket.peer))
			memcpy(&socket.peer, RTA_DATA(attribute), sizeof(socket.peer));
	return sockets_add(sockets, &socket);
}

/* 1 at the end of the list, 0 if more comes, -errno. */
static int reply_take(struct unix_sockets *sockets, void *buffer, size_t size)
{
	struct nlmsghdr *header;

	for (header = buffer; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		int result;

		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			struct nlmsgerr *error = NLMSG_DATA(header);

			/* ENOENT: no module for this family. */
			return error->error == -ENOENT ? -EOPNOTSUPP
			       : error->error != 0     ? error->error
						       : -EPROTO;
		}
		if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			continue;
		result = socket_take(sockets, header);
		if (result < 0)
			return result;
	}
	return 0;
}

static int sockets_ask(int fd)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} message = {.header = {.nlmsg_len = sizeof(message),
				.nlmsg_type = SOCK_DIAG_BY_FAMILY,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		     .request = {.sdiag_family = AF_UNIX,
				 .udiag_states = ~UINT32_C(0),
				 .udiag_show = UDIAG_SHOW_PEER}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	return sendto(fd, &message, sizeof(message), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0
		       ? -errno
		       : 0;
}

int unix_sockets_read(struct unix_sockets *sockets)
{
	static const struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_MS / 1000};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), result;
	const size_t size = 32768, before = sockets->count;
	void *buffer;

	if (fd < 0)
		return errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	buffer = malloc(size);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	result = buffer == NULL ? -ENOMEM : sockets_ask(fd);
	while (result == 0) {
		ssize_t received = recv(fd, buffer, size, 0);

		if (received < 0 && errno == EINTR)
			continue;
		result = received < 0 ? -errno : reply_take(sockets, buffer, (size_t)received);
	}
	free(buffer);
	close(fd);
	if (result < 0)
		sockets->count = before;
	return result < 0 ? result : 0;
}

struct visit {
	int namespace_fd;
	struct unix_sockets *sockets;
	int result;
};

static void *visit_run(void *argument)
{
	struct visit *visit = argument;

	if (setns(visit->namespace_fd, CLONE_NEWNET) < 0)
		visit->result = errno == EPERM ? -EACCES : -errno;
	else
		visit->result = unix_sockets_read(visit->sockets);
	return NULL;
}

int unix_sockets_read_of(int dir_fd, struct unix_sockets *sockets)
{
	struct visit visit = {.namespace_fd = openat(dir_fd, "ns/net", O_RDONLY | O_CLOEXEC),
			      .sockets = sockets};
	pthread_t thread;

	if (visit.namespace_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	visit.result = -pthread_create(&thread, NULL, visit_run, &visit);
	if (visit.result == 0)
		pthread_join(thread, NULL);
	close(visit.namespace_fd);
	return visit.result;
}

static int socket_compare(const void *a, const void *b)
{
	uint32_t left = ((const struct unix_socket *)a)->inode,
		 right = ((const struct unix_socket *)b)->inode;

	return left < right ? -1 : left > right;
}

void unix_sockets_sort(struct unix_sockets *sockets)
{
	if (sockets->count > 0)
		qsort(sockets->sockets, sockets->count, sizeof(*sockets->sockets), socket_compare);
}

const struct unix_socket *unix_sockets_find(const struct unix_sockets *sockets, uint64_t inode)
{
	struct unix_socket key = {.inode = (uint32_t)inode};

	if (sockets->count == 0 || inode > UINT32_MAX)
		return NULL;
	return bsearch(&key, sockets->sockets, sockets->count, sizeof(key), socket_compare);
}

void unix_sockets_free(struct unix_sockets *sockets)
{
	free(sockets->sockets);
	*sockets = (struct unix_sockets){0};
}
