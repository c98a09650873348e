/* Crash points: see crash_point.h. In the build of configure --enable-crash-points alone. */
#include "common/base/crash_point.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CRASH_POINT_NAME(name, when) [CRASH_POINT_##name] = #name,
static const char *const names[CRASH_POINT_COUNT] = {CRASH_POINTS(CRASH_POINT_NAME)};

static enum crash_point chosen = CRASH_POINT_COUNT;
static atomic_ulong left; /* times to go */

int crash_point_choose(const char *text)
{
	size_t length;
	unsigned long count = 1;

	if (text == NULL)
		return 0;
	length = strcspn(text, ":");
	if (text[length] == ':') {
		char *end;

		count = strtoul(text + length + 1, &end, 10);
		if (*end != '\0' || count == 0)
			return -EINVAL;
	}
	for (unsigned i = 0; i < CRASH_POINT_COUNT; i++) {
		if (strlen(names[i]) != length || memcmp(names[i], text, length) != 0)
			continue;
		chosen = (enum crash_point)i;
		atomic_store(&left, count);
		/* The process is to end at once: a handler of SIGILL, as a sanitizer has one, must not run. */
		signal(SIGILL, SIG_DFL);
		return 0;
	}
	return -EINVAL;
}

void crash_point_reach(enum crash_point point)
{
	if (point == chosen && atomic_fetch_sub(&left, 1) == 1)
		__builtin_trap();
}
