#include "policy/policy_directory.h"

#include <stdlib.h>

const char *policy_directory(void)
{
	const char *directory = getenv("ATOLL_POLICY_DIR");

	return directory != NULL && *directory != '\0' ? directory : ATOLL_POLICYDIR;
}
