/*
 * What the names in a policy stand for: constants of the kernel's interfaces, and the kinds of arguments that
 * system calls take.
 */
#ifndef ATOLL_POLICY_POLICY_NAMES_H
#define ATOLL_POLICY_POLICY_NAMES_H

#include <stdbool.h>
#include <stdint.h>

/* The value of a constant; negative ones sign-extended. 0 or -ENOENT. */
int policy_constant(const char *name, uint64_t *value);

/* The number of an error's name, or -ENOENT. */
int policy_error_number(const char *name);

/* The name of an error that policy_error_number() knows, or NULL. */
const char *policy_error_name(int error);

/* The number of an operation of io_uring, by its name without IORING_OP_, or -ENOENT; and back. */
int policy_ring_opcode(const char *name);
const char *policy_ring_opcode_name(unsigned opcode);

enum policy_argument_kind {
	POLICY_ARGUMENT_NONE,	 /* the call has no such argument */
	POLICY_ARGUMENT_WORD,	 /* 32 bits: the kernel ignores the upper half of the register */
	POLICY_ARGUMENT_LONG,	 /* 64 bits */
	POLICY_ARGUMENT_POINTER, /* what it points to can change after the filter looked */
	POLICY_ARGUMENT_UNKNOWN, /* nobody described this call yet */
};

enum policy_argument_kind policy_argument_kind(int call, unsigned argument);

/* Calls that a taken-over process would want first: a policy must say why it allows one. */
bool policy_call_is_dangerous(const char *name);
extern const char *const policy_dangerous_calls[];

/* Calls that do harmless and dangerous things: allowed whatever their arguments are, they are dangerous. */
bool policy_call_needs_conditions(const char *name);

#endif
