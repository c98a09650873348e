/*
 * Loading a config file, in three steps: its shape and lines (config_tree.c), its values (libcyaml, by
 * config_schema.c), their meaning (config_check.c). Each step looks for as many problems as it can.
 */
#include "config/config_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config_check.h"
#include "config/config_schema.h"
#include "config/config_tree.h"

/* A description of one machine; a larger file is some other file. */
#define CONFIG_SIZE_MAX (1 << 20)

static const cyaml_config_t cyaml_config = {
	.log_level = CYAML_LOG_ERROR,
	.mem_fn = cyaml_mem,
	/* Unknown keys have been told already. */
	.flags = CYAML_CFG_IGNORE_UNKNOWN_KEYS,
};

/* Takes the values, of the text or of what can be repaired of it. */
static bool config_file_take(const uint8_t *text, size_t size, const struct config_tree *tree, bool loadable,
			     struct config_file *file, struct problems *problems)
{
	const char *repaired = loadable ? NULL : config_tree_repaired(tree);
	cyaml_data_t *data = NULL;
	cyaml_err_t result;

	if (!loadable && repaired == NULL)
		return false;
	if (repaired != NULL) {
		text = (const uint8_t *)repaired;
		size = strlen(repaired);
	}
	result = cyaml_load_data(text, size, &cyaml_config, config_schema(), &data, NULL);
	/* Nothing more is said about what is wrong in it already (problem.h). */
	if (result != CYAML_OK && repaired == NULL)
		problem_add(problems, 1, "yaml", "%s; see atoll.yaml(5) for how the file is written",
			    cyaml_strerror(result));
	if (result != CYAML_OK)
		return false;
	file->config = (struct config *)data;
	return true;
}

void config_file_parse(const uint8_t *text, size_t size, bool detached, struct config_file *file,
		       struct problems *problems)
{
	struct config_tree *tree;
	bool loadable;

	file->config = NULL;
	file->lines = (struct config_lines){0};
	tree = config_tree_new(text, size, config_schema(), &file->lines, problems, &loadable);
	if (tree != NULL && config_file_take(text, size, tree, loadable, file, problems))
		config_check(file, detached, problems);
	config_tree_free(tree);
}

static int config_file_read(const char *path, uint8_t **text, size_t *size, const char **problem)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	ssize_t count;
	int result = 0;

	*problem = NULL;
	*size = 0;
	*text = NULL;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0) {
		result = -errno;
		goto close_file;
	}
	if (S_ISDIR(status.st_mode)) {
		result = -EISDIR;
		goto close_file;
	}
	*text = malloc(CONFIG_SIZE_MAX + 1);
	if (*text == NULL) {
		result = -ENOMEM;
		goto close_file;
	}
	/* Not by its size: the file may be a pipe, as with <(...). */
	fcntl(fd, F_SETFL, 0);
	do {
		count = read(fd, *text + *size, CONFIG_SIZE_MAX + 1 - *size);
		if (count > 0)
			*size += (size_t)count;
	} while ((count > 0 && *size <= CONFIG_SIZE_MAX) || (count < 0 && errno == EINTR));
	if (count < 0) {
		result = -errno;
	} else if (*size > CONFIG_SIZE_MAX) {
		result = -EFBIG;
		*problem = "larger than 1 MiB";
	}
	if (result < 0) {
		free(*text);
		*text = NULL;
	}
close_file:
	close(fd);
	return result;
}

int config_file_load(const char *path, bool detached, struct config_file *file, struct problems *problems)
{
	const char *problem;
	uint8_t *text;
	size_t size;
	int result;

	*file = (struct config_file){.path = path};
	result = config_file_read(path, &text, &size, &problem);
	if (result < 0) {
		problem_add(problems, 1, "file",
			    "cannot read the config file: %s; give the path of a VM's description",
			    problem != NULL ? problem : strerror(-result));
		return result;
	}
	config_file_parse(text, size, detached, file, problems);
	free(text);
	return 0;
}
