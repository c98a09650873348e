/*
 * Watching links. The kernel drops notices when our buffer is full and says so (ENOBUFS); then, as at the
 * start, all links are asked for, so that what is told is right again.
 *
 * Source: rtnetlink(7).
 */
#include "supervisor/host/link_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct link_watch {
	int fd;
	struct loop_watch *watch;
	link_watch_fn changed;
	void *owner;
};

static int link_watch_ask(const struct link_watch *watch)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETLINK,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.link = {.ifi_family = AF_UNSPEC},
	};

	return send(watch->fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

static void link_watch_readable(int fd, unsigned events, void *argument)
{
	struct link_watch *watch = argument;
	union {
		struct nlmsghdr header;
		char bytes[16384];
	} buffer;
	ssize_t size = recv(fd, &buffer, sizeof(buffer), MSG_DONTWAIT);

	(void)events;
	if (size < 0) {
		if (errno == ENOBUFS)
			link_watch_ask(watch);
		return;
	}
	for (struct nlmsghdr *message = &buffer.header; NLMSG_OK(message, (size_t)size);
	     message = NLMSG_NEXT(message, size)) {
		const struct ifinfomsg *link = NLMSG_DATA(message);

		/* A message of another family is a bridge's news of its port, not of the link. */
		if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*link)) || link->ifi_family != AF_UNSPEC)
			continue;
		if (message->nlmsg_type == RTM_NEWLINK)
			watch->changed(watch->owner, (unsigned)link->ifi_index,
				       (link->ifi_flags & IFF_UP) != 0);
		else if (message->nlmsg_type == RTM_DELLINK)
			watch->changed(watch->owner, (unsigned)link->ifi_index, false);
	}
}

int link_watch_new(struct loop *loop, link_watch_fn changed, void *owner, struct link_watch **watch)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	struct link_watch *new_watch = calloc(1, sizeof(*new_watch));
	int result;

	if (new_watch == NULL)
		return -ENOMEM;
	new_watch->changed = changed;
	new_watch->owner = owner;
	new_watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (new_watch->fd < 0 || bind(new_watch->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		result = -errno;
		goto free_watch;
	}
	result = link_watch_ask(new_watch);
	if (result < 0)
		goto free_watch;
	new_watch->watch = loop_watch_fd(loop, new_watch->fd, LOOP_READ, link_watch_readable, new_watch);
	if (new_watch->watch == NULL) {
		result = -ENOMEM;
		goto free_watch;
	}
	*watch = new_watch;
	return 0;

free_watch:
	if (new_watch->fd >= 0)
		close(new_watch->fd);
	free(new_watch);
	return result;
}

void link_watch_free(struct link_watch *watch)
{
	if (watch == NULL)
		return;
	loop_unwatch(watch->watch);
	close(watch->fd);
	free(watch);
}
