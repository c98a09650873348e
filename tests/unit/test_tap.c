/*
 * Opening taps (common/host/tap.h), against the kernel: the test makes a network namespace of its own and the
 * interfaces in it. Skipped where that is not permitted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/host/tap.h"

static bool permitted;

/* A persistent interface of the tun driver, with nobody on it. */
static void interface_make(const char *name, short flags)
{
	struct ifreq request = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

static void interface_change(const char *name, unsigned mtu, bool up)
{
	struct ifreq request = {.ifr_mtu = (int)mtu};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
	request.ifr_flags = up ? IFF_UP : 0;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static void expect_refusal(const char *name, int error)
{
	struct tap tap = {.fd = -7};
	const char *problem = NULL;

	assert_int_equal(tap_open(name, &tap, &problem), error);
	assert_non_null(problem);
	assert_non_null(strstr(problem, "; "));
	assert_int_equal(tap.fd, -7);
}

static void need_namespace(void)
{
	if (!permitted) {
		print_message("no network namespace of our own is permitted here\n");
		skip();
	}
}

static void names_are_judged(void **state)
{
	(void)state;
	expect_refusal("", -EINVAL);
	expect_refusal("sixteen-letters-", -EINVAL);
	expect_refusal("tap%d", -EINVAL);
	expect_refusal("a/b", -EINVAL);
	expect_refusal("a b", -EINVAL);
	expect_refusal("..", -EINVAL);
	expect_refusal("no-such-tap", -ENODEV);
}

/* A name that nobody has is refused, and not made on the way. */
static void nothing_is_made(void **state)
{
	(void)state;
	need_namespace();
	expect_refusal("tap-missing", -ENODEV);
	assert_int_equal(if_nametoindex("tap-missing"), 0);
}

static void tap_is_opened(void **state)
{
	struct tap tap;
	const char *problem;
	int value = 0;
	struct ifreq flags;

	(void)state;
	need_namespace();
	interface_make("tap-good", IFF_TAP | IFF_NO_PI);
	interface_change("tap-good", 1400, false);
	assert_int_equal(tap_open("tap-good", &tap, &problem), 0);
	assert_null(problem);
	assert_int_equal(tap.mtu, 1400);
	assert_false(tap.up);
	assert_int_equal(fcntl(tap.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(tap.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(ioctl(tap.fd, TUNGETVNETHDRSZ, &value), 0);
	assert_int_equal(value, TAP_VNET_HEADER_SIZE);
	assert_int_equal(ioctl(tap.fd, TUNGETVNETLE, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(ioctl(tap.fd, TUNGETIFF, &flags), 0);
	assert_int_equal(flags.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR),
			 IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(tap_set_offload(tap.fd, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN), 0);
	assert_int_equal(tap_set_offload(tap.fd, 0x8000), -EINVAL);
	/* It is ours now. */
	expect_refusal("tap-good", -EBUSY);
	close(tap.fd);
	interface_change("tap-good", 1500, true);
	assert_int_equal(tap_open("tap-good", &tap, &problem), 0);
	assert_true(tap.up);
	assert_int_equal(tap.mtu, 1500);
	close(tap.fd);
}

static void others_are_refused(void **state)
{
	(void)state;
	need_namespace();
	interface_make("tun-other", IFF_TUN | IFF_NO_PI);
	interface_make("tap-many", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
	expect_refusal("tun-other", -EMEDIUMTYPE);
	expect_refusal("lo", -EMEDIUMTYPE);
	expect_refusal("tap-many", -EOPNOTSUPP);
}

/* A tap that has an owner is for him and for who may administer the network. */
static void rights_are_told(void **state)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "tap-owned"};
	int status;
	pid_t pid;

	(void)state;
	need_namespace();
	if (geteuid() != 0)
		skip();
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	/* In a user namespace that maps root alone another owner cannot be named. */
	if (ioctl(fd, TUNSETOWNER, 12345) < 0) {
		close(fd);
		skip();
	}
	close(fd);
	pid = fork();
	if (pid == 0) {
		struct tap tap;
		const char *problem = NULL;
		int result;

		if (setuid(65534) < 0)
			_exit(2);
		/* Where the device node is root's alone, that is told instead. */
		result = tap_open("tap-owned", &tap, &problem);
		_exit((result == -EPERM || result == -EACCES) && strstr(problem, "no right to") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_judged), cmocka_unit_test(nothing_is_made),
		cmocka_unit_test(tap_is_opened),    cmocka_unit_test(others_are_refused),
		cmocka_unit_test(rights_are_told),
	};

	permitted = (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
		    access("/dev/net/tun", R_OK | W_OK) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
