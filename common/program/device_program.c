/*
 * The main program of a device process. Two ways in, one way on:
 *
 *   supervised   the control wire configures the device and brings its one wire; the session's end, an order, or the
 *                supervisor's end stops the program.
 *   by hand      options configure it; a listening socket brings one front end after the other, a connected one is
 *                served once; a signal stops the program.
 *
 * From there on both are the same: everything that needs a right is open, the process goes into the jail, prepares,
 * and seals itself before the first byte of a front end. By hand there is nobody who could make the namespaces from
 * outside, so the program does that itself: it becomes two processes, and the one outside attends the other one.
 */
#include "common/program/device_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/peers.h"
#include "common/jail/jail.h"
#include "config.h"

/* Descriptors of a device: an image or a tap, wires, and for each queue a ring and three eventfds. */
#define DEVICE_FILES 512

enum device_exit {
	DEVICE_EXIT_DONE = 0,
	DEVICE_EXIT_FAILED = 1,
	DEVICE_EXIT_USAGE = 2,
	DEVICE_EXIT_HOST = 3,
};

struct device_program {
	const struct device_program_ops *ops;
	void *device;
	struct loop *loop;
	struct child *child; /* NULL by hand */
	int status;

	/* By hand. */
	const char *socket_path;
	int given_fd;
	int listen_fd;
	struct loop_watch *listen_watch;
	struct loop_watch *signal_watches[3];
	bool socket_bound; /* socket_path is ours to unlink */
	bool no_sandbox;
	bool inside; /* the process in the jail */
	sigset_t signals_before;

	bool session; /* one is running */
};

struct loop *device_program_loop(struct device_program *program)
{
	return program->loop;
}

struct child *device_program_child(struct device_program *program)
{
	return program->child;
}

/* --- Options --- */

enum {
	OPTION_SOCKET_PATH = 256,
	OPTION_FD,
	OPTION_PRINT_CAPABILITIES,
	OPTION_NO_SANDBOX,
	OPTION_VERSION,
	OPTION_OWN, /* + index into ops->options */
};

static void device_help(const struct device_program_ops *ops)
{
	printf("Usage: %s --socket-path=PATH [OPTION...]\n"
	       "       %s --fd=N [OPTION...]\n"
	       "%s\n\nOptions:\n",
	       ops->program, ops->program, ops->summary);
	for (const struct device_option *option = ops->options; option != NULL && option->name != NULL;
	     option++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument != NULL ? "=" : "",
			 option->argument != NULL ? option->argument : "");
		printf("  %-28s %s\n", left, option->help);
	}
	printf("  --socket-path=PATH           listen there and serve one front end after the other\n"
	       "  --fd=N                       serve the connected or listening socket N\n"
	       "  --print-capabilities         print the capabilities as JSON and exit\n"
	       "  --no-sandbox                 for debugging: keep all rights of this user\n"
	       "  -v, --verbose                log more; twice: still more\n"
	       "  -q, --quiet                  log less\n"
	       "  -h, --help                   print this and exit\n"
	       "      --version                print the version and exit\n");
}

static int device_usage_error(const struct device_program_ops *ops)
{
	fprintf(stderr, "%s: bad usage; see `%s --help`\n", ops->program, ops->program);
	return DEVICE_EXIT_USAGE;
}

static void device_log_level(int change)
{
	int level = (int)log_get_level() + change;

	if (level >= LOG_LEVEL_ERROR && level <= LOG_LEVEL_DEBUG)
		log_set_level((enum log_level)level);
}

static int device_parse_fd(const char *text, int *fd)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 1 << 20)
		return -EINVAL;
	*fd = (int)value;
	return 0;
}

#define DEVICE_OPTIONS_MAX 32

