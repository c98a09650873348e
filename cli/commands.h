/*
 * The commands of `atoll`: a table, and a function each.
 */
#ifndef ATOLL_CLI_COMMANDS_H
#define ATOLL_CLI_COMMANDS_H

#include <stdbool.h>

#include "common/base/report.h"

/* A command's own arguments: argv[0] is its name. Returns the exit status. */
typedef int (*command_fn)(int argc, char **argv);

/* command_run.c */
int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
/* Runs the VM of a config file as `atoll run` does, and comes back with the exit status when it has ended. */
int run_and_wait(const char *path);

/* command_list.c */
int command_list(int argc, char **argv);

/* command_monitor.c */
int command_stop(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_reset(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_resume(int argc, char **argv);

/* command_audit.c */
int command_audit(int argc, char **argv);

/* command_policy.c */
int command_policy(int argc, char **argv);

/* --- main.c --- */

struct option;

/*
 * getopt_long(3) for a command: its own options, and -v, -q, -h, which are handled here. Returns the next of
 * its own options, or -1 at the end; *status is set to the exit status when the command is to end at once,
 * otherwise to -1.
 */
int command_option(int argc, char **argv, const struct option *options, int *status);

/* After the options: exactly `count` operands, else a usage error is reported. */
bool command_operands(int argc, char **argv, int count);

#endif
