/*
 * Constants that policies may name: those of constants.list that the kernel headers of the machine that builds have.
 */
#include "policy/policy_constants_headers.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policy/policy_names.h"

struct constant {
	const char *name;
	uint64_t value;
};

/* constants[], errors[] and ring_opcodes[], made by make-constants. */
#include "policy/policy_constants_tables.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct constant *table_find(const struct constant *table, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static const char *table_name(const struct constant *table, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].value == value)
			return table[i].name;
	return NULL;
}

int policy_constant(const char *name, uint64_t *value)
{
	const struct constant *constant = table_find(constants, COUNT(constants), name);

	if (constant == NULL)
		return -ENOENT;
	*value = constant->value;
	return 0;
}

int policy_error_number(const char *name)
{
	const struct constant *constant = table_find(errors, COUNT(errors), name);

	return constant != NULL ? (int)constant->value : -ENOENT;
}

const char *policy_error_name(int error)
{
	return table_name(errors, COUNT(errors), (uint64_t)error);
}

int policy_ring_opcode(const char *name)
{
	const struct constant *constant = table_find(ring_opcodes, COUNT(ring_opcodes), name);

	return constant != NULL ? (int)constant->value : -ENOENT;
}

const char *policy_ring_opcode_name(unsigned opcode)
{
	return table_name(ring_opcodes, COUNT(ring_opcodes), opcode);
}
