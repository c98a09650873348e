/*
 * Waiting for a descriptor, for a bounded time.
 */
#ifndef ATOLL_COMMON_BASE_FD_WAIT_H
#define ATOLL_COMMON_BASE_FD_WAIT_H

#include <stdint.h>

/*
 * Waits until one of the events (poll(2)), an error or a hang-up is there, whatever signals come meanwhile;
 * deadline_ms: of clock_ms(CLOCK_MONOTONIC), -1: for ever. 0, -ETIMEDOUT or -errno. Any thread.
 */
int fd_wait_until(int fd, short events, int64_t deadline_ms);

#endif
