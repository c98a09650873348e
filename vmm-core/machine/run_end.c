/* The end of a run; see run_end.h. */
#include "vmm-core/machine/run_end.h"

#include <string.h>

enum run_end_state {
	RUN_END_NONE,
	RUN_END_CLAIMED, /* somebody writes down why */
	RUN_END_DECIDED,
};

void run_end_decide(struct run_end *end, Atoll__Control__GuestEvent__Kind kind, unsigned status,
		    const char *detail)
{
	int expected = RUN_END_NONE;

	if (!atomic_compare_exchange_strong(&end->state, &expected, RUN_END_CLAIMED))
		return;
	end->kind = kind;
	end->status = status;
	if (detail != NULL) {
		strncpy(end->detail, detail, sizeof(end->detail) - 1);
		end->detail[sizeof(end->detail) - 1] = '\0';
	}
	atomic_store(&end->state, RUN_END_DECIDED);
	if (end->decided != NULL)
		end->decided(end->argument);
}

bool run_end_decided(const struct run_end *end)
{
	return atomic_load(&end->state) == RUN_END_DECIDED;
}
