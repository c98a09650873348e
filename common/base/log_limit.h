/*
 * The bound of the log: one record a kind a second, with a count of those between.
 *
 * What a guest, a front end or a device's peer does can make a record; done a hundred thousand times it must not
 * make as many, or true ones are crowded out. A kind is one place in the source, and there one subject (a device's
 * name, for a process that speaks of several). log.h's macros give each place its log_site; nothing is to be done
 * at the place. What was held back is told by the kind's next record, or by log_flush_held() when none comes.
 *
 * The bound is on in the processes that serve a guest and off in the supervisor, which bounds what it is sent.
 * Any thread; no lock, no allocation, no system call but the clock's.
 */
#ifndef ATOLL_COMMON_BASE_LOG_LIMIT_H
#define ATOLL_COMMON_BASE_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_SITE_INTERVAL_NS UINT64_C(1000000000)
/* Subjects that fall into one slot share its bound. */
#define LOG_SITE_SLOTS 16

struct log_slot {
	_Atomic uint64_t next_ns; /* of CLOCK_MONOTONIC: no record before */
	_Atomic uint32_t held;	  /* since the last record */
};

/* Static, and zero at the start. */
struct log_site {
	struct log_slot slots[LOG_SITE_SLOTS];
	_Atomic bool listed; /* among those that ever held a record back */
	struct log_site *next;
	const char *format; /* what it says, before it is listed */
	unsigned level;
};

/*
 * Whether a record of the site about subject (may be NULL) is to be written at now_ns; then *held is how many were
 * held back before it. level and format are those of the place; format must live for ever.
 */
bool log_site_take(struct log_site *site, const char *subject, unsigned level, const char *format,
		   uint64_t now_ns, uint32_t *held);

/*
 * Calls tell for each slot that holds records back whose second is over at now_ns, or for each at all if all is
 * set; the slot's next second begins. One thread.
 */
void log_site_flush(uint64_t now_ns, bool all,
		    void (*tell)(const struct log_site *site, uint32_t held, void *argument), void *argument);

#endif
