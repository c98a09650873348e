/*
 * Problems of a config file, gathered so that one run names all of them.
 *
 * Each has the line and the key that it is about, and a text "PROBLEM; REMEDY". `atoll check` prints them as
 * FILE:LINE: KEY: PROBLEM; REMEDY; `atoll run` the same as reports.
 *
 * What is wrong with the config or with what it names is so wherever it is looked at. What only this host lacks is
 * told apart: it ends `run` with another status, and is a warning of `check`, FILE:LINE: KEY: warning: PROBLEM;
 * REMEDY.
 */
#ifndef ATOLL_CONFIG_PROBLEM_H
#define ATOLL_CONFIG_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

struct problem {
	unsigned line;
	bool shape; /* the value could not be taken: nothing else is said about the key, or those below it */
	bool host;  /* not the file's fault: the host lacks something, or a right on it */
	char *key;
	char *text;
};

struct problems {
	struct problem *list;
	size_t count;
};

/* Adds one; a problem that cannot be stored for want of memory ends the process. */
void problem_add(struct problems *problems, unsigned line, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same for one after which another value stands in the place of the key's. */
void problem_add_shape(struct problems *problems, unsigned line, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void problem_add_host(struct problems *problems, unsigned line, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Whether a value of exactly this key could not be taken. */
bool problems_have_shape(const struct problems *problems, const char *key);

/* Prints all in the order of their lines: as reports on stderr, or else as check's output on stdout, where those of
 * the host are warnings. */
void problems_print(const struct problems *problems, const char *file, bool as_reports);

/* The status that they end run with: 0 if there are none, EXIT_STATUS_HOST if all are the host's. */
int problems_exit_status(const struct problems *problems);

void problems_clear(struct problems *problems);

#endif
