#include "supervisor/host/own_process.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/pidfd.h>
#include <unistd.h>

static int own_pidfd = -1;

int own_process_open(void)
{
	own_pidfd = pidfd_open(getpid(), 0);
	return own_pidfd < 0 ? -errno : 0;
}

void own_process_signal(int number)
{
	if (own_pidfd < 0)
		raise(number);
	else
		pidfd_send_signal(own_pidfd, number, NULL, 0);
}