/* The common options and the device's own, as getopt_long() wants them. */
static void device_build_options(const struct device_program_ops *ops, struct option *table)
{
	static const struct option common[] = {
		{"socket-path", required_argument, NULL, OPTION_SOCKET_PATH},
		{"fd", required_argument, NULL, OPTION_FD},
		{"print-capabilities", no_argument, NULL, OPTION_PRINT_CAPABILITIES},
		{"no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX},
		{"verbose", no_argument, NULL, 'v'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPTION_VERSION},
	};
	size_t count = sizeof(common) / sizeof(common[0]);

	memcpy(table, common, sizeof(common));
	for (size_t i = 0;
	     ops->options != NULL && ops->options[i].name != NULL && count < DEVICE_OPTIONS_MAX - 1; i++) {
		table[count++] = (struct option){
			.name = ops->options[i].name,
			.has_arg = ops->options[i].argument != NULL ? required_argument : no_argument,
			.val = OPTION_OWN + (int)i,
		};
	}
	table[count] = (struct option){0};
}

/* Returns -1 to go on, or the exit status. */
static int device_parse(struct device_program *program, int argc, char **argv)
{
	const struct device_program_ops *ops = program->ops;
	struct option table[DEVICE_OPTIONS_MAX];
	int option;

	device_build_options(ops, table);
	while ((option = getopt_long(argc, argv, "vqh", table, NULL)) != -1) {
		switch (option) {
		case OPTION_SOCKET_PATH:
			program->socket_path = optarg;
			break;
		case OPTION_FD:
			if (device_parse_fd(optarg, &program->given_fd) < 0) {
				log_error("--fd=%s: not a descriptor's number", optarg);
				return DEVICE_EXIT_USAGE;
			}
			break;
		case OPTION_PRINT_CAPABILITIES:
			fputs(ops->capabilities, stdout);
			return fflush(stdout) == 0 ? DEVICE_EXIT_DONE : DEVICE_EXIT_FAILED;
		case OPTION_NO_SANDBOX:
			program->no_sandbox = true;
			break;
		case OPTION_VERSION:
			printf("%s %s\n", ops->program, PACKAGE_VERSION);
			return DEVICE_EXIT_DONE;
		case 'h':
			device_help(ops);
			return DEVICE_EXIT_DONE;
		case 'v':
			device_log_level(1);
			break;
		case 'q':
			device_log_level(-1);
			break;
		case '?':
			return device_usage_error(ops);
		default:
			if (ops->option(program->device, ops->options[option - OPTION_OWN].name, optarg) < 0)
				return DEVICE_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		log_error("unexpected argument \"%s\"; see `%s --help`", argv[optind], ops->program);
		return DEVICE_EXIT_USAGE;
	}
	if ((program->socket_path != NULL) == (program->given_fd >= 0)) {
		log_error("give either --socket-path=PATH or --fd=N; see `%s --help`", ops->program);
		return DEVICE_EXIT_USAGE;
	}
	return -1;
}

static int device_exit_status(int error)
{
	switch (error) {
	case 0:
		return DEVICE_EXIT_DONE;
	case -EINVAL:
		return DEVICE_EXIT_USAGE;
	case -ENODEV:
	case -EACCES:
	case -EPERM:
		return DEVICE_EXIT_HOST;
	default:
		return DEVICE_EXIT_FAILED;
	}
}

/* --- Sealing --- */

static int device_make_loop(struct device_program *program)
{
	program->loop = loop_new();
	if (program->loop != NULL)
		return 0;
	log_error("cannot make an event loop: %s", strerror(errno));
	return -errno;
}

/* Nothing of a front end was read yet. */
static int device_seal(struct device_program *program)
{
	const struct device_program_ops *ops = program->ops;
	bool by_hand = program->child == NULL;
	const struct seccomp_filter *filter = by_hand ? ops->hand_filter : ops->filter;
	const struct seccomp_filter *main_filter = by_hand ? ops->hand_main_filter : ops->main_filter;
	int result = 0;

	if (filter != NULL)
		result = jail_seal_process(filter, ops->tasks);
	if (result == 0 && ops->seal != NULL)
		result = ops->seal(program->device);
	if (result == 0 && main_filter != NULL)
		result = jail_seal_thread(main_filter, NULL, 0);
	return result;
}

/* --- Sessions --- */

static int device_session_start(struct device_program *program, int socket_fd)
{
	int result = program->ops->session_start(program->device, program, socket_fd);

	if (result < 0) {
		log_error("cannot start a session: %s", strerror(-result));
		return result;
	}
	program->session = true;
	return 0;
}

void device_program_session_ended(struct device_program *program, int error)
{
	program->session = false;
	if (error < 0)
		log_warning("the front end's session ended: %s", strerror(-error));
	log_flush_held(false);
	if (program->listen_watch != NULL) {
		log_info("waiting for the next front end");
		loop_watch_set_events(program->listen_watch, LOOP_READ);
		return;
	}
	if (error < 0)
		program->status = DEVICE_EXIT_FAILED;
	/* A supervised device stays until it is told to go: the supervisor learns the reason from the core.
	 */
	if (program->child == NULL || error < 0)
		loop_stop(program->loop);
}

static void device_stop(struct device_program *program)
{
	if (program->session) {
		program->session = false;
		program->ops->session_stop(program->device);
	}
	loop_stop(program->loop);
}

/* --- By hand --- */

/* Whether somebody listens on the socket at address. */
static bool device_socket_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
				 errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return alive;
}

static int device_listen(struct device_program *program)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	int result;

	if (strlen(program->socket_path) >= sizeof(address.sun_path)) {
		log_error("%s: the path is too long for a socket; choose one of at most %zu bytes",
			  program->socket_path, sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(address.sun_path, program->socket_path);
	program->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (program->listen_fd < 0)
		return -errno;
	if (lstat(program->socket_path, &status) == 0 && S_ISSOCK(status.st_mode)) {
		if (device_socket_alive(&address)) {
			log_error("%s: another program listens there; choose another path",
				  program->socket_path);
			return -EADDRINUSE;
		}
		unlink(program->socket_path);
	}
	if (bind(program->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		result = -errno;
		log_error("%s: cannot listen: %s", program->socket_path, strerror(errno));
		return result;
	}
	program->socket_bound = true;
	return listen(program->listen_fd, 1) < 0 ? -errno : 0;
}

static void device_acceptable(int fd, unsigned events, void *argument)
{
	struct device_program *program = argument;
	int socket_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (socket_fd < 0)
		return;
	/* One front end at a time: the next one waits in the backlog. */
	loop_watch_set_events(program->listen_watch, 0);
	if (device_session_start(program, socket_fd) < 0) {
		close(socket_fd);
		loop_watch_set_events(program->listen_watch, LOOP_READ);
	}
}

static void device_signalled(int signal_number, void *argument)
{
	log_info("ended by signal %s", sigabbrev_np(signal_number));
	device_stop(argument);
}

static const int device_signals[] = {SIGTERM, SIGINT, SIGHUP};

/* The listening or connected socket of --socket-path or --fd. */
static int device_open_socket(struct device_program *program)
{
	int listening = 0;
	socklen_t length = sizeof(listening);

	if (program->socket_path != NULL)
		return device_listen(program);
	if (getsockopt(program->given_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0) {
		log_error("--fd=%d: %s", program->given_fd, strerror(errno));
		return -EINVAL;
	}
	if (listening) {
		program->listen_fd = program->given_fd;
		program->given_fd = -1;
	}
	return 0;
}

static int device_serve_by_hand(struct device_program *program)
{
	for (size_t i = 0; i < sizeof(device_signals) / sizeof(device_signals[0]); i++) {
		program->signal_watches[i] =
			loop_watch_signal(program->loop, device_signals[i], device_signalled, program);
		if (program->signal_watches[i] == NULL)
			return -ENOMEM;
	}
	if (program->listen_fd >= 0) {
		program->listen_watch = loop_watch_fd(program->loop, program->listen_fd, LOOP_READ,
						      device_acceptable, program);
		return program->listen_watch != NULL ? 0 : -ENOMEM;
	}
	return device_session_start(program, program->given_fd);
}

/* What the shell left open is nobody's here. */
static int device_close_others(const struct device_program *program)
{
	unsigned keep = program->given_fd > STDERR_FILENO ? (unsigned)program->given_fd : STDERR_FILENO;

	if (keep > STDERR_FILENO + 1 && close_range(STDERR_FILENO + 1, keep - 1, 0) < 0)
		return -errno;
	return close_range(keep + 1, ~0u, 0) < 0 ? -errno : 0;
}

/*
 * Signals that end the program are held back until the process inside can take them: the kernel drops those that
 * the first process of a pid namespace has no handler for.
 */
static void device_hold_signals(struct device_program *program)
{
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < sizeof(device_signals) / sizeof(device_signals[0]); i++)
		sigaddset(&held, device_signals[i]);
	sigaddset(&held, SIGTSTP);
	sigaddset(&held, SIGCHLD);
	sigprocmask(SIG_BLOCK, &held, &program->signals_before);
}

/* The process inside has no use of the terminal's or the shell's standard input and output. */
static int device_leave_stdio(int null_fd)
{
	int result = dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ? -errno : 0;

	close(null_fd);
	return result;
}

/* The process inside, from its first step. */
static int device_go_inside(struct device_program *program, struct jail_fork *fork, int null_fd)
{
	const struct jail jail = {
		.program = program->ops->program, .parent_fd = fork->link_fd, .files = DEVICE_FILES};
	int result;

	program->inside = true;
	jail_fork_done(fork);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	result = device_leave_stdio(null_fd);
	if (result == 0)
		result = jail_enter(&jail);
	return result < 0 ? result : jail_watch_violations(-1);
}

/* The process outside; returns the exit status. */
static int device_stay_outside(struct device_program *program, struct jail_fork *fork)
{
	int result = jail_fork_wait(fork);

	if (result < 0) {
		log_error("jail: %s: %s; %s", fork->step, strerror(-result), fork->remedy);
		return DEVICE_EXIT_FAILED;
	}
	/* A front end must see its socket close when the process inside closes it. */
	if (program->given_fd >= 0)
		close(program->given_fd);
	if (program->listen_fd >= 0)
		close(program->listen_fd);
	program->listen_fd = -1;
	return jail_fork_attend(fork);
}

/* Everything is open. Returns -1 to go on, inside or without a jail, or the exit status. */
static int device_split(struct device_program *program)
{
	struct jail_fork fork;
	int result, null_fd;

	if (program->no_sandbox) {
		log_warning("it runs without its sandbox (--no-sandbox), with all rights of its user: do not "
			    "let a guest use it that you do not trust");
		return -1;
	}
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	result = null_fd < 0 ? -errno : jail_fork(&fork);
	if (result == 1) {
		result = device_go_inside(program, &fork, null_fd);
		return result < 0 ? DEVICE_EXIT_FAILED : -1;
	}
	if (null_fd >= 0)
		close(null_fd);
	if (result == 0)
		return device_stay_outside(program, &fork);
	if (null_fd < 0)
		log_error("/dev/null: %s; mount /dev as other programs need it", strerror(-result));
	else
		log_error("jail: %s: %s; %s", fork.step, strerror(-result), fork.remedy);
	return DEVICE_EXIT_HOST;
}

/* The process that serves. */
static int device_run_loop_by_hand(struct device_program *program)
{
	int result = device_make_loop(program);

	if (result == 0)
		result = program->ops->prepare(program->device, program->loop);
	if (result == 0)
		result = device_serve_by_hand(program);
	if (result == 0 && program->inside)
		result = device_seal(program);
	if (result < 0)
		return device_exit_status(result);
	sigprocmask(SIG_SETMASK, &program->signals_before, NULL);
	jail_serves();
	log_bound_sites();
	loop_run(program->loop);
	return program->status;
}

static int device_run_by_hand(struct device_program *program, int argc, char **argv)
{
	int status = device_parse(program, argc, argv);
	int result;

	if (status >= 0)
		return status;
	result = device_close_others(program);
	if (result == 0)
		result = program->ops->open_by_hand(program->device);
	if (result == 0) {
		/* Whoever sees the socket may think that it can end us. */
		device_hold_signals(program);
		result = device_open_socket(program);
		status = result < 0 ? device_exit_status(result) : device_split(program);
		if (status < 0)
			status = device_run_loop_by_hand(program);
		if (!program->inside && program->ops->close_by_hand != NULL)
			program->ops->close_by_hand(program->device);
		return status;
	}
	return device_exit_status(result);
}

/* --- Supervised --- */

static void device_shut_down(void *argument)
{
	device_stop(argument);
}

static int device_message(void *argument, struct control_message *message)
{
	struct device_program *program = argument;

	return program->ops->message != NULL ? program->ops->message(program->device, message) : -EPROTO;
}

static void device_statistics(void *argument, struct child *child)
{
	struct device_program *program = argument;

	if (program->ops->statistics != NULL)
		program->ops->statistics(program->device, child);
}

static void device_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
{
	struct device_program *program = argument;

	if (program->ops->heartbeat != NULL)
		program->ops->heartbeat(program->device, reply);
}

static const struct child_ops device_child_ops = {
	.shut_down = device_shut_down,
	.message = device_message,
	.statistics = device_statistics,
	.heartbeat = device_heartbeat,
};

/* Takes the wire, and gives the device the rest. */
static int device_configure(struct device_program *program, struct control_message *message, int *wire_fd)
{
	const Atoll__Control__DeviceConfigure *configure = message->envelope->device_configure;
	struct device_configuration configuration = {.state_fd = -1};
	size_t taken = 1;
	int result;

	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE ||
	    configure->device_case != program->ops->kind ||
	    message->fd_count < 1 + (size_t)configure->has_state) {
		log_error("the first message is not the configuration of a device of this kind");
		return -EPROTO;
	}
	configuration.message = configure;
	if (configure->has_state)
		configuration.state_fd = message->fds[taken++];
	configuration.fds = message->fds + taken;
	configuration.fd_count = message->fd_count - taken;
	result = program->ops->configure(program->device, &configuration);
	if (configure->has_state)
		message->fds[1] = configuration.state_fd;
	if (result < 0)
		return result;
	*wire_fd = message->fds[0];
	message->fds[0] = -1;
	return 0;
}

static int device_run_supervised(struct device_program *program)
{
	struct control_message message;
	int wire_fd = -1;
	int result = child_configuration(program->child, program->ops->program, &message);

	if (result <= 0) {
		log_error("no configuration came over the control wire: %s",
			  result == 0 ? "the supervisor is gone" : strerror(-result));
		return DEVICE_EXIT_FAILED;
	}
	/* The terminal's signals go to the supervisor's whole group; what they mean is the supervisor's to
	 * say. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	peers_are_ours();
	result = child_enter_jail(program->child, program->ops->program, DEVICE_FILES);
	if (result == 0)
		result = device_configure(program, &message, &wire_fd);
	control_message_clear(&message);
	if (result == 0)
		result = device_make_loop(program);
	if (result == 0)
		result = program->ops->prepare(program->device, program->loop);
	if (result == 0)
		result = device_session_start(program, wire_fd);
	if (result == 0)
		result = child_serve(program->child, program->loop, &device_child_ops, program);
	if (result == 0 && child_is_jailed(program->child))
		result = device_seal(program);
	if (result == 0)
		result = child_ready(program->child);
	if (result < 0) {
		log_error("cannot start: %s", strerror(-result));
		return DEVICE_EXIT_FAILED;
	}
	loop_run(program->loop);
	return program->status;
}

int device_program_main(int argc, char **argv, const struct device_program_ops *ops, void *device)
{
	struct device_program program = {
		.ops = ops,
		.device = device,
		.given_fd = -1,
		.listen_fd = -1,
	};
	int status = DEVICE_EXIT_FAILED;
	int result;

	log_identify(ops->program, "");
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow is an error of a write. */
	signal(SIGXFSZ, SIG_IGN);
	result = child_attach(&program.child);
	if (result == 0)
		status = device_run_supervised(&program);
	else if (result == -ENOENT)
		status = device_run_by_hand(&program, argc, argv);
	else
		log_error(CHILD_CONTROL_FD_ENV ": %s", strerror(-result));

	if (program.session)
		ops->session_stop(device);
	log_flush_held(true);
	/* To take a signal's handler back is not allowed any more, as it is not to put one in the place of the
	 * one that reports. */
	if (program.inside) {
		ops->close(device);
		_exit(status);
	}
	loop_unwatch(program.listen_watch);
	for (size_t i = 0; i < sizeof(program.signal_watches) / sizeof(program.signal_watches[0]); i++)
		loop_unwatch(program.signal_watches[i]);
	if (program.listen_fd >= 0)
		close(program.listen_fd);
	/* Inside there is no path; the process outside does it. */
	if (program.socket_bound && !program.inside)
		unlink(program.socket_path);
	ops->close(device);
	loop_free(program.loop);
	child_free(program.child);
	return status;
}
