/*
 * Opening a tap. TUNSETIFF makes the interface when there is none and the caller may, so the name is looked
 * up first, through a socket and not through /sys: a mount of sysfs shows the network namespace in which it
 * was made, a socket the one in which the caller is. That the interface is still the same one is seen from
 * its index afterwards.
 */
#include "common/host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int tap_fail(int error, const char *text, const char **problem)
{
	*problem = text;
	return error;
}

/* What the kernel's dev_valid_name() takes, and no '%': TUNSETIFF sees a template in it. */
static bool tap_name_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length < IFNAMSIZ && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       name[strcspn(name, "/:% \t\n\v\f\r")] == '\0';
}

/* One of the requests that take the name alone and answer in the struct. */
static int tap_ask(int socket_fd, unsigned long request, const char *name, struct ifreq *answer)
{
	memset(answer, 0, sizeof(*answer));
	strcpy(answer->ifr_name, name);
	return ioctl(socket_fd, request, answer) < 0 ? -errno : 0;
}

static int tap_index(int socket_fd, const char *name)
{
	struct ifreq request;
	int result = tap_ask(socket_fd, SIOCGIFINDEX, name, &request);

	return result < 0 ? result : request.ifr_ifindex;
}

/* Whether the interface is the tun driver's, and made in the mode "tap". 0 or -EMEDIUMTYPE. */
static int tap_check_kind(int socket_fd, const char *name)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (char *)&driver};

	strcpy(request.ifr_name, name);
	if (ioctl(socket_fd, SIOCETHTOOL, &request) < 0 || strcmp(driver.driver, "tun") != 0 ||
	    strcmp(driver.bus_info, "tap") != 0)
		return -EMEDIUMTYPE;
	return 0;
}

static int tap_open_driver(const char **problem)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return tap_fail(-ENOENT, "there is no /dev/net/tun; load the module: modprobe tun", problem);
	case EACCES:
	case EPERM:
		return tap_fail(-errno, "no right to /dev/net/tun; get the right to read and write it",
				problem);
	default:
		return tap_fail(-errno, "/dev/net/tun cannot be opened; see that the tun driver works",
				problem);
	}
}

static int tap_attach(int fd, const char *name, const char **problem)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return 0;
	switch (errno) {
	case EBUSY:
		return tap_fail(-EBUSY, "another process uses the tap; stop it, or name another tap",
				problem);
	case EPERM:
	case EACCES:
		return tap_fail(
			-errno,
			"no right to the tap; make it with `ip tuntap add dev NAME mode tap user USER`, or "
			"run as root",
			problem);
	case EINVAL:
		/* The one thing that an existing tap and this request can disagree in. */
		return tap_fail(-EOPNOTSUPP, "the tap has several queues; make it without multi_queue",
				problem);
	default:
		return tap_fail(-errno, "the tap cannot be taken; see the kernel's log", problem);
	}
}

bool tap_gone(int fd)
{
	struct ifreq request;

	return ioctl(fd, TUNGETIFF, &request) < 0 && errno == EBADFD;
}

int tap_set_offload(int fd, unsigned flags)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) < 0 ? -errno : 0;
}

bool tap_has_uso(int fd)
{
	bool has = tap_set_offload(fd, TUN_F_CSUM | TAP_OFFLOAD_USO4 | TAP_OFFLOAD_USO6) == 0;

	tap_set_offload(fd, 0);
	return has;
}

static int tap_set_header(int fd, const char **problem)
{
	int size = TAP_VNET_HEADER_SIZE;
	int little_endian = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl(fd, TUNSETVNETLE, &little_endian) < 0 ||
	    tap_set_offload(fd, 0) < 0)
		return tap_fail(-EOPNOTSUPP,
				"the kernel's taps lack the virtio header; use Linux 4.0 or later", problem);
	return 0;
}

/* The queue is ours; look that it is the queue of what was looked at, and how that stands. */
static int tap_look(int socket_fd, const char *name, int index, struct tap *tap, const char **problem)
{
	struct ifreq mtu, flags;

	if (tap_index(socket_fd, name) != index || tap_ask(socket_fd, SIOCGIFMTU, name, &mtu) < 0 ||
	    tap_ask(socket_fd, SIOCGIFFLAGS, name, &flags) < 0)
		return tap_fail(-ENODEV, "the interface went away meanwhile; make it again", problem);
	tap->mtu = (uint32_t)mtu.ifr_mtu;
	tap->up = (flags.ifr_flags & IFF_UP) != 0;
	return 0;
}

static int tap_open_checked(int socket_fd, const char *name, struct tap *tap, const char **problem)
{
	int index = tap_index(socket_fd, name);
	int fd, result;

	if (index == -ENODEV)
		return tap_fail(-ENODEV,
				"there is no such interface; make it with `ip tuntap add dev NAME mode tap`",
				problem);
	if (index < 0)
		return tap_fail(index,
				"interfaces cannot be looked up; see that this is a Linux with networking",
				problem);
	if (tap_check_kind(socket_fd, name) < 0)
		return tap_fail(-EMEDIUMTYPE,
				"the interface is not a tap; make one with `ip tuntap add dev NAME mode tap`",
				problem);
	fd = tap_open_driver(problem);
	if (fd < 0)
		return fd;
	result = tap_attach(fd, name, problem);
	if (result == 0)
		result = tap_look(socket_fd, name, index, tap, problem);
	if (result == 0)
		result = tap_set_header(fd, problem);
	if (result < 0) {
		close(fd);
		return result;
	}
	tap->fd = fd;
	tap->index = (unsigned)index;
	return 0;
}

int tap_open(const char *name, struct tap *tap, const char **problem)
{
	struct tap opened;
	int sockets[2], result;

	if (!tap_name_valid(name))
		return tap_fail(-EINVAL,
				"not an interface's name; give 1 to 15 characters without / : % and spaces",
				problem);
	/*
	 * The requests take any socket. A sealed supervisor may still make a pair; that has no address and is good for
	 * nothing else.
	 */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return tap_fail(-errno, "no socket can be made; see the limit of open files", problem);
	result = tap_open_checked(sockets[0], name, &opened, problem);
	close(sockets[0]);
	close(sockets[1]);
	if (result == 0) {
		*tap = opened;
		*problem = NULL;
	}
	return result;
}
