/*
 * Reads records. They come from a file that anybody may have written, or that is no record at all: each field is
 * checked, nothing is printed later that is not text, and what is read is bounded.
 */
#include "policy/policy_record.h"

#include <errno.h>
#include <jansson.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"

enum {
	RECORDS_MAX = 1000000,
	RECORD_LINE_MAX = 64 * 1024,
	/* A file with so many bad lines is no record. */
	RECORD_PROBLEMS_MAX = 20,
};

static bool argument_read(const json_t *json, uint64_t *value)
{
	const char *text = json_string_value(json);
	char *end;

	if (json_is_integer(json)) {
		*value = (uint64_t)json_integer_value(json);
		return true;
	}
	if (text == NULL || *text == '\0' || *text == '-' || *text == ' ')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno == 0 && *end == '\0';
}

/* "blk.queue". */
static bool role_is_good(const char *role)
{
	size_t length = strlen(role);

	return length > 0 && length < 64 && strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == length;
}

/* A test's name is printed: what could drive a terminal, or forge a line, is not in it. */
static char *test_copy(const char *name)
{
	char *copy = policy_copy_text(name, strlen(name));

	for (unsigned char *c = (unsigned char *)copy; *c != '\0'; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
	return copy;
}

/* What is wrong with the record, or NULL. */
static const char *record_fill(struct policy_record *record, const json_t *json)
{
	const char *role = json_string_value(json_object_get(json, "role"));
	const char *call = json_string_value(json_object_get(json, "call"));
	const char *test = json_string_value(json_object_get(json, "test"));
	const json_t *arguments = json_object_get(json, "args"), *count = json_object_get(json, "count");
	int opcode;

	if (role == NULL || call == NULL)
		return "\"role\" and \"call\" must be there, as strings";
	if (!role_is_good(role))
		return "\"role\" is not the name of a policy";
	if (arguments != NULL && (!json_is_array(arguments) || json_array_size(arguments) > POLICY_ARGUMENTS))
		return "\"args\" must be a list of at most six";
	if (count != NULL && (!json_is_integer(count) || json_integer_value(count) < 0))
		return "\"count\" must be a number";
	if (strcmp(call, "uring") == 0) {
		const char *name = json_string_value(json_array_get(arguments, 0));

		opcode = name != NULL ? policy_ring_opcode(name) : -ENOENT;
		if (opcode < 0)
			return "\"args\" of \"uring\" must begin with the name of an operation";
		record->call = -1;
		record->opcode = (uint8_t)opcode;
	} else {
		record->call = syscall_number(call);
		if (record->call < 0)
			return "\"call\" is not a system call of x86-64 that the headers have with which "
			       "this was built";
		for (size_t i = 0; i < json_array_size(arguments); i++)
			if (!argument_read(json_array_get(arguments, i), &record->arguments[i]))
				return "\"args\" has something else than numbers";
	}
	record->count = count != NULL ? (uint64_t)json_integer_value(count) : 1;
	record->role = policy_copy_text(role, strlen(role));
	record->test = test_copy(test != NULL ? test : "");
	return NULL;
}

/* One line: what is wrong with it, or NULL. The text is *error's or constant. */
static const char *line_read(const char *line, size_t length, struct policy_record *record,
			     json_error_t *error)
{
	json_t *json = json_loadb(line, length, 0, error);
	const char *wrong = json == NULL ? error->text : record_fill(record, json);

	json_decref(json);
	return wrong;
}

static void records_add(struct policy_records *records, size_t *allocated, const struct policy_record *record)
{
	if (records->count == *allocated) {
		*allocated = *allocated == 0 ? 64 : *allocated * 2;
		records->list = policy_resize(records->list, *allocated, sizeof(*records->list));
	}
	records->list[records->count++] = *record;
}

int policy_records_read_file(struct policy_records *records, FILE *file, const char *name,
			     struct policy_problems *problems)
{
	size_t before = problems->count, allocated = 0;
	char *line = policy_resize(NULL, RECORD_LINE_MAX, 1);
	unsigned number = 0;

	*records = (struct policy_records){0};
	errno = 0;
	while (problems->count < before + RECORD_PROBLEMS_MAX && fgets(line, RECORD_LINE_MAX, file) != NULL) {
		struct policy_record record = {.line = ++number};
		size_t length = strlen(line);
		const char *wrong;
		json_error_t error;

		/* The last line may end with the file. */
		if ((length == 0 || line[length - 1] != '\n') && !feof(file)) {
			policy_problem_add(problems, name, number,
					   "a line of more than %d bytes, or a NUL byte",
					   RECORD_LINE_MAX - 2);
			break;
		}
		if (line[strspn(line, " \t\r\n")] == '\0')
			continue;
		if (records->count == RECORDS_MAX) {
			policy_problem_add(problems, name, number, "more than %d records", RECORDS_MAX);
			break;
		}
		wrong = line_read(line, length, &record, &error);
		if (wrong != NULL)
			policy_problem_add(problems, name, number, "%s", wrong);
		else
			records_add(records, &allocated, &record);
	}
	if (ferror(file))
		policy_problem_add(problems, name, 0, "cannot be read to its end: %s", strerror(errno));
	free(line);
	if (problems->count == before)
		return 0;
	policy_records_clear(records);
	return -EINVAL;
}

int policy_records_read(struct policy_records *records, const char *path, struct policy_problems *problems)
{
	FILE *file = fopen(path, "re");
	int result;

	*records = (struct policy_records){0};
	if (file == NULL) {
		policy_problem_add(problems, path, 0, "%s", strerror(errno));
		return -EINVAL;
	}
	result = policy_records_read_file(records, file, path, problems);
	fclose(file);
	return result;
}

void policy_records_clear(struct policy_records *records)
{
	for (size_t i = 0; i < records->count; i++) {
		free(records->list[i].role);
		free(records->list[i].test);
	}
	free(records->list);
	*records = (struct policy_records){0};
}

/* --- Judging --- */

enum { SLOTS_MAX = 16 };

static size_t slots_gather(const struct policy *policy, const struct policy_record *record,
			   struct policy_slot_value slots[SLOTS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		for (size_t j = 0; rule->call == record->call && j < rule->alternative_count; j++) {
			for (unsigned k = 0; k < rule->alternatives[j].count; k++) {
				const struct policy_condition *condition =
					&rule->alternatives[j].conditions[k];

				if (condition->slot == NULL || count == SLOTS_MAX)
					continue;
				slots[count++] = (struct policy_slot_value){
					.name = condition->slot,
					.value = record->arguments[condition->argument]};
			}
		}
	}
	return count;
}

struct policy_verdict policy_record_judge(const struct policy *policy, const struct policy_record *record)
{
	struct policy_slot_value slots[SLOTS_MAX];
	size_t count;

	if (record->call < 0) {
		for (size_t i = 0; i < policy->rule_count; i++)
			if (policy->rules[i].call < 0 && policy->rules[i].opcode == record->opcode)
				return (struct policy_verdict){.rule = &policy->rules[i]};
		return (struct policy_verdict){.action = POLICY_ERRNO, .error = EACCES};
	}
	count = slots_gather(policy, record, slots);
	return policy_evaluate(policy, AUDIT_ARCH_X86_64, (uint32_t)record->call, record->arguments, slots,
			       count);
}
