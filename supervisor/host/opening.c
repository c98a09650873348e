/* What opening has in common; see opening.h. */
#include "supervisor/host/opening.h"

#include <errno.h>
#include <string.h>

const char *opening_remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "see that the path is right; it starts at the config file's folder";
	case EACCES:
	case EPERM:
		return "give this user the right to it, or run as one who has it";
	case EROFS:
		return "its file system is mounted read-only; write readonly: true, or move it";
	case EBUSY:
		return "unmount it, or end the program that uses it";
	case EISDIR:
		return "name a file";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case ENOMEM:
		return "free some memory";
	default:
		return "see that the host can open it";
	}
}

bool opening_host_lacks(int error)
{
	return error == EACCES || error == EPERM || error == EMFILE || error == ENFILE || error == ENOMEM;
}

void opening_fault(struct opening *opening, const char *key, const char *path, int error)
{
	unsigned line = config_file_line(opening->file, "%s", key);

	if (opening_host_lacks(error))
		problem_add_host(opening->problems, line, key, "%s: %s; %s", path, strerror(error),
				 opening_remedy(error));
	else
		problem_add(opening->problems, line, key, "%s: %s; %s", path, strerror(error),
			    opening_remedy(error));
}

bool opening_claim(struct opening *opening, const char *key, const char *path, int fd, enum file_use use,
		   const char *what)
{
	const char *other = fd >= 0 ? file_claims_add_fd(opening->claims, fd, use, what)
				    : file_claims_add_path(opening->claims, path, use, what);

	if (other == NULL)
		return true;
	problem_add(opening->problems, config_file_line(opening->file, "%s", key), key,
		    "%s: the same file as %s, and it would be written over; name another", path, other);
	return false;
}
