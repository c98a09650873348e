/*
 * Policies from a folder, and the union of a role's threads.
 *
 * A role with several kinds of threads gets a filter for the whole process first, which must let through what
 * any of them may do; each thread then adds its own. That filter has no text: it is made here from those of
 * the threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/policy.h"
#include "policy/policy_memory.h"
#include "policy/sha256.h"

#define SUFFIX	".policy"
#define PROCESS ".process"

/* --- Files --- */

static int file_read(const struct policy_source *source, const char *name, char **file, char **text,
		     size_t *size)
{
	char *path, *buffer;
	ssize_t count;
	int fd;

	if (asprintf(&path, "%s/%s", source->directory, name) < 0)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		free(path);
		return -errno;
	}
	/* One byte more than may be there, so that a longer file is seen to be longer. */
	buffer = policy_resize(NULL, POLICY_TEXT_MAX + 2, 1);
	*size = 0;
	do {
		count = read(fd, buffer + *size, POLICY_TEXT_MAX + 1 - *size);
		if (count > 0)
			*size += (size_t)count;
	} while (count > 0 || (count < 0 && errno == EINTR));
	if (count < 0) {
		int error = errno;

		close(fd);
		free(buffer);
		free(path);
		return -error;
	}
	close(fd);
	buffer[*size] = '\0';
	*text = buffer;
	*file = path;
	return 0;
}

int policy_load(struct policy *policy, const char *directory, const char *name,
		struct policy_problems *problems)
{
	struct policy_source source = {.read = file_read, .directory = directory};

	return policy_parse(policy, name, &source, problems);
}

/* --- The union of threads --- */

static void rule_copy_alternatives(struct policy_rule *to, const struct policy_rule *from)
{
	to->alternatives = NULL;
	to->alternative_count = 0;
	for (size_t i = 0; i < from->alternative_count; i++) {
		struct policy_alternative alternative = {0};

		for (unsigned j = 0; j < from->alternatives[i].count; j++)
			if (from->alternatives[i].conditions[j].slot == NULL)
				alternative.conditions[alternative.count++] =
					from->alternatives[i].conditions[j];
		if (alternative.count == 0) {
			/* Without its slot it always holds: the others add nothing. */
			free(to->alternatives);
			to->alternatives = NULL;
			to->alternative_count = 0;
			return;
		}
		to->alternatives =
			policy_resize(to->alternatives, to->alternative_count + 1, sizeof(*to->alternatives));
		to->alternatives[to->alternative_count++] = alternative;
	}
}

/* Whether every alternative of `rule` is covered by some rule of the union with the same call. */
static bool rule_covered(const struct policy *whole, const struct policy_rule *rule, bool same_action)
{
	for (size_t i = 0; i == 0 || i < rule->alternative_count; i++) {
		const struct policy_alternative *inner =
			rule->alternative_count > 0 ? &rule->alternatives[i] : NULL;
		bool covered = false;

		for (size_t j = 0; j < whole->rule_count && !covered; j++) {
			const struct policy_rule *other = &whole->rules[j];

			if (other->call != rule->call || (rule->call < 0 && other->opcode != rule->opcode) ||
			    (same_action ? other->action != rule->action || other->error != rule->error
					 : other->action != POLICY_ALLOW))
				continue;
			for (size_t k = 0; (k == 0 || k < other->alternative_count) && !covered; k++)
				covered = policy_alternative_covers(
					other->alternative_count > 0 ? &other->alternatives[k] : NULL, inner);
		}
		if (!covered)
			return false;
	}
	return true;
}

static const char *file_keep(struct policy *whole, const char *file)
{
	for (size_t i = 0; i < whole->file_count; i++)
		if (strcmp(whole->files[i], file) == 0)
			return whole->files[i];
	if (whole->file_count == POLICY_FILES_MAX)
		return NULL;
	return whole->files[whole->file_count++] = policy_copy_text(file, strlen(file));
}

/* Adds the rules of a thread that the union does not cover yet; those that allow before the others. */
static bool union_add(struct policy *whole, const struct policy *thread, bool allowing,
		      struct policy_problems *problems)
{
	for (size_t i = 0; i < thread->rule_count; i++) {
		const struct policy_rule *rule = &thread->rules[i];
		struct policy_rule copy = *rule;

		if ((rule->action == POLICY_ALLOW) != allowing)
			continue;
		rule_copy_alternatives(&copy, rule);
		if (rule_covered(whole, &copy, true) || (!allowing && rule_covered(whole, &copy, false))) {
			free(copy.alternatives);
			continue;
		}
		copy.file = file_keep(whole, rule->file);
		if (copy.file == NULL) {
			policy_problem_add(problems, rule->file, 0, "the role has more than %d files",
					   POLICY_FILES_MAX);
			free(copy.alternatives);
			return false;
		}
		copy.text = policy_copy_text(rule->text, strlen(rule->text));
		copy.group = rule->group != NULL ? policy_copy_text(rule->group, strlen(rule->group)) : NULL;
		copy.reason =
			rule->reason != NULL ? policy_copy_text(rule->reason, strlen(rule->reason)) : NULL;
		whole->rules = policy_resize(whole->rules, whole->rule_count + 1, sizeof(*whole->rules));
		whole->rules[whole->rule_count++] = copy;
	}
	return true;
}

