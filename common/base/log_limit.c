/*
 * The bound of the log. A slot is two numbers: the thread that moves next_ns on is the one that writes, all others
 * count. A site that has held something back is put into a list, once, for the flush to find.
 */
#include "common/base/log_limit.h"

#include <stddef.h>

static _Atomic(struct log_site *) sites;

/* FNV-1a; the slot of one who chooses his name is nothing that we depend on. */
static unsigned slot_of(const char *subject)
{
	uint32_t hash = 2166136261u;

	if (subject == NULL)
		return 0;
	for (const unsigned char *c = (const unsigned char *)subject; *c != '\0'; c++)
		hash = (hash ^ *c) * 16777619u;
	return (hash ^ hash >> 16) % LOG_SITE_SLOTS;
}

static void site_list(struct log_site *site, unsigned level, const char *format)
{
	if (atomic_exchange(&site->listed, true))
		return;
	site->level = level;
	site->format = format;
	site->next = atomic_load(&sites);
	while (!atomic_compare_exchange_weak(&sites, &site->next, site))
		;
}

bool log_site_take(struct log_site *site, const char *subject, unsigned level, const char *format,
		   uint64_t now_ns, uint32_t *held)
{
	struct log_slot *slot = &site->slots[slot_of(subject)];
	uint64_t next_ns = atomic_load(&slot->next_ns);

	if (now_ns >= next_ns &&
	    atomic_compare_exchange_strong(&slot->next_ns, &next_ns, now_ns + LOG_SITE_INTERVAL_NS)) {
		*held = atomic_exchange(&slot->held, 0);
		return true;
	}
	/* It stays at its most rather than begin anew. */
	if (atomic_fetch_add(&slot->held, 1) == UINT32_MAX)
		atomic_store(&slot->held, UINT32_MAX);
	if (!atomic_load(&site->listed))
		site_list(site, level, format);
	return false;
}

void log_site_flush(uint64_t now_ns, bool all,
		    void (*tell)(const struct log_site *site, uint32_t held, void *argument), void *argument)
{
	for (struct log_site *site = atomic_load(&sites); site != NULL; site = site->next)
		for (unsigned i = 0; i < LOG_SITE_SLOTS; i++) {
			struct log_slot *slot = &site->slots[i];
			uint64_t next_ns = atomic_load(&slot->next_ns);
			uint32_t held = 0;

			if (atomic_load(&slot->held) == 0 || (now_ns < next_ns && !all))
				continue;
			if (atomic_compare_exchange_strong(&slot->next_ns, &next_ns,
							   now_ns + LOG_SITE_INTERVAL_NS))
				held = atomic_exchange(&slot->held, 0);
			if (held > 0)
				tell(site, held, argument);
		}
}
