/*
 * The event loop: libevent's base, with one struct a watch so that a watch can be removed from inside its own
 * callback. loop_wake() goes through an eventfd and not through libevent's locks, so that libevent needs no
 * thread support.
 */
#include "common/base/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct loop {
	struct event_base *base;
	struct loop_watch *wake_watch;
	int wake_fd;
	loop_fn wake;
	void *wake_argument;
};

struct loop_watch {
	struct loop *loop;
	struct event *event;
	int fd;	    /* or the signal's number */
	bool timer; /* fd is a timerfd of ours */
	union {
		loop_fd_fn fd;
		loop_fn timer;
		loop_signal_fn signal;
	} callback;
	void *argument;
};

static void loop_dispatch_wake(int fd, unsigned events, void *argument)
{
	struct loop *loop = argument;
	eventfd_t count;

	(void)events;
	eventfd_read(fd, &count);
	if (loop->wake != NULL)
		loop->wake(loop->wake_argument);
}

struct loop *loop_new(void)
{
	struct event_config *config = NULL;
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		goto free_loop;
	config = event_config_new();
	if (config == NULL)
		goto close_wake;
	/* Back-ends other than epoll would only be a surprise. PRECISE_TIMER is left out: with it each turn
	 * calls timerfd_settime(2), armed or not. */
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop->base == NULL)
		goto close_wake;
	loop->wake_watch = loop_watch_fd(loop, loop->wake_fd, LOOP_READ, loop_dispatch_wake, loop);
	if (loop->wake_watch == NULL)
		goto free_base;
	return loop;

free_base:
	event_base_free(loop->base);
close_wake:
	close(loop->wake_fd);
free_loop:
	free(loop);
	errno = ENOMEM;
	return NULL;
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	loop_unwatch(loop->wake_watch);
	event_base_free(loop->base);
	close(loop->wake_fd);
	free(loop);
}

int loop_run(struct loop *loop)
{
	return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

static void loop_ignore_timeout(evutil_socket_t fd, short events, void *argument)
{
	(void)fd;
	(void)events;
	(void)argument;
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	struct event *timer;
	int result;

	if (timeout_ms < 0)
		return event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
	if (timeout_ms == 0)
		return event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0 ? -EIO : 0;
	timer = evtimer_new(loop->base, loop_ignore_timeout, NULL);
	if (timer == NULL)
		return -ENOMEM;
	evtimer_add(timer, &timeout);
	result = event_base_loop(loop->base, EVLOOP_ONCE);
	event_free(timer);
	return result < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

void loop_wake(struct loop *loop)
{
	eventfd_write(loop->wake_fd, 1);
}

void loop_on_wake(struct loop *loop, loop_fn wake, void *argument)
{
	loop->wake = wake;
	loop->wake_argument = argument;
}

static struct loop_watch *loop_watch_new(struct loop *loop, int fd, void *argument)
{
	struct loop_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return NULL;
	watch->loop = loop;
	watch->fd = fd;
	watch->argument = argument;
	return watch;
}

static void loop_dispatch_fd(evutil_socket_t fd, short what, void *argument)
{
	struct loop_watch *watch = argument;
	unsigned events = (what & EV_READ ? LOOP_READ : 0u) | (what & EV_WRITE ? LOOP_WRITE : 0u);

	watch->callback.fd(fd, events, watch->argument);
}

struct loop_watch *loop_watch_fd(struct loop *loop, int fd, unsigned events, loop_fd_fn callback,
				 void *argument)
{
	struct loop_watch *watch = loop_watch_new(loop, fd, argument);

	if (watch == NULL)
		return NULL;
	watch->callback.fd = callback;
	watch->event = event_new(loop->base, fd, EV_PERSIST, loop_dispatch_fd, watch);
	if (watch->event == NULL || loop_watch_set_events(watch, events) < 0) {
		loop_unwatch(watch);
		errno = ENOMEM;
		return NULL;
	}
	return watch;
}

int loop_watch_set_events(struct loop_watch *watch, unsigned events)
{
	short what = (short)(EV_PERSIST | (events & LOOP_READ ? EV_READ : 0) |
			     (events & LOOP_WRITE ? EV_WRITE : 0));

	if (event_get_events(watch->event) == what && event_pending(watch->event, what, NULL))
		return 0;
	event_del(watch->event);
	if (events == 0)
		return 0;
	if (event_assign(watch->event, watch->loop->base, watch->fd, what, loop_dispatch_fd, watch) < 0)
		return -EINVAL;
	return event_add(watch->event, NULL) < 0 ? -EINVAL : 0;
}

static void loop_dispatch_timer(evutil_socket_t fd, short what, void *argument)
{
	struct loop_watch *watch = argument;
	uint64_t expirations;

	(void)what;
	/* Nothing to read: it was armed again since it fired. */
	if (read(fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		watch->callback.timer(watch->argument);
}

/*
 * A timerfd each instead of libevent's own timers: those cost every turn of the loop a look at the clock and
 * a timerfd_settime(2) for as long as one is armed, and vCPUs wait for our turns.
 */
struct loop_watch *loop_watch_timer(struct loop *loop, loop_fn callback, void *argument)
{
	struct loop_watch *watch = loop_watch_new(loop, -1, argument);

	if (watch == NULL)
		return NULL;
	watch->callback.timer = callback;
	watch->timer = true;
	watch->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (watch->fd < 0)
		goto unwatch;
	watch->event = event_new(loop->base, watch->fd, EV_READ | EV_PERSIST, loop_dispatch_timer, watch);
	if (watch->event == NULL || event_add(watch->event, NULL) < 0)
		goto unwatch;
	return watch;

unwatch:
	loop_unwatch(watch);
	errno = ENOMEM;
	return NULL;
}

int loop_timer_arm(struct loop_watch *timer, uint64_t delay_us)
{
	struct itimerspec delay = {.it_value = {.tv_sec = (time_t)(delay_us / 1000000),
						.tv_nsec = (long)(delay_us % 1000000 * 1000)}};

	/* Zero would disarm it. */
	if (delay_us == 0)
		delay.it_value.tv_nsec = 1;
	return timerfd_settime(timer->fd, 0, &delay, NULL) < 0 ? -errno : 0;
}

void loop_timer_disarm(struct loop_watch *timer)
{
	static const struct itimerspec never;

	timerfd_settime(timer->fd, 0, &never, NULL);
}

static void loop_dispatch_signal(evutil_socket_t fd, short what, void *argument)
{
	struct loop_watch *watch = argument;

	(void)what;
	watch->callback.signal(fd, watch->argument);
}

struct loop_watch *loop_watch_signal(struct loop *loop, int signal_number, loop_signal_fn callback,
				     void *argument)
{
	struct loop_watch *watch = loop_watch_new(loop, signal_number, argument);

	if (watch == NULL)
		return NULL;
	watch->callback.signal = callback;
	watch->event = evsignal_new(loop->base, signal_number, loop_dispatch_signal, watch);
	if (watch->event == NULL || evsignal_add(watch->event, NULL) < 0) {
		loop_unwatch(watch);
		errno = ENOMEM;
		return NULL;
	}
	return watch;
}

void loop_unwatch(struct loop_watch *watch)
{
	if (watch == NULL)
		return;
	if (watch->event != NULL)
		event_free(watch->event);
	if (watch->timer && watch->fd >= 0)
		close(watch->fd);
	free(watch);
}
