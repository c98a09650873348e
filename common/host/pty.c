/*
 * Everything that names a path is done here: the process that serves the master has none.
 */
#include "common/host/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/*
 * Set through the master, the settings are the other side's and stay while nobody has that open. A pty that
 * was never opened tells no hang-up, so its other side is opened and closed once.
 */
static int pty_prepare(int master)
{
	struct termios raw;
	int peer;

	if (grantpt(master) < 0 || unlockpt(master) < 0 || tcgetattr(master, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	if (tcsetattr(master, TCSANOW, &raw) < 0)
		return -errno;
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (peer < 0)
		return -errno;
	close(peer);
	return 0;
}

int pty_open(char *name, size_t size)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), result;

	if (master < 0)
		return -errno;
	result = pty_prepare(master);
	if (result == 0)
		result = -ptsname_r(master, name, size);
	if (result == 0)
		return master;
	close(master);
	return result;
}
