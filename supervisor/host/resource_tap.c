/* A network's tap; see resource.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/host/tap.h"
#include "supervisor/host/resource_kinds.h"

static void tap_take(struct resource *resource, const struct tap *tap)
{
	resource->fd = tap->fd;
	resource->tap.interface_index = tap->index;
	resource->tap.mtu = tap->mtu;
	resource->tap.link_up = tap->up;
	resource->tap.gone = false;
}

static void tap_resource_open(struct opening *opening, struct resource *resource)
{
	const char *name = resource->tap.config->tap, *problem = NULL;
	struct tap tap;
	char key[64];
	unsigned line;
	int result;

	snprintf(key, sizeof(key), "%s.tap", resource->of.key);
	line = config_file_line(opening->file, "%s", key);
	result = tap_open(name, &tap, &problem);
	/* -ENOENT: it is the host that lacks /dev/net/tun; an interface that is not there is another error. */
	if (result == -ENOENT || opening_host_lacks(-result))
		problem_add_host(opening->problems, line, key, "%s: %s", name, problem);
	else if (result < 0)
		problem_add(opening->problems, line, key, "%s: %s", name, problem);
	else
		tap_take(resource, &tap);
}

/* It may have been deleted while the VM ran, and been made again. */
static int tap_renew(struct resource *resource, char *lost, size_t size)
{
	const char *name = resource->tap.config->tap, *problem;
	struct tap tap;
	int result;

	if (!tap_gone(resource->fd))
		return 0;
	result = tap_open(name, &tap, &problem);
	if (result < 0) {
		snprintf(lost, size, "its tap %s, which was deleted: %s", name, problem);
		return result;
	}
	close(resource->fd);
	tap_take(resource, &tap);
	return 0;
}

static void tap_reach(const struct resource *resource, struct reach *reach)
{
	(void)resource;
	reach_add_path(reach, AT_FDCWD, "/dev/net/tun",
		       JAIL_PATH_READ_FILE | JAIL_PATH_WRITE_FILE | JAIL_PATH_IOCTL_DEV);
}

static const struct resource_kind tap_kind = {
	.open = tap_resource_open, .renew = tap_renew, .reach = tap_reach};

void resource_tap_init(struct resource *resource, const struct config_network *network)
{
	resource->kind = &tap_kind;
	resource->tap.config = network;
}
