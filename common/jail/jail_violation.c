/*
 * A system call that no filter allows.
 *
 * The filters answer such a call with SIGSYS. Its handler runs in the thread that called, behind the same
 * filters: it may write and it may end the process, nothing else. So everything that it tells is known before:
 * the thread's name and its filter are put down when it is sealed. One packet goes over the control wire, one
 * line to standard error; then the process ends, in any case. It is not a way to survive: nothing here returns.
 *
 * The packet is packed by generated code that computes in a buffer on the stack: no allocation, no lock.
 *
 * A step of abort(3) is no violation but a crash: a failed assertion, or what the C library finds wrong with its stack
 * or heap. The process ends without the packet then, with the status that abort(3) has. No filter need allow these
 * calls for that, and none is carried out. An attacker who makes one of them instead of another call gains what
 * _exit(2), which is allowed, gives as well: a process that has ended and is restarted within its budget.
 */
#include "common/jail/jail_violation.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include <config.h>

#include "common/base/syscall_names.h"
#include "common/jail/jail.h"
#include "proto/control.pb-c.h"

/* si_code of a SIGSYS that a filter caused: asm-generic/siginfo.h. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif
#define VIOLATION_TEXT_MAX  800
#define VIOLATION_FRAME_MAX 512
#define VIOLATION_NAME_MAX  16 /* of a thread, as the kernel has it */

#define NUMBER_TEXT(number)    NUMBER_TEXT_OF(number)
#define NUMBER_TEXT_OF(number) #number
#ifdef __GLIBC__
#define BUILT_WITH "glibc " NUMBER_TEXT(__GLIBC__) "." NUMBER_TEXT(__GLIBC_MINOR__)
#else
#define BUILT_WITH "another library"
#endif

static int violation_control_fd = -1;
static pid_t violation_pid;
/* The C library that carries this process out, as far as it tells. */
static char violation_runs_with[32] = "another library";
/* What a process does before it serves is its own doing and its library's, no guest's. */
static volatile bool violation_serving;
/* Thread-local in the program itself, so that reading them calls no function. */
static __thread char violation_thread[VIOLATION_NAME_MAX] = "main";
static __thread const char *volatile violation_filter;
/* The filter of threads that have installed none themselves: the one that was put into the whole process. */
static const char *violation_process_filter = "";

/* --- Text, without the C library --- */

struct text {
	char *bytes;
	size_t size, used;
};

static void text_add(struct text *text, const char *more)
{
	while (*more != '\0' && text->used + 1 < text->size)
		text->bytes[text->used++] = *more++;
	text->bytes[text->used] = '\0';
}

/* What somebody else wrote: as many bytes, each a character of ASCII or a question mark. */
static void text_add_bytes(struct text *text, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count && text->used + 1 < text->size; i++)
		text->bytes[text->used++] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?';
	text->bytes[text->used] = '\0';
}

static void text_add_number(struct text *text, uint64_t value, unsigned base)
{
	char digits[24], *first = digits + sizeof(digits) - 1;

	*first = '\0';
	do
		*--first = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	text_add(text, first);
}

static void text_add_call(struct text *text, const struct violation *violation)
{
	const char *name = syscall_name(violation->call);

	if (name != NULL) {
		text_add(text, name);
		return;
	}
	text_add(text, "system call ");
	text_add_number(text, violation->call, 10);
}

size_t violation_describe(const struct violation *violation, char *bytes, size_t size)
{
	struct text text = {.bytes = bytes, .size = size};

	text_add(&text, violation->thread);
	text_add(&text, " called ");
	text_add_call(&text, violation);
	for (size_t i = 0; i < VIOLATION_ARGUMENTS; i++) {
		text_add(&text, i == 0 ? "(0x" : ", 0x");
		text_add_number(&text, violation->arguments[i], 16);
	}
	text_add(&text, "), which ");
	text_add(&text, violation->filter);
	text_add(&text, ".policy does not allow; see atoll policy explain ");
	text_add(&text, violation->filter);
	text_add(&text, " ");
	text_add_call(&text, violation);
	return text.used;
}

size_t violation_describe_misfit(const char *filter, const char *built_with, const char *runs_with,
				 char *bytes, size_t size)
{
	struct text text = {.bytes = bytes, .size = size};

	text_add(&text, "; it had not served yet: the policy ");
	text_add(&text, filter);
	text_add(&text, " of Atoll " PACKAGE_VERSION " and the C library do not fit (built with ");
	text_add(&text, built_with);
	text_add(&text, ", runs with ");
	text_add(&text, runs_with);
	text_add(&text, "); install an Atoll that knows this library");
	return text.used;
}

/* --- abort(3) --- */

#define ABORT_PARTS_MAX 8

bool violation_aborts(const struct violation *violation, pid_t process)
{
	const uint64_t *arguments = violation->arguments;

	if (violation->arch != AUDIT_ARCH_X86_64)
		return false;
	switch (violation->call) {
	case SYS_writev:
		/* What glibc has found, as "malloc(): corrupted top size". */
		return (int)arguments[0] == STDERR_FILENO;
	case SYS_rt_sigprocmask:
		return (int)arguments[0] == SIG_BLOCK || (int)arguments[0] == SIG_UNBLOCK;
	case SYS_gettid:
	case SYS_getpid:
		return true;
	case SYS_tgkill:
		return (pid_t)arguments[0] == process && (int)arguments[2] == SIGABRT;
	default:
		return false;
	}
}

