/*
 * atoll policy: checks, explains, compiles and compares the policies of system calls. See atoll-policy(1).
 *
 * The work is policy/'s; here are arguments, names and what is printed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "common/base/syscall_names.h"
#include "policy/policy_check.h"
#include "policy/policy_compile.h"
#include "policy/policy_cover.h"
#include "policy/policy_diff.h"
#include "policy/policy_directory.h"
#include "policy/policy_names.h"

#define SUFFIX ".policy"

enum format {
	FORMAT_LISTING,
	FORMAT_C,
	FORMAT_JSON,
};

/* Prints problems as FILE:LINE: TEXT, and clears them. How many there were. */
static size_t problems_tell(struct policy_problems *problems, FILE *file)
{
	size_t count = problems->count;

	for (size_t i = 0; i < count; i++) {
		const struct policy_problem *problem = &problems->list[i];
		char *line;
		int length = problem->line > 0 ? asprintf(&line, "%s:%u: %s", problem->file, problem->line,
							  problem->text)
					       : asprintf(&line, "%s: %s", problem->file, problem->text);

		if (length < 0)
			continue;
		report_line(file, line);
		free(line);
	}
	policy_problems_clear(problems);
	return count;
}

/* A policy by the path of its text: its folder and its name. Both are the caller's. */
static bool path_split(const char *path, char **directory, char **name)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
	size_t length = strlen(base), suffix = strlen(SUFFIX);

	if (length <= suffix || strcmp(base + length - suffix, SUFFIX) != 0)
		return false;
	*directory = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	*name = strndup(base, length - suffix);
	if (*directory != NULL && *name != NULL)
		return true;
	free(*directory);
	free(*name);
	return false;
}

