/*
 * Whether and when a device's process that ended gets a successor: the arithmetic of `restart:` in the config.
 *
 * A process that served for a while and then ended is succeeded at once: the guest waits for milliseconds. One
 * that ends again soon is given a pause, which doubles each time, up to RESTART_BACKOFF_MAX_US. When more have
 * ended within RESTART_WINDOW_US than the limit allows, there is no successor.
 *
 * Times are of one monotonic clock, which the caller reads.
 */
#ifndef ATOLL_SUPERVISOR_VM_RESTART_H
#define ATOLL_SUPERVISOR_VM_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_WINDOW_US      UINT64_C(60000000)
#define RESTART_BACKOFF_MAX_US UINT64_C(5000000)
/* Who has served for this many times the first pause has not ended "again soon". */
#define RESTART_QUIET_BACKOFFS 20

struct restart {
	bool always; /* false: never */
	unsigned limit;
	uint64_t backoff_us;

	uint64_t next_us; /* the pause before the next one, 0: none */
	uint64_t *times;  /* of the last `limit` restarts, a ring */
	unsigned first, count;
};

/* The pause before something is tried again, from *next_us (0: none); the next one is twice as long, from first_us up to
 * RESTART_BACKOFF_MAX_US. */
uint64_t restart_pause(uint64_t *next_us, uint64_t first_us);

/* 0 or -ENOMEM. limit and backoff_us are not 0. */
int restart_init(struct restart *restart, bool always, unsigned limit, uint64_t backoff_us);
void restart_clear(struct restart *restart);

/*
 * A process ended at now_us, after having served for served_us (0: it never did). Returns true when it is to have
 * a successor *delay_us from now, and counts that; false when there is to be none.
 */
bool restart_decide(struct restart *restart, uint64_t now_us, uint64_t served_us, uint64_t *delay_us);

/* Restarts of the last RESTART_WINDOW_US. */
unsigned restart_recent(struct restart *restart, uint64_t now_us);

/* Somebody wants it to be tried anew: what was is forgotten. */
void restart_forgive(struct restart *restart);

#endif
