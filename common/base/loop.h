/*
 * The event loop of a main thread: libevent, wrapped once so that nobody repeats its bookkeeping.
 *
 * A loop and everything made from it belong to one thread; only loop_wake() may be called from another.
 */
#ifndef ATOLL_COMMON_BASE_LOOP_H
#define ATOLL_COMMON_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct event_base;

enum loop_events {
	LOOP_READ = 1 << 0,
	LOOP_WRITE = 1 << 1,
};

typedef void (*loop_fd_fn)(int fd, unsigned events, void *argument);
typedef void (*loop_fn)(void *argument);
typedef void (*loop_signal_fn)(int signal_number, void *argument);

/* Returns NULL with errno set. */
struct loop *loop_new(void);
/* Frees the loop; every watch must have been removed. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(); returns 0 or -errno. */
int loop_run(struct loop *loop);
/* Runs what is ready now, or waits up to timeout_ms (-1: for ever) for one event; 0 or -errno. */
int loop_run_once(struct loop *loop, int timeout_ms);
/* Makes loop_run() return after the callback that is running. */
void loop_stop(struct loop *loop);
/* Makes the loop call wake() soon. From any thread, any number of times; calls may be merged. */
void loop_wake(struct loop *loop);
/* What loop_wake() calls. */
void loop_on_wake(struct loop *loop, loop_fn wake, void *argument);

/*
 * Watches fd, level-triggered, until loop_unwatch(). A callback may remove its own watch. The fd stays the
 * caller's. Returns NULL with errno set.
 */
struct loop_watch *loop_watch_fd(struct loop *loop, int fd, unsigned events, loop_fd_fn callback,
				 void *argument);
/* Changes the events of a watch; 0 pauses it. */
int loop_watch_set_events(struct loop_watch *watch, unsigned events);
/* A timer, not yet armed. */
struct loop_watch *loop_watch_timer(struct loop *loop, loop_fn callback, void *argument);
/* Arms a timer to fire once, delay_us microseconds from now; arming again moves it. */
int loop_timer_arm(struct loop_watch *timer, uint64_t delay_us);
void loop_timer_disarm(struct loop_watch *timer);
/* Calls back for a signal, outside of signal context. */
struct loop_watch *loop_watch_signal(struct loop *loop, int signal_number, loop_signal_fn callback,
				     void *argument);
/* Removes and frees a watch of any kind; NULL is allowed. */
void loop_unwatch(struct loop_watch *watch);

#endif
