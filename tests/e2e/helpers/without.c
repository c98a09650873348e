/*
 * A host that lacks something: what a program and all that it starts see of a kernel, or of a container's filter,
 * that does not have some system calls.
 *
 *     without CALL[:ARG0]=ERRNO... -- COMMAND [ARG...]
 *
 * CALL, by name, fails with ERRNO (ENOSYS, EPERM, EINVAL, EOPNOTSUPP); with ARG0, a number, only if its first
 * argument is that. Needs the right to install a filter without no_new_privs, which the command would inherit.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/syscall_names.h"

#define CALLS_MAX 64

static struct sock_filter program[5 + 5 * CALLS_MAX];
static unsigned short length;

static void add(struct sock_filter instruction)
{
	program[length++] = instruction;
}

static uint32_t call_number(const char *name)
{
	int number = syscall_number(name);

	if (number >= 0)
		return (uint32_t)number;
	fprintf(stderr, "without: %s: no such system call\n", name);
	exit(125);
}

static uint32_t error_number(const char *name)
{
	static const struct {
		const char *name;
		uint32_t number;
	} errors[] = {{"ENOSYS", ENOSYS}, {"EPERM", EPERM}, {"EINVAL", EINVAL}, {"EOPNOTSUPP", EOPNOTSUPP}};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].number;
	fprintf(stderr, "without: %s: no error of ours\n", name);
	exit(125);
}

static void take_away(char *what)
{
	char *error = strchr(what, '='), *argument = strchr(what, ':');
	uint32_t number;

	if (error == NULL) {
		fprintf(stderr, "without: %s: no error is named\n", what);
		exit(125);
	}
	*error++ = '\0';
	if (argument != NULL)
		*argument++ = '\0';
	number = call_number(what);
	add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, argument != NULL ? 3 : 1));
	if (argument != NULL) {
		add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, args[0])));
		add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						 (uint32_t)strtoul(argument, NULL, 0), 0, 1));
	}
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error_number(error)));
}

int main(int argc, char **argv)
{
	struct sock_fprog filter = {.filter = program};
	int i = 1;

	add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	for (; i < argc && i <= CALLS_MAX && strcmp(argv[i], "--") != 0; i++)
		take_away(argv[i]);
	if (i + 1 >= argc || strcmp(argv[i], "--") != 0) {
		fprintf(stderr, "Usage: without CALL[:ARG0]=ERRNO... -- COMMAND [ARG...]\n");
		return 125;
	}
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	filter.len = length;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0) {
		perror("without: its filter");
		return 125;
	}
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 127;
}