/* A thread's rule that denies must not take away what another thread may do. */
static bool union_check(const struct policy *whole, struct policy_problems *problems)
{
	bool good = true;

	for (size_t i = 0; i < whole->rule_count; i++) {
		for (size_t j = i + 1; j < whole->rule_count; j++) {
			const struct policy_rule *a = &whole->rules[i], *b = &whole->rules[j];
			bool overlap = false;

			if (a->call < 0 || a->call != b->call ||
			    (a->action == b->action && a->error == b->error))
				continue;
			for (size_t k = 0; k == 0 || k < a->alternative_count; k++)
				for (size_t l = 0; l == 0 || l < b->alternative_count; l++)
					overlap |= policy_alternatives_overlap(
						a->alternative_count > 0 ? &a->alternatives[k] : NULL,
						b->alternative_count > 0 ? &b->alternatives[l] : NULL);
			if (!overlap)
				continue;
			policy_problem_add(
				problems, b->file, b->line,
				"what one thread of the role may do (%s:%u) would be denied to it in %s",
				a->file, a->line, whole->name);
			good = false;
		}
	}
	return good;
}

/* What the threads may do between the filter of the process and their own, if there is such a text. */
#define STACKING "process"

static bool union_has_stacking(const char *directory)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%s", directory, STACKING, SUFFIX);
	return access(path, F_OK) == 0;
}

static int union_load(struct policy *whole, const char *directory, const char *name,
		      struct policy_problems *problems)
{
	size_t role = strlen(name) - strlen(PROCESS) + 1; /* with its dot */
	struct policy threads[POLICY_FILES_MAX];
	char **names;
	int count = policy_list(directory, &names);
	size_t thread_count = 0;
	struct sha256 sha;
	bool good = true;

	*whole = (struct policy){.name = policy_copy_text(name, strlen(name)), .default_action = POLICY_TRAP};
	sha256_init(&sha);
	for (int i = 0; i < count && good; i++) {
		if (strncmp(names[i], name, role) != 0 || strcmp(names[i], name) == 0)
			continue;
		if (thread_count == POLICY_FILES_MAX) {
			policy_problem_add(problems, directory, 0, "%s: more than %d threads", name,
					   POLICY_FILES_MAX);
			good = false;
		} else if (policy_load(&threads[thread_count], directory, names[i], problems) < 0) {
			good = false;
		} else {
			sha256_add(&sha, threads[thread_count].hash, strlen(threads[thread_count].hash));
			sha256_add(&sha, "\n", 1);
			thread_count++;
		}
	}
	if (good && thread_count > 0 && thread_count < POLICY_FILES_MAX && union_has_stacking(directory)) {
		if (policy_load(&threads[thread_count], directory, STACKING, problems) < 0)
			good = false;
		else
			sha256_add(&sha, threads[thread_count++].hash, POLICY_HASH_SIZE - 1);
	}
	sha256_finish(&sha, whole->hash);
	if (count >= 0)
		policy_list_free(names, count);
	if (good && thread_count == 0) {
		policy_problem_add(problems, directory, 0, "%s: there is no policy of this role", name);
		good = false;
	}
	for (int allowing = 1; allowing >= 0; allowing--)
		for (size_t i = 0; i < thread_count && good; i++)
			good = union_add(whole, &threads[i], allowing, problems);
	good = good && union_check(whole, problems);
	for (size_t i = 0; i < thread_count; i++)
		policy_clear(&threads[i]);
	if (good)
		return 0;
	policy_clear(whole);
	return -EINVAL;
}

int policy_load_any(struct policy *policy, const char *directory, const char *name,
		    struct policy_problems *problems)
{
	size_t length = strlen(name), suffix = strlen(PROCESS);

	if (length > suffix && strcmp(name + length - suffix, PROCESS) == 0)
		return union_load(policy, directory, name, problems);
	return policy_load(policy, directory, name, problems);
}

/* --- What there is --- */

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The length of "core." in "core.main". */
static size_t role_length(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? (size_t)(dot - name) + 1 : 0;
}

int policy_list(const char *directory, char ***names)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char **list = NULL;
	int count = 0, files;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

		if (length <= suffix || strcmp(entry->d_name + length - suffix, SUFFIX) != 0 ||
		    memchr(entry->d_name, '.', length - suffix) == NULL || entry->d_name[0] == '.')
			continue;
		list = policy_resize(list, (size_t)count + 1, sizeof(*list));
		list[count++] = policy_copy_text(entry->d_name, length - suffix);
	}
	closedir(dir);
	qsort(list, (size_t)count, list != NULL ? sizeof(*list) : 1, name_compare);
	files = count;
	for (int i = 1; i < files; i++) {
		size_t role = role_length(list[i]);
		char *process;

		/* At the second thread of each role. */
		if (strncmp(list[i], list[i - 1], role) != 0 ||
		    (i > 1 && strncmp(list[i], list[i - 2], role) == 0))
			continue;
		process = policy_resize(NULL, role + strlen(PROCESS), 1);
		stpcpy((char *)mempcpy(process, list[i], role), &PROCESS[1]);
		list = policy_resize(list, (size_t)count + 1, sizeof(*list));
		list[count++] = process;
	}
	qsort(list, (size_t)count, list != NULL ? sizeof(*list) : 1, name_compare);
	*names = list;
	return count;
}

void policy_list_free(char **names, int count)
{
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}
