/*
 * A compiled filter written down: as C for the program that installs it, as JSON for who asks what it is, as
 * a list of instructions for who reads it.
 */
#include <errno.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_compile.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"

int policy_write_c(const struct policy_compiled *compiled, FILE *file)
{
	const struct seccomp_filter *filter = &compiled->filter;

	fprintf(file,
		"/* Made from %s.policy and what it includes. Do not edit. */\n"
		"#include \"policy/filters.h\"\n\n"
		"static const struct sock_filter instructions[] = {\n",
		filter->name);
	for (uint16_t i = 0; i < filter->count; i++)
		fprintf(file, "\t{0x%02x, %u, %u, 0x%08x},\n", filter->instructions[i].code,
			filter->instructions[i].jt, filter->instructions[i].jf, filter->instructions[i].k);
	fputs("};\n\n", file);
	if (filter->slot_count > 0) {
		fputs("static const struct seccomp_filter_slot slots[] = {\n", file);
		for (size_t i = 0; i < filter->slot_count; i++)
			fprintf(file, "\t{\"%s\", %u},\n", filter->slots[i].name,
				filter->slots[i].instruction);
		fputs("};\n\n", file);
	}
	if (filter->ring_opcode_count > 0) {
		fputs("static const uint8_t ring_opcodes[] = {", file);
		for (size_t i = 0; i < filter->ring_opcode_count; i++)
			fprintf(file, "%s%u", i > 0 ? ", " : "", filter->ring_opcodes[i]);
		fputs("};\n\n", file);
	}
	fputs("const struct seccomp_filter filter_", file);
	for (const char *c = filter->name; *c != '\0'; c++)
		fputc(*c == '.' || *c == '-' ? '_' : *c, file);
	fprintf(file,
		" = {\n\t.name = \"%s\",\n\t.hash = \"%s\",\n\t.instructions = instructions,\n\t.count = "
		"%u,\n",
		filter->name, filter->hash, filter->count);
	if (filter->slot_count > 0)
		fprintf(file, "\t.slots = slots,\n\t.slot_count = %zu,\n", filter->slot_count);
	if (filter->ring_opcode_count > 0)
		fprintf(file, "\t.ring_opcodes = ring_opcodes,\n\t.ring_opcode_count = %zu,\n",
			filter->ring_opcode_count);
	fprintf(file, "\t.rules = %u,\n};\n", filter->rules);
	return ferror(file) ? -EIO : 0;
}

/* --- Manifest --- */

static const char *file_base(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash != NULL ? slash + 1 : file;
}

static json_t *rule_json(const struct policy_rule *rule)
{
	char buffer[64];

	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:i}", "call",
			 rule->call >= 0 ? syscall_name((unsigned)rule->call) : "uring", "text", rule->text,
			 "action", policy_action_text(rule->action, rule->error, buffer, sizeof(buffer)),
			 "phase", policy_phase_name(rule->phase), "reason", rule->reason, "file",
			 file_base(rule->file), "line", (int)rule->line);
}

static json_t *program_json(const struct seccomp_filter *filter)
{
	char *hex = policy_resize(NULL, filter->count * sizeof(struct sock_filter) * 2 + 1, 1);
	const unsigned char *bytes = (const unsigned char *)filter->instructions;
	json_t *json;

	hex[0] = '\0';
	for (size_t i = 0; i < filter->count * sizeof(struct sock_filter); i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	json = json_string(hex);
	free(hex);
	return json;
}

int policy_write_manifest(const struct policy_compiled *compiled, const struct policy *policy, FILE *file)
{
	const struct seccomp_filter *filter = &compiled->filter;
	const struct scmp_version *library = seccomp_version();
	json_t *rules = json_array(), *slots = json_array(), *ring = json_array(), *manifest;
	char version[32], buffer[64];
	int result;

	snprintf(version, sizeof(version), "%u.%u.%u", library->major, library->minor, library->micro);
	for (size_t i = 0; i < policy->rule_count; i++)
		json_array_append_new(rules, rule_json(&policy->rules[i]));
	for (size_t i = 0; i < filter->slot_count; i++)
		json_array_append_new(slots, json_pack("{s:s, s:i}", "name", filter->slots[i].name,
						       "instruction", (int)filter->slots[i].instruction));
	for (size_t i = 0; i < filter->ring_opcode_count; i++)
		json_array_append_new(ring, json_string(policy_ring_opcode_name(filter->ring_opcodes[i])));
	manifest = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:f, s:f, s:i, s:o, s:o, s:o, s:o}",
			     "name", filter->name, "hash", filter->hash, "libseccomp", version, "default",
			     policy_action_text(policy->default_action, 0, buffer, sizeof(buffer)),
			     "instructions", (int)filter->count, "calls", (int)filter->rules, "layout",
			     compiled->tree ? "tree" : "list", "worst", (int)compiled->cost.worst, "mean",
			     compiled->cost.mean, "serve_mean", compiled->cost.serve_mean, "serve_worst",
			     (int)compiled->cost.serve_worst, "slots", slots, "ring_opcodes", ring, "rules",
			     rules, "program", program_json(filter));
	if (manifest == NULL)
		return -ENOMEM;
	result = json_dumpf(manifest, file, JSON_INDENT(2) | JSON_REAL_PRECISION(4)) < 0 ? -EIO : 0;
	fputc('\n', file);
	json_decref(manifest);
	return result < 0 || ferror(file) ? -EIO : 0;
}

/* --- Listing --- */

static void operand_print(const struct seccomp_filter *filter, uint16_t at, FILE *file)
{
	for (size_t i = 0; i < filter->slot_count; i++) {
		if (filter->slots[i].instruction != at)
			continue;
		fprintf(file, "$%s", filter->slots[i].name);
		return;
	}
	fprintf(file, "0x%x", filter->instructions[at].k);
}

static void load_print(uint32_t offset, FILE *file)
{
	if (offset == 0)
		fputs("load call", file);
	else if (offset == 4)
		fputs("load architecture", file);
	else if (offset >= 16)
		fprintf(file, "load arg%u.%s", (offset - 16) / 8, offset % 8 == 0 ? "low" : "high");
	else
		fprintf(file, "load [%u]", offset);
}

void policy_write_listing(const struct policy_compiled *compiled, FILE *file)
{
	static const char *const jumps[] = {"always", "==", ">", ">=", "&"};
	const struct seccomp_filter *filter = &compiled->filter;

	for (uint16_t i = 0; i < filter->count; i++) {
		const struct sock_filter *instruction = &filter->instructions[i];

		fprintf(file, "%4u  ", i);
		switch (BPF_CLASS(instruction->code)) {
		case BPF_LD:
			load_print(instruction->k, file);
			break;
		case BPF_ALU:
			fprintf(file, "and 0x%x", instruction->k);
			break;
		case BPF_JMP:
			if (BPF_OP(instruction->code) == BPF_JA) {
				fprintf(file, "go to %u", i + 1 + instruction->k);
				break;
			}
			fprintf(file, "if %s ", jumps[(BPF_OP(instruction->code) >> 4) % 5]);
			operand_print(filter, i, file);
			fprintf(file, " go to %u else %u", i + 1 + instruction->jt, i + 1 + instruction->jf);
			break;
		case BPF_RET:
			fprintf(file, "return 0x%08x", instruction->k);
			break;
		default:
			fprintf(file, "0x%02x 0x%x", instruction->code, instruction->k);
		}
		fputc('\n', file);
	}
}
