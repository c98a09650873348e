/*
 * Reads records. They come from a file that anybody may have written, so each field is checked.
 */
#include "policy/policy_record.h"

#include <errno.h>
#include <jansson.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "common/syscall_names.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"

enum { RECORDS_MAX = 10000000 };

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
			return "\"call\" is not a system call of x86-64";
		for (size_t i = 0; i < json_array_size(arguments); i++)
			if (!argument_read(json_array_get(arguments, i), &record->arguments[i]))
				return "\"args\" has something else than numbers";
	}
	record->count = count != NULL ? (uint64_t)json_integer_value(count) : 1;
	record->role = policy_copy_text(role, strlen(role));
	record->test = policy_copy_text(test != NULL ? test : "", test != NULL ? strlen(test) : 0);
	return NULL;
}

int policy_records_read(struct policy_records *records, const char *path, struct policy_problems *problems)
{
	FILE *file = fopen(path, "re");
	size_t problem_count = problems->count, size = 0, allocated = 0;
	unsigned number = 0;
	char *line = NULL;
	ssize_t length;

	*records = (struct policy_records){0};
	if (file == NULL) {
		policy_problem_add(problems, path, 0, "%s", strerror(errno));
		return -EINVAL;
	}
	while ((length = getline(&line, &size, file)) > 0) {
		struct policy_record record = {.line = ++number};
		const char *wrong;
		json_error_t error;
		json_t *json;

		if (line[strspn(line, " \t\r\n")] == '\0')
			continue;
		json = json_loadb(line, (size_t)length, 0, &error);
		wrong = json == NULL ? error.text : record_fill(&record, json);
		if (wrong != NULL)
			policy_problem_add(problems, path, number, "%s", wrong);
		json_decref(json);
		if (wrong != NULL)
			continue;
		if (records->count == RECORDS_MAX) {
			policy_problem_add(problems, path, number, "more than %d records", RECORDS_MAX);
			free(record.role);
			free(record.test);
			break;
		}
		if (records->count == allocated) {
			allocated = allocated == 0 ? 64 : allocated * 2;
			records->list = policy_resize(records->list, allocated, sizeof(*records->list));
		}
		records->list[records->count++] = record;
	}
	if (ferror(file))
		policy_problem_add(problems, path, number, "cannot be read to its end");
	free(line);
	fclose(file);
	if (problems->count == problem_count)
		return 0;
	policy_records_clear(records);
	return -EINVAL;
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
