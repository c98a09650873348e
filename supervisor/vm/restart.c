/*
 * When a device's process gets a successor.
 */
#include "supervisor/vm/restart.h"

#include <errno.h>
#include <stdlib.h>

int restart_init(struct restart *restart, bool always, unsigned limit, uint64_t backoff_us)
{
	*restart = (struct restart){.always = always, .limit = limit, .backoff_us = backoff_us};
	restart->times = calloc(limit, sizeof(*restart->times));
	return restart->times != NULL ? 0 : -ENOMEM;
}

void restart_clear(struct restart *restart)
{
	free(restart->times);
	*restart = (struct restart){0};
}

unsigned restart_recent(struct restart *restart, uint64_t now_us)
{
	while (restart->count > 0 && now_us - restart->times[restart->first] >= RESTART_WINDOW_US) {
		restart->first = (restart->first + 1) % restart->limit;
		restart->count--;
	}
	return restart->count;
}

uint64_t restart_pause(uint64_t *next_us, uint64_t first_us)
{
	uint64_t pause_us = *next_us;

	if (pause_us == 0)
		*next_us = first_us;
	else if (pause_us > RESTART_BACKOFF_MAX_US / 2)
		*next_us = RESTART_BACKOFF_MAX_US;
	else
		*next_us = 2 * pause_us;
	return pause_us;
}

bool restart_decide(struct restart *restart, uint64_t now_us, uint64_t served_us, uint64_t *delay_us)
{
	if (!restart->always || restart_recent(restart, now_us) >= restart->limit)
		return false;
	restart->times[(restart->first + restart->count) % restart->limit] = now_us;
	restart->count++;
	if (served_us >= RESTART_QUIET_BACKOFFS * restart->backoff_us)
		restart->next_us = 0;
	*delay_us = restart_pause(&restart->next_us, restart->backoff_us);
	return true;
}

void restart_forgive(struct restart *restart)
{
	restart->first = restart->count = 0;
	restart->next_us = 0;
}
