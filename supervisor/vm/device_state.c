/* The table of a device's states; see device_state.h. */
#include "supervisor/vm/device_state.h"

#include <assert.h>

/* It cannot come there. */
#define NEVER DEVICE_STATES

/* clang-format off */
static const unsigned char transitions[DEVICE_STATES][DEVICE_EVENTS] = {
	/*                   LAUNCHED         BEGAN           ORDERED          LOST            TRIED              SERVED          STOPPED      GIVEN_UP */
	[DEVICE_STARTING] = {DEVICE_STARTING, DEVICE_RUNNING, NEVER,           NEVER,          NEVER,             NEVER,          NEVER,       NEVER},
	[DEVICE_RUNNING] =  {DEVICE_STARTING, NEVER,          DEVICE_DRAINING, DEVICE_WAITING, NEVER,             NEVER,          DEVICE_HELD, DEVICE_FAILED},
	[DEVICE_DRAINING] = {DEVICE_STARTING, NEVER,          NEVER,           DEVICE_WAITING, NEVER,             NEVER,          DEVICE_HELD, DEVICE_FAILED},
	[DEVICE_WAITING] =  {DEVICE_STARTING, NEVER,          NEVER,           NEVER,          DEVICE_SUCCEEDING, NEVER,          NEVER,       NEVER},
	[DEVICE_SUCCEEDING]={DEVICE_STARTING, NEVER,          NEVER,           DEVICE_WAITING, NEVER,             DEVICE_RUNNING, DEVICE_HELD, DEVICE_FAILED},
	[DEVICE_HELD] =     {DEVICE_STARTING, NEVER,          NEVER,           DEVICE_WAITING, NEVER,             NEVER,          NEVER,       DEVICE_FAILED},
	[DEVICE_FAILED] =   {DEVICE_STARTING, NEVER,          DEVICE_DRAINING, DEVICE_WAITING, NEVER,             NEVER,          NEVER,       NEVER},
};
/* clang-format on */

enum device_state device_state_after(enum device_state state, enum device_event event)
{
	unsigned char next = transitions[state][event];

	assert(next != NEVER);
	return next;
}

const char *device_state_name(enum device_state state)
{
	static const char *const names[DEVICE_STATES] = {
		[DEVICE_STARTING] = "starting",	    [DEVICE_RUNNING] = "running",
		[DEVICE_DRAINING] = "restarting",   [DEVICE_WAITING] = "restarting",
		[DEVICE_SUCCEEDING] = "restarting", [DEVICE_HELD] = "held",
		[DEVICE_FAILED] = "failed"};

	return names[state];
}
