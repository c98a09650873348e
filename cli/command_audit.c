/*
 * atoll audit: what every process of a running VM may do right now, held against what is written. See
 * atoll-audit(1).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/audit_expect.h"
#include "cli/commands.h"
#include "common/host/monitor_client.h"
#include "common/host/runtime_dir.h"

/* The VM cannot be asked: that is no verdict on it, so it is not the status of a deviation. */
static int audit_fail(const char *name, int error)
{
	if (error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR)
		report_error("%s: no VM of this name is running; see \"atoll list\"", name);
	else if (error == -EPIPE)
		report_error("%s: it ended during the audit; see its log", name);
	else if (error == -EAGAIN)
		report_error("%s: its processes come and go; repeat the audit when it runs steadily", name);
	else if (error == -ESRCH)
		report_error("%s: its processes are not seen from this pid namespace; repeat the audit where "
			     "the VM was started",
			     name);
	else
		report_error(
			"%s: its supervisor cannot be asked: %s; see that the runtime directory is yours",
			name, runtime_strerror(error));
	return EXIT_STATUS_HOST;
}

/* The process that listens, by the kernel's word; the pid file is only its own. 0 or -errno. */
static int audit_supervisor(int socket_fd, pid_t *supervisor)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	/* The supervisor is in a pid namespace that we do not see into. */
	if (peer.pid <= 0)
		return -ESRCH;
	*supervisor = peer.pid;
	return 0;
}

int command_audit(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	struct audit audit;
	bool json = false;
	int status, fd, result;
	pid_t supervisor;

	while (command_option(argc, argv, options, &status) != -1)
		json = true;
	if (status >= 0)
		return status;
	if (!command_operands(argc, argv, 1))
		return EXIT_STATUS_USAGE;
	fd = monitor_client_connect(argv[optind], &supervisor);
	if (fd < 0)
		return audit_fail(argv[optind], fd);
	result = audit_supervisor(fd, &supervisor);
	if (result == 0)
		result = audit_gather(&audit, argv[optind], fd, supervisor);
	close(fd);
	if (result < 0)
		return audit_fail(argv[optind], result);
	audit.filters = audit_filters();
	audit_judge(&audit);
	if (json)
		result = audit_print_json(&audit);
	else
		audit_print_table(&audit, isatty(STDOUT_FILENO));
	status = audit.verdict == AUDIT_DEVIATES ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
	audit_clear(&audit);
	if (result < 0) {
		report_error("audit: %s; free some memory", strerror(-result));
		return EXIT_STATUS_HOST;
	}
	/* A table that nobody got is no proof. */
	return fflush(stdout) == 0 ? status : EXIT_STATUS_HOST;
}
