/*
 * An interpreter of the classic BPF that seccomp takes.
 *
 * Jumps go forward only, so that a filter ends after at most `count` instructions.
 */
#include "policy/bpf_interpreter.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct machine {
	uint32_t a, x;
	uint32_t memory[BPF_MEMWORDS];
};

static int load(struct machine *machine, const struct sock_filter *i, const struct seccomp_data *data)
{
	uint32_t *to = BPF_CLASS(i->code) == BPF_LD ? &machine->a : &machine->x;

	switch (i->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		if (i->k % 4 != 0 || i->k > sizeof(*data) - 4)
			return -EINVAL;
		memcpy(to, (const uint8_t *)data + i->k, 4);
		return 0;
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
		*to = sizeof(*data);
		return 0;
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
		*to = i->k;
		return 0;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
		if (i->k >= BPF_MEMWORDS)
			return -EINVAL;
		*to = machine->memory[i->k];
		return 0;
	default:
		return -EINVAL;
	}
}

static int compute(struct machine *machine, const struct sock_filter *i)
{
	uint32_t operand = BPF_SRC(i->code) == BPF_X ? machine->x : i->k;

	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		machine->a += operand;
		return 0;
	case BPF_SUB:
		machine->a -= operand;
		return 0;
	case BPF_MUL:
		machine->a *= operand;
		return 0;
	case BPF_DIV:
		if (operand == 0)
			return -EINVAL;
		machine->a /= operand;
		return 0;
	case BPF_AND:
		machine->a &= operand;
		return 0;
	case BPF_OR:
		machine->a |= operand;
		return 0;
	case BPF_XOR:
		machine->a ^= operand;
		return 0;
	case BPF_LSH:
		machine->a = operand < 32 ? machine->a << operand : 0;
		return 0;
	case BPF_RSH:
		machine->a = operand < 32 ? machine->a >> operand : 0;
		return 0;
	case BPF_NEG:
		machine->a = -machine->a;
		return 0;
	default:
		return -EINVAL;
	}
}

/* How many instructions to skip, or -EINVAL. */
static int64_t jump(const struct machine *machine, const struct sock_filter *i)
{
	uint32_t operand = BPF_SRC(i->code) == BPF_X ? machine->x : i->k;
	bool holds;

	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return i->k;
	case BPF_JEQ:
		holds = machine->a == operand;
		break;
	case BPF_JGT:
		holds = machine->a > operand;
		break;
	case BPF_JGE:
		holds = machine->a >= operand;
		break;
	case BPF_JSET:
		holds = (machine->a & operand) != 0;
		break;
	default:
		return -EINVAL;
	}
	return holds ? i->jt : i->jf;
}

int bpf_run(const struct sock_filter *instructions, uint16_t count, const struct seccomp_data *data,
	    uint32_t *answer, unsigned *steps)
{
	struct machine machine = {0};
	int64_t skip;

	*steps = 0;
	for (uint64_t at = 0; at < count; at++) {
		const struct sock_filter *i = &instructions[at];
		int result = 0;

		++*steps;
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
		case BPF_LDX:
			result = load(&machine, i, data);
			break;
		case BPF_ST:
		case BPF_STX:
			if (i->k >= BPF_MEMWORDS)
				return -EINVAL;
			machine.memory[i->k] = BPF_CLASS(i->code) == BPF_ST ? machine.a : machine.x;
			break;
		case BPF_ALU:
			result = compute(&machine, i);
			break;
		case BPF_JMP:
			skip = jump(&machine, i);
			if (skip < 0)
				return -EINVAL;
			at += (uint64_t)skip;
			break;
		case BPF_RET:
			if (BPF_RVAL(i->code) == BPF_X)
				return -EINVAL;
			*answer = BPF_RVAL(i->code) == BPF_A ? machine.a : i->k;
			return 0;
		case BPF_MISC:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				machine.x = machine.a;
			else
				machine.a = machine.x;
			break;
		default:
			return -EINVAL;
		}
		if (result < 0)
			return result;
	}
	return -EINVAL;
}