/*
 * The words of the C library are read where it says that they are. Where there is nothing, that is a fault while
 * SIGSEGV is blocked: the kernel ends the process, which was to end.
 */
static void abort_add_words(struct text *text, const struct violation *violation)
{
	const struct iovec *parts = (const struct iovec *)(uintptr_t)violation->arguments[1];

	for (uint64_t i = 0; i < violation->arguments[2] && i < ABORT_PARTS_MAX; i++) {
		const char *words = parts[i].iov_base;
		size_t length = parts[i].iov_len;

		if (length > 0 && words[length - 1] == '\n')
			length--;
		text_add_bytes(text, words, length);
	}
}

static void abort_print(const struct violation *violation)
{
	char line[VIOLATION_TEXT_MAX];
	struct text text = {.bytes = line, .size = sizeof(line) - 1};

	text_add(&text, "atoll: ");
	text_add(&text, violation->thread);
	text_add(&text, " aborted (it called ");
	text_add_call(&text, violation);
	text_add(&text, ")");
	if (violation->call == SYS_writev) {
		text_add(&text, ": ");
		abort_add_words(&text, violation);
	}
	line[text.used++] = '\n';
	syscall(SYS_write, STDERR_FILENO, line, text.used);
}

/* --- The report --- */

static void violation_send(const struct violation *violation)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Violation message = ATOLL__CONTROL__VIOLATION__INIT;
	uint8_t frame[VIOLATION_FRAME_MAX];

	if (violation_control_fd < 0)
		return;
	message.thread = (char *)violation->thread;
	message.filter = (char *)violation->filter;
	message.arch = violation->arch;
	message.call = violation->call;
	message.arguments = (uint64_t *)violation->arguments;
	message.n_arguments = VIOLATION_ARGUMENTS;
	message.instruction = violation->instruction;
	message.built_with = (char *)BUILT_WITH;
	message.runs_with = violation_runs_with;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_VIOLATION;
	envelope.violation = &message;
	if (atoll__control__envelope__get_packed_size(&envelope) > sizeof(frame))
		return;
	/* A packet is whole or not there; who loses it still finds the exit status. */
	syscall(SYS_write, violation_control_fd, frame, atoll__control__envelope__pack(&envelope, frame));
}

static void violation_print(const struct violation *violation)
{
	char line[VIOLATION_TEXT_MAX] = "atoll: ";
	size_t prefix = strlen(line);
	size_t length = prefix + violation_describe(violation, line + prefix, sizeof(line) - prefix - 1);

	if (!violation_serving)
		length += violation_describe_misfit(violation->filter, BUILT_WITH, violation_runs_with,
						    line + length, sizeof(line) - length - 1);
	line[length++] = '\n';
	syscall(SYS_write, STDERR_FILENO, line, length);
}

static void violation_take(int number, siginfo_t *info, void *context)
{
	const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
	struct violation violation = {
		.thread = violation_thread,
		.filter = violation_filter != NULL ? violation_filter : violation_process_filter,
		.arch = info->si_arch,
		.call = (uint32_t)info->si_syscall,
		.arguments = {(uint64_t)registers[REG_RDI], (uint64_t)registers[REG_RSI],
			      (uint64_t)registers[REG_RDX], (uint64_t)registers[REG_R10],
			      (uint64_t)registers[REG_R8], (uint64_t)registers[REG_R9]},
		.instruction = (uintptr_t)info->si_call_addr,
	};

	(void)number;
	/*
	 * One that somebody sent has nothing to tell. Before it serves, that its policy and the library do not fit is
	 * what there is to tell.
	 */
	if (info->si_code == SYS_SECCOMP && violation_serving &&
	    violation_aborts(&violation, violation_pid)) {
		abort_print(&violation);
		for (;;)
			syscall(SYS_exit_group, JAIL_EXIT_ABORTED);
	}
	if (info->si_code == SYS_SECCOMP) {
		violation_send(&violation);
		violation_print(&violation);
	}
	for (;;)
		syscall(SYS_exit_group, JAIL_EXIT_VIOLATION);
}

int violation_control(void)
{
	return violation_control_fd;
}

void violation_filter_process(const char *filter)
{
	violation_process_filter = filter;
}

void violation_filter_thread(const char *filter)
{
	violation_filter = filter;
}

void jail_name_thread(const char *name)
{
	prctl(PR_SET_NAME, name);
	strncpy(violation_thread, name, sizeof(violation_thread) - 1);
}

void jail_serves(void)
{
	violation_serving = true;
}

int jail_watch_violations(int control_fd)
{
	struct sigaction action = {.sa_sigaction = violation_take, .sa_flags = SA_SIGINFO};
#ifdef __GLIBC__
	struct text runs_with = {.bytes = violation_runs_with, .size = sizeof(violation_runs_with)};

	text_add(&runs_with, "glibc ");
	text_add(&runs_with, gnu_get_libc_version());
#endif

	violation_control_fd = control_fd;
	violation_pid = getpid();
	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGSYS);
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}
