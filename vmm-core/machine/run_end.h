/*
 * The end of a run: who claims it first says why. The others, and whoever comes later, change nothing.
 *
 * Chipset and vCPUs end a run; the machine is told, and does what is to be done then.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_RUN_END_H
#define ATOLL_VMM_CORE_MACHINE_RUN_END_H

#include <stdatomic.h>
#include <stdbool.h>

#include "proto/control.pb-c.h"

#define RUN_END_DETAIL_MAX 512

struct run_end {
	_Atomic int state;
	Atoll__Control__GuestEvent__Kind kind; /* UNSPECIFIED: the supervisor ordered it */
	unsigned status;
	char detail[RUN_END_DETAIL_MAX]; /* empty: none */
	void (*decided)(void *argument); /* in the thread that decided; must return at once */
	void *argument;
};

/*
 * Ends the run: the first call wins, and calls decided() once it has written down why. From any thread; returns at
 * once. detail is copied, cut if it is too long, and may be NULL.
 */
void run_end_decide(struct run_end *end, Atoll__Control__GuestEvent__Kind kind, unsigned status,
		    const char *detail);

/* Whether one was decided: kind, status and detail can be read, and change no more. Any thread. */
bool run_end_decided(const struct run_end *end);

#endif
