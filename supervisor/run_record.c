#include "supervisor/run_record.h"

#include <fcntl.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/jail/jail.h"
#include "supervisor/host/record.h"
#include "supervisor/vm/spawn.h"

#define RECORD_ENV "ATOLL_POLICY_RECORD"

/* NULL: nothing is recorded. */
static const char *record_path(void)
{
	const char *path = getenv(RECORD_ENV);

	return path != NULL && *path != '\0' ? path : NULL;
}

void run_claim_record(struct run *run)
{
	if (record_path() != NULL)
		file_claims_add_path(&run->claims, record_path(), FILE_LOG, "the record");
}

int run_prepare_record(struct run *run)
{
	const char *path = record_path();
	int result;

	if (path == NULL)
		return 0;
	result = record_open(run->loop, path, &run->vm.record);
	if (result < 0)
		return result;
	spawn_recording();
	log_warning("what its processes call is recorded in %s instead of being refused: do not let a guest "
		    "run that you "
		    "do not trust",
		    path);
	return 0;
}

void run_reach_record(const struct run *run, struct reach *reach)
{
	if (run->vm.record != NULL)
		reach_add_path(reach, AT_FDCWD, "/proc", JAIL_PATH_READ_FILE);
}