static bool is_directory(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* --- check --- */

static bool check_one(const char *directory, const char *name, bool installed)
{
	struct policy_problems problems = {0};
	struct policy_check check;
	bool good = policy_check(directory, name, installed, &check, &problems) == 0;

	if (problems_tell(&problems, stdout) > 0)
		good = false;
	if (good)
		printf("%-20s %2u calls, %3u instructions, worst %2u, mean %4.1f, serving %4.1f; %lu calls "
		       "tried%s\n",
		       name, check.calls, check.instructions, check.cost.worst, check.cost.mean,
		       check.cost.serve_mean, check.tried,
		       check.embedded ? ", also on the built-in filter" : "");
	return good;
}

static bool check_directory(const char *directory, bool installed)
{
	char **names;
	int count = policy_list(directory, &names);
	bool good = count > 0;

	if (count < 0)
		report_error("%s: %s; name the folder of the policies, or set ATOLL_POLICY_DIR", directory,
			     strerror(-count));
	else if (count == 0)
		report_error("%s: there is no ROLE.THREAD.policy; name the folder of the policies",
			     directory);
	for (int i = 0; i < count; i++)
		good = check_one(directory, names[i], installed) && good;
	if (count >= 0)
		policy_list_free(names, count);
	return good;
}

static int policy_run_check(int count, char **operands)
{
	bool good = true;

	if (count == 0)
		good = check_directory(policy_directory(), true);
	for (int i = 0; i < count; i++) {
		char *directory, *name;

		if (is_directory(operands[i])) {
			good = check_directory(operands[i], false) && good;
		} else if (!path_split(operands[i], &directory, &name)) {
			report_error("%s: not a folder, and not the name of a policy; it ends in .policy",
				     operands[i]);
			good = false;
		} else {
			good = check_one(directory, name, false) && good;
			free(directory);
			free(name);
		}
	}
	return good ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

/* --- explain --- */

static int explain_one(const char *name, int count, char **operands)
{
	struct policy_problems problems = {0};
	struct policy policy;
	int result = policy_load_any(&policy, policy_directory(), name, &problems);

	if (result == 0) {
		result = policy_explain(&policy, operands[0], operands + 1, (unsigned)(count - 1), stdout,
					&problems);
		policy_clear(&policy);
	}
	for (size_t i = 0; i < problems.count; i++)
		report_error("%s: %s", problems.list[i].file, problems.list[i].text);
	policy_problems_clear(&problems);
	return result < 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

static int policy_run_explain(int count, char **operands)
{
	int status = EXIT_STATUS_FAILED, found;
	size_t length = strlen(operands[0]);
	bool any = false;
	char **names;

	if (strchr(operands[0], '.') != NULL)
		return explain_one(operands[0], count - 1, operands + 1);
	/* A role alone: each of its threads. */
	found = policy_list(policy_directory(), &names);
	for (int i = 0; i < found; i++) {
		if (strncmp(names[i], operands[0], length) != 0 || names[i][length] != '.' ||
		    strcmp(names[i] + length, ".process") == 0)
			continue;
		status = explain_one(names[i], count - 1, operands + 1);
		any = true;
		if (status != EXIT_STATUS_OK)
			break;
	}
	if (found >= 0)
		policy_list_free(names, found);
	if (!any)
		report_error("%s: there is no policy of this role in %s; see what is there, or set "
			     "ATOLL_POLICY_DIR",
			     operands[0], policy_directory());
	return status;
}

/* --- compile --- */

static int policy_run_compile(const char *operand, enum format format)
{
	struct policy_problems problems = {0};
	struct policy_compiled compiled;
	char *directory = NULL, *name = NULL;
	struct policy policy;
	int result;

	if (path_split(operand, &directory, &name))
		result = policy_load_any(&policy, directory, name, &problems);
	else
		result = policy_load_any(&policy, policy_directory(), operand, &problems);
	free(directory);
	free(name);
	if (result == 0) {
		result = policy_compile(&compiled, &policy, &problems);
		if (result == 0) {
			if (format == FORMAT_C)
				result = policy_write_c(&compiled, stdout);
			else if (format == FORMAT_JSON)
				result = policy_write_manifest(&compiled, &policy, stdout);
			else
				policy_write_listing(&compiled, stdout);
			policy_compiled_clear(&compiled);
		}
		policy_clear(&policy);
	}
	problems_tell(&problems, stderr);
	return result == 0 ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

/* --- diff --- */

/* One side: policies, or a record. */
struct side {
	struct policy *policies;
	size_t count;
	struct policy_records records;
	bool is_record;
};

static void side_clear(struct side *side)
{
	for (size_t i = 0; i < side->count; i++)
		policy_clear(&side->policies[i]);
	free(side->policies);
	policy_records_clear(&side->records);
}

static bool side_add(struct side *side, const char *directory, const char *name,
		     struct policy_problems *problems)
{
	struct policy *policies = reallocarray(side->policies, side->count + 1, sizeof(*policies));

	if (policies == NULL)
		return false;
	side->policies = policies;
	if (policy_load_any(&policies[side->count], directory, name, problems) < 0)
		return false;
	side->count++;
	return true;
}

/* unions: those of a role's threads too. */
static bool side_load_directory(struct side *side, const char *directory, bool unions,
				struct policy_problems *problems)
{
	char **names;
	int count = policy_list(directory, &names);
	bool good = true;

	if (count < 0) {
		policy_problem_add(problems, directory, 0, "%s", strerror(-count));
		return false;
	}
	for (int i = 0; i < count && good; i++) {
		const char *thread = strrchr(names[i], '.');

		/* Unions would tell everything twice. */
		if (unions || strcmp(thread, ".process") != 0)
			good = side_add(side, directory, names[i], problems);
	}
	policy_list_free(names, count);
	return good;
}

static bool side_load(struct side *side, const char *path, struct policy_problems *problems)
{
	char *directory, *name;
	bool good;

	*side = (struct side){0};
	if (is_directory(path))
		return side_load_directory(side, path, false, problems);
	if (path_split(path, &directory, &name)) {
		good = side_add(side, directory, name, problems);
		free(directory);
		free(name);
		return good;
	}
	side->is_record = true;
	return policy_records_read(&side->records, path, problems) == 0;
}

static const struct policy *side_find(const struct side *side, const char *name)
{
	for (size_t i = 0; i < side->count; i++)
		if (strcmp(side->policies[i].name, name) == 0)
			return &side->policies[i];
	return NULL;
}

static unsigned sides_compare(const struct side *old, const struct side *new)
{
	unsigned lines = 0;

	if (old->is_record)
		return policy_diff_records(new->policies, new->count, &old->records, stdout);
	if (new->is_record)
		return policy_diff_records(old->policies, old->count, &new->records, stdout);
	/* Two files are compared whatever they are called. */
	if (old->count == 1 && new->count == 1)
		return policy_diff(&old->policies[0], &new->policies[0], stdout);
	for (size_t i = 0; i < old->count; i++)
		lines += policy_diff(&old->policies[i], side_find(new, old->policies[i].name), stdout);
	for (size_t i = 0; i < new->count; i++)
		if (side_find(old, new->policies[i].name) == NULL)
			lines += policy_diff(NULL, &new->policies[i], stdout);
	return lines;
}

static int policy_run_diff(char **operands)
{
	struct policy_problems problems = {0};
	struct side old, new = {0};
	int status = EXIT_STATUS_USAGE;

	if (side_load(&old, operands[0], &problems) && side_load(&new, operands[1], &problems)) {
		if (old.is_record && new.is_record)
			report_error("usage: one side must be a policy or a folder of policies; see atoll "
				     "policy --help");
		else
			status = sides_compare(&old, &new) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
	}
	problems_tell(&problems, stderr);
	side_clear(&old);
	side_clear(&new);
	return status;
}

/* --- cover --- */

static bool records_add(struct policy_records *all, const char *path, struct policy_problems *problems)
{
	struct policy_records more;
	struct policy_record *list;

	if (policy_records_read(&more, path, problems) < 0)
		return false;
	list = reallocarray(all->list, all->count + more.count + 1, sizeof(*list));
	if (list == NULL)
		return false;
	memcpy(list + all->count, more.list, more.count * sizeof(*list));
	all->list = list;
	all->count += more.count;
	/* The texts are all's now. */
	free(more.list);
	return true;
}

/* Asked of the policies whose processes can record; the supervisor cannot, so its policies are left out. */
static int policy_run_cover(int count, char **operands)
{
	struct policy_problems problems = {0};
	struct policy_coverage coverage;
	struct policy_records records = {0};
	struct side policies = {0};
	bool good = side_load_directory(&policies, policy_directory(), true, &problems);
	size_t kept = 0;

	for (int i = 0; i < count; i++)
		good = records_add(&records, operands[i], &problems) && good;
	problems_tell(&problems, stderr);
	if (good) {
		for (size_t i = 0; i < policies.count; i++) {
			if (strncmp(policies.policies[i].name, "supervisor", 10) == 0)
				policy_clear(&policies.policies[i]);
			else
				policies.policies[kept++] = policies.policies[i];
		}
		policies.count = kept;
		policy_cover(policies.policies, policies.count, &records, &coverage, stdout);
		printf("%u alternatives of rules needed, %u for errors alone, %u not needed; %u calls "
		       "refused\n",
		       coverage.needed, coverage.errors, coverage.unneeded, coverage.refused);
		good = coverage.unneeded == 0 && coverage.refused == 0;
	}
	side_clear(&policies);
	policy_records_clear(&records);
	return good ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

/* --- record --- */

static void record_print(const struct side *policies, const struct policy_record *record)
{
	const struct policy *policy = side_find(policies, record->role);
	struct policy_verdict verdict = {0};

	if (policy != NULL)
		verdict = policy_record_judge(policy, record);
	printf("%-14s %8" PRIu64 "  ", record->role, record->count);
	if (record->call < 0)
		printf("uring: %s", policy_ring_opcode_name(record->opcode));
	else if (verdict.rule != NULL)
		printf("%s", verdict.rule->text);
	else
		printf("%s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")",
		       syscall_name((uint32_t)record->call), record->arguments[0], record->arguments[1],
		       record->arguments[2]);
	if (verdict.rule != NULL)
		printf("  # %s:%u\n", verdict.rule->file, verdict.rule->line);
	else
		printf("  # NOT ALLOWED\n");
}

static int record_order(const void *a, const void *b)
{
	const struct policy_record *one = a, *other = b;
	int order = strcmp(one->role, other->role);

	return order != 0 ? order : (one->count < other->count) - (one->count > other->count);
}

/* What each role used, the most frequent first. */
static bool record_tell(const char *path)
{
	struct policy_problems problems = {0};
	struct policy_records records = {0};
	struct side policies = {0};
	bool good = side_load_directory(&policies, policy_directory(), true, &problems) &&
		    policy_records_read(&records, path, &problems) == 0;

	problems_tell(&problems, stderr);
	if (good) {
		if (records.count > 0)
			qsort(records.list, records.count, sizeof(*records.list), record_order);
		for (size_t i = 0; i < records.count; i++)
			record_print(&policies, &records.list[i]);
	}
	side_clear(&policies);
	policy_records_clear(&records);
	return good;
}

/* Runs the VM as `atoll run` does, recording. The file is kept if the operator names it. */
static int policy_run_record(const char *config, const char *output)
{
	char temporary[] = "/tmp/atoll-record-XXXXXX";
	int fd = -1, status;

	if (output == NULL) {
		fd = mkostemp(temporary, O_CLOEXEC);
		if (fd < 0) {
			report_error("%s: cannot make it: %s; name a file with --output", temporary,
				     strerror(errno));
			return EXIT_STATUS_FAILED;
		}
		output = temporary;
	}
	setenv("ATOLL_POLICY_RECORD", output, 1);
	status = run_and_wait(config);
	/* What was not started recorded nothing, and has said why. */
	if (status != EXIT_STATUS_USAGE && status != EXIT_STATUS_HOST && access(output, R_OK) == 0 &&
	    !record_tell(output) && status == EXIT_STATUS_OK)
		status = EXIT_STATUS_FAILED;
	if (fd >= 0) {
		unlink(temporary);
		close(fd);
	}
	return status;
}

/* --- The command --- */

static int usage_error(void)
{
	report_error("usage: unknown subcommand, or too many or too few arguments; see atoll policy --help");
	return EXIT_STATUS_USAGE;
}

int command_policy(int argc, char **argv)
{
	static const struct option options[] = {{"c", no_argument, NULL, 'c'},
						{"json", no_argument, NULL, 'j'},
						{"output", required_argument, NULL, 'o'},
						{0}};
	enum format format = FORMAT_LISTING;
	int option, status, count;
	const char *name, *output = NULL;
	char **operands;

	while ((option = command_option(argc, argv, options, &status)) != -1) {
		if (option == 'o')
			output = optarg;
		else
			format = option == 'c' ? FORMAT_C : FORMAT_JSON;
	}
	if (status >= 0)
		return status;
	if (optind == argc)
		return usage_error();
	name = argv[optind];
	operands = argv + optind + 1;
	count = argc - optind - 1;
	if (format != FORMAT_LISTING && strcmp(name, "compile") != 0) {
		report_error("usage: --c and --json are compile's; see atoll policy --help");
		return EXIT_STATUS_USAGE;
	}
	if (output != NULL && strcmp(name, "record") != 0) {
		report_error("usage: --output is record's; see atoll policy --help");
		return EXIT_STATUS_USAGE;
	}
	if (strcmp(name, "check") == 0)
		status = policy_run_check(count, operands);
	else if (strcmp(name, "explain") == 0 && count >= 2)
		status = policy_run_explain(count, operands);
	else if (strcmp(name, "compile") == 0 && count == 1)
		status = policy_run_compile(operands[0], format);
	else if (strcmp(name, "diff") == 0 && count == 2)
		status = policy_run_diff(operands);
	else if (strcmp(name, "record") == 0 && count == 1)
		status = policy_run_record(operands[0], output);
	else if (strcmp(name, "cover") == 0 && count >= 1)
		status = policy_run_cover(count, operands);
	else
		status = usage_error();
	return fflush(stdout) == 0 ? status : EXIT_STATUS_FAILED;
}
