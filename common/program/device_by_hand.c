/*
 * A device's program started by hand: options configure it, a socket brings its front ends, a signal ends it.
 *
 * In the order in which they run: the options; what they name is opened; the socket; the split into a process outside and
 * one inside (device_pair.h); and in the one that serves, what both lives share, up to the seal, and the loop.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/jail/jail.h"
#include "common/program/device_life.h"
#include "common/program/device_options.h"

static const int end_signals[DEVICE_END_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

/* --- Opening --- */

/* What the shell left open is nobody's here. */
static int hand_close_others(int given_fd)
{
	unsigned keep = given_fd > STDERR_FILENO ? (unsigned)given_fd : STDERR_FILENO;
	int result = 0;

	if (keep > STDERR_FILENO + 1)
		result = close_range(STDERR_FILENO + 1, keep - 1, 0);
	if (result == 0)
		result = close_range(keep + 1, ~0u, 0);
	if (result == 0)
		return 0;
	result = -errno;
	log_error("cannot close what the shell left open: %s", strerror(-result));
	return result;
}

/*
 * Signals that end the program are held back until the process inside can take them: the kernel drops those that the first
 * process of a pid namespace has no handler for.
 */
static void hand_hold_signals(sigset_t *before)
{
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < DEVICE_END_SIGNALS; i++)
		sigaddset(&held, end_signals[i]);
	sigaddset(&held, SIGTSTP);
	sigaddset(&held, SIGCHLD);
	sigprocmask(SIG_BLOCK, &held, before);
}

/* --- Serving --- */

static void hand_signalled(int signal_number, void *argument)
{
	log_info("ended by signal %s", sigabbrev_np(signal_number));
	device_stop(argument);
}

static void hand_acceptable(int fd, unsigned events, void *argument)
{
	struct device_life *life = argument;
	int socket_fd = device_socket_accept(&life->socket);

	(void)fd;
	(void)events;
	if (socket_fd < 0)
		return;
	/* One front end at a time: the next one waits in the backlog. */
	loop_watch_set_events(life->listen_watch, 0);
	if (device_session_start(life, socket_fd) < 0) {
		close(socket_fd);
		loop_watch_set_events(life->listen_watch, LOOP_READ);
	}
}

/* Listens to signals and front ends from the next turn of the loop on. */
static int hand_watch(struct device_life *life)
{
	for (size_t i = 0; i < DEVICE_END_SIGNALS; i++) {
		life->signal_watches[i] = loop_watch_signal(life->loop, end_signals[i], hand_signalled, life);
		if (life->signal_watches[i] == NULL)
			return -ENOMEM;
	}
	if (life->socket.listen_fd < 0)
		return device_session_start(life, life->socket.connected_fd);
	life->listen_watch =
		loop_watch_fd(life->loop, life->socket.listen_fd, LOOP_READ, hand_acceptable, life);
	return life->listen_watch != NULL ? 0 : -ENOMEM;
}

/* The process that serves. */
static int hand_serve(struct device_life *life, const sigset_t *signals_before)
{
	int result = device_prepare(life);

	if (result == 0)
		result = hand_watch(life);
	if (result == 0 && life->side == DEVICE_SIDE_INSIDE)
		result = device_seal(life);
	if (result < 0) {
		log_error("cannot start: %s", strerror(-result));
		return result;
	}
	sigprocmask(SIG_SETMASK, signals_before, NULL);
	jail_serves();
	log_bound_sites();
	return device_serve(life);
}

/* All that is named on the command line is open; from here on there are two processes, or one without a jail. */
static int hand_live(struct device_life *life, const struct device_options *options)
{
	struct jail_fork fork;
	sigset_t signals_before;
	int result;

	/* Whoever sees the socket may think that it can end us. */
	hand_hold_signals(&signals_before);
	result = device_socket_open(&life->socket, options->socket_path, options->fd);
	if (result < 0)
		return result;
	if (options->no_sandbox)
		log_warning("it runs without its sandbox (--no-sandbox), with all rights of its user: do not "
			    "let a guest use it that you do not trust");
	else
		result = device_pair_split(life->program->name, DEVICE_FILES, &fork, &life->side);
	if (result < 0)
		return result;
	if (life->side == DEVICE_SIDE_OUTSIDE)
		return device_pair_attend(&fork, &life->socket, &life->status);
	return hand_serve(life, &signals_before);
}

int device_run_by_hand(struct device_life *life, int argc, char **argv)
{
	const struct device_program *program = life->program;
	struct device_options options;
	int result = device_options_read(program, life->device, argc, argv, &options);

	if (result < 0)
		return result;
	if (options.print != DEVICE_PRINT_NOTHING)
		return device_options_print(program, options.print);
	result = hand_close_others(options.fd);
	if (result == 0 && program->open_by_hand != NULL)
		result = program->open_by_hand(life->device);
	if (result < 0)
		return result;
	result = hand_live(life, &options);
	if (life->side != DEVICE_SIDE_INSIDE && program->close_by_hand != NULL)
		program->close_by_hand(life->device);
	return result;
}
