/*
 * The terminal on stdio: raw while the VM runs and we are in the terminal's foreground, as it was at all other times.
 * In the background (`atoll run ... &`) it is the shell's: it is neither read nor set.
 *
 * One per process, since a process has one controlling terminal and the handlers of fatal signals have no
 * argument. It is restored on exit(3), before the process stops itself (SIGTSTP), and by the handlers of
 * SIGSEGV and the like; SIGTERM, SIGINT, SIGHUP and SIGQUIT are the loop's, which ends in exit(3). Only
 * SIGKILL leaves it raw.
 */
#ifndef ATOLL_SUPERVISOR_HOST_TERMINAL_H
#define ATOLL_SUPERVISOR_HOST_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Makes fd the terminal, and raw if we are in its foreground. Returns 0, -ENOTTY, or -errno. */
int terminal_take(int fd);
/* Whether we are in the foreground of the terminal, or it has no such thing for us. */
bool terminal_is_ours(void);
/* As it was when it was made raw. Safe in a signal handler. */
void terminal_restore(void);
/* Raw if we are in the foreground; else left to who is. What SIGCONT does. */
void terminal_resume(void);
bool terminal_is_raw(void);
/* Its size; 0 when unknown. */
void terminal_size(int fd, unsigned *columns, unsigned *rows);

/* --- the keys behind Ctrl-a --- */

enum terminal_command {
	TERMINAL_COMMAND_NONE,
	TERMINAL_COMMAND_END,
	TERMINAL_COMMAND_HELP,
};

struct terminal_keys {
	bool escaped; /* the last key was Ctrl-a */
};

/*
 * Takes typed bytes up to the first command or the end; copies what is for the guest to out (room for size
 * bytes) and its size to *out_size. Returns how many were taken; *command says what the last of them asks.
 */
size_t terminal_keys_filter(struct terminal_keys *keys, const char *typed, size_t size, char *out,
			    size_t *out_size, enum terminal_command *command);

extern const char terminal_help[];

#endif
