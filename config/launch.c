/* The command's word to the supervisor that it becomes; see launch.h. */
#include "config/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <config.h> /* not our folder's */

#include "common/base/log.h"
#include "common/base/pack.h"
#include "config/config_pack.h"

#define LAUNCH_MAGIC "atoll launch 2"
/* A config file of 1 MiB, each of whose keys has its line; larger is something else. */
#define LAUNCH_SIZE_MAX (64 << 20)
#define LAUNCH_SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* --- packing --- */

static void pack_problems(struct pack *pack, const struct problems *problems)
{
	pack_number(pack, problems->count);
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];

		pack_number(pack, problem->line);
		pack_number(pack, problem->shape);
		pack_number(pack, problem->host);
		pack_text(pack, problem->key);
		pack_text(pack, problem->text);
	}
}

int launch_pack(const struct launch *launch, uint8_t **bytes, size_t *size)
{
	struct pack pack = {0};

	pack_text(&pack, LAUNCH_MAGIC);
	pack_text(&pack, PACKAGE_VERSION);
	pack_number(&pack, config_pack_version());
	pack_number(&pack, launch->mode);
	pack_number(&pack, launch->log_level);
	pack_number(&pack, launch->detached);
	pack_number(&pack, launch->waited);
	pack_text(&pack, launch->log_file);
	pack_number(&pack, launch->no_sandbox_count);
	for (size_t i = 0; i < launch->no_sandbox_count; i++)
		pack_text(&pack, launch->no_sandbox[i]);
	config_pack(&pack, &launch->file);
	pack_problems(&pack, &launch->problems);
	if (pack.failed) {
		free(pack.bytes);
		return -ENOMEM;
	}
	*bytes = pack.bytes;
	*size = pack.size;
	return 0;
}

/* --- unpacking --- */

/* Whether the next text is this one. */
static bool unpack_is(struct unpack *unpack, const char *expected)
{
	char *text = unpack_text(unpack);
	bool is = text != NULL && strcmp(text, expected) == 0;

	free(text);
	return is;
}

static int unpack_versions(struct unpack *unpack)
{
	if (!unpack_is(unpack, LAUNCH_MAGIC))
		return -EPROTO;
	if (!unpack_is(unpack, PACKAGE_VERSION) || unpack_number(unpack, UINT64_MAX) != config_pack_version())
		return unpack->bad ? -EPROTO : -EPROTONOSUPPORT;
	return 0;
}

static void unpack_no_sandbox(struct unpack *unpack, struct launch *launch)
{
	size_t count = unpack_count(unpack);

	if (count == 0)
		return;
	launch->no_sandbox = calloc(count, sizeof(*launch->no_sandbox));
	unpack->bad |= launch->no_sandbox == NULL;
	for (size_t i = 0; i < count && !unpack->bad; i++)
		launch->no_sandbox[launch->no_sandbox_count++] = unpack_text(unpack);
}

/* As they are: problem_add() would look again which of them make others needless. */
static void unpack_problems(struct unpack *unpack, struct problems *problems)
{
	size_t count = unpack_count(unpack);

	if (count == 0)
		return;
	problems->list = calloc(count, sizeof(*problems->list));
	unpack->bad |= problems->list == NULL;
	for (size_t i = 0; i < count && !unpack->bad; i++) {
		struct problem *problem = &problems->list[problems->count++];

		problem->line = (unsigned)unpack_number(unpack, UINT32_MAX);
		problem->shape = unpack_number(unpack, true);
		problem->host = unpack_number(unpack, true);
		problem->key = unpack_text(unpack);
		problem->text = unpack_text(unpack);
		unpack->bad |= problem->key == NULL || problem->text == NULL;
	}
}

int launch_unpack(const uint8_t *bytes, size_t size, struct launch *launch)
{
	struct unpack unpack = {bytes, size, false};
	int result = unpack_versions(&unpack);

	*launch = (struct launch){0};
	if (result < 0)
		return result;
	launch->mode = (enum launch_mode)unpack_number(&unpack, LAUNCH_CHECK);
	launch->log_level = (unsigned)unpack_number(&unpack, LOG_LEVEL_DEBUG);
	launch->detached = unpack_number(&unpack, true);
	launch->waited = unpack_number(&unpack, true);
	launch->log_file = unpack_text(&unpack);
	unpack_no_sandbox(&unpack, launch);
	config_unpack(&unpack, &launch->file);
	unpack_problems(&unpack, &launch->problems);
	/* Nothing is behind it, and nothing would run that is known to be wrong. */
	if (unpack.bad || unpack.left > 0 || (launch->mode == LAUNCH_RUN && launch->problems.count > 0)) {
		launch_clear(launch);
		return -EPROTO;
	}
	return 0;
}

void launch_clear(struct launch *launch)
{
	for (size_t i = 0; i < launch->no_sandbox_count; i++)
		free((char *)launch->no_sandbox[i]);
	free((void *)launch->no_sandbox);
	free(launch->log_file);
	problems_clear(&launch->problems);
	config_file_release(&launch->file);
	*launch = (struct launch){0};
}

/* --- the memfd --- */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t count = write(fd, bytes, size);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		bytes += count;
		size -= (size_t)count;
	}
	return 0;
}

int launch_send(const struct launch *launch)
{
	uint8_t *bytes;
	size_t size;
	int fd, result = launch_pack(launch, &bytes, &size);

	if (result < 0)
		return result;
	fd = memfd_create("atoll-launch", MFD_ALLOW_SEALING);
	if (fd < 0)
		result = -errno;
	if (result == 0)
		result = write_all(fd, bytes, size);
	if (result == 0 && fcntl(fd, F_ADD_SEALS, LAUNCH_SEALS) < 0)
		result = -errno;
	free(bytes);
	if (result < 0 && fd >= 0)
		close(fd);
	return result < 0 ? result : fd;
}

/* All of it, at its beginning, wherever its offset is. 0 or -errno. */
static int read_all(int fd, uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t count = pread(fd, bytes + at, size - at, (off_t)at);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -errno : -EPROTO;
		at += (size_t)count;
	}
	return 0;
}

int launch_receive(int fd, struct launch *launch)
{
	struct stat status;
	uint8_t *bytes;
	int result, seals;

	*launch = (struct launch){0};
	if (fstat(fd, &status) < 0)
		return -errno;
	/* Only a memfd has any. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & LAUNCH_SEALS) != LAUNCH_SEALS)
		return -EPERM;
	if (status.st_size > LAUNCH_SIZE_MAX)
		return -EMSGSIZE;
	bytes = malloc((size_t)status.st_size + 1);
	if (bytes == NULL)
		return -ENOMEM;
	result = read_all(fd, bytes, (size_t)status.st_size);
	if (result == 0)
		result = launch_unpack(bytes, (size_t)status.st_size, launch);
	free(bytes);
	return result;
}
