/*
 * Files that one VM uses.
 */
#include "supervisor/host/file_claims.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/report.h"

static bool claims_collide(const struct file_claim *a, const struct file_claim *b)
{
	if (a->device != b->device || a->inode != b->inode || strcmp(a->missing, b->missing) != 0)
		return false;
	return a->use == FILE_WRITTEN || b->use == FILE_WRITTEN ||
	       (a->use == FILE_LOG) != (b->use == FILE_LOG);
}

static const char *claims_add(struct file_claims *claims, const struct file_claim *claim)
{
	struct file_claim *list = realloc(claims->list, (claims->count + 1) * sizeof(*list));
	const char *other = NULL;

	if (list == NULL) {
		report_error("config: out of memory; free some, and try again");
		exit(EXIT_STATUS_FAILED);
	}
	claims->list = list;
	for (size_t i = 0; i < claims->count && other == NULL; i++)
		if (claims_collide(&list[i], claim))
			other = list[i].what;
	list[claims->count++] = *claim;
	return other;
}

/* What a file is; false: nobody's. */
static bool claim_identify(struct file_claim *claim, const struct stat *status)
{
	if (S_ISCHR(status->st_mode) || S_ISFIFO(status->st_mode))
		return false;
	claim->device = S_ISBLK(status->st_mode) ? status->st_rdev : status->st_dev;
	claim->inode = S_ISBLK(status->st_mode) ? 0 : status->st_ino;
	return true;
}

const char *file_claims_add_fd(struct file_claims *claims, int fd, enum file_use use, const char *what)
{
	struct file_claim claim = {.use = use};
	struct stat status;

	snprintf(claim.what, sizeof(claim.what), "%s", what);
	if (fstat(fd, &status) < 0 || !claim_identify(&claim, &status))
		return NULL;
	return claims_add(claims, &claim);
}

const char *file_claims_add_path(struct file_claims *claims, const char *path, enum file_use use,
				 const char *what)
{
	struct file_claim claim = {.use = use};
	char folder[PATH_MAX], name[PATH_MAX];
	struct stat status;

	snprintf(claim.what, sizeof(claim.what), "%s", what);
	if (stat(path, &status) == 0)
		return claim_identify(&claim, &status) ? claims_add(claims, &claim) : NULL;
	if (snprintf(folder, sizeof(folder), "%s", path) >= (int)sizeof(folder))
		return NULL;
	strcpy(name, folder);
	if (stat(dirname(folder), &status) < 0)
		return NULL;
	claim.device = status.st_dev;
	claim.inode = status.st_ino;
	snprintf(claim.missing, sizeof(claim.missing), "%.*s", NAME_MAX, basename(name));
	return claims_add(claims, &claim);
}

void file_claims_clear(struct file_claims *claims)
{
	free(claims->list);
	*claims = (struct file_claims){0};
}
