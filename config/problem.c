/*
 * Problems of a config file.
 */
#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/report.h"

/* Beyond this many nobody reads on; a hostile file must not make a list without end. */
#define PROBLEMS_MAX 100

enum problem_kind { PROBLEM_PLAIN, PROBLEM_SHAPE, PROBLEM_HOST };

/* Whether the value of the key, or of one that it is part of, is not what the file says. */
static bool problem_is_muted(const struct problems *problems, const char *key)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];
		size_t length = strlen(problem->key);

		if (problem->shape && strncmp(key, problem->key, length) == 0 &&
		    (key[length] == '\0' || key[length] == '.' || key[length] == '['))
			return true;
	}
	return false;
}

static void __attribute__((format(printf, 5, 0)))
problem_append(struct problems *problems, enum problem_kind kind, unsigned line, const char *key,
	       const char *format, va_list arguments)
{
	struct problem *list, *problem;
	size_t at = problems->count;

	if (problems->count == PROBLEMS_MAX || (kind != PROBLEM_SHAPE && problem_is_muted(problems, key)))
		return;
	list = realloc(problems->list, (problems->count + 1) * sizeof(*list));
	if (list == NULL)
		goto no_memory;
	problems->list = list;
	/* Kept in the order of lines, and of discovery within one. */
	while (at > 0 && list[at - 1].line > line)
		at--;
	memmove(&list[at + 1], &list[at], (problems->count - at) * sizeof(*list));
	problems->count++;
	problem = &list[at];
	*problem = (struct problem){.line = line,
				    .shape = kind == PROBLEM_SHAPE,
				    .host = kind == PROBLEM_HOST,
				    .key = strdup(key)};
	if (problem->key == NULL || vasprintf(&problem->text, format, arguments) < 0)
		goto no_memory;
	return;

no_memory:
	report_error("config: out of memory; free some, and try again");
	exit(EXIT_STATUS_FAILED);
}

void problem_add(struct problems *problems, unsigned line, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	problem_append(problems, PROBLEM_PLAIN, line, key, format, arguments);
	va_end(arguments);
}

void problem_add_shape(struct problems *problems, unsigned line, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	problem_append(problems, PROBLEM_SHAPE, line, key, format, arguments);
	va_end(arguments);
}

void problem_add_host(struct problems *problems, unsigned line, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	problem_append(problems, PROBLEM_HOST, line, key, format, arguments);
	va_end(arguments);
}

bool problems_have_shape(const struct problems *problems, const char *key)
{
	for (size_t i = 0; i < problems->count; i++)
		if (problems->list[i].shape && strcmp(problems->list[i].key, key) == 0)
			return true;
	return false;
}

void problems_print(const struct problems *problems, const char *file, bool as_reports)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];
		char *line;

		if (asprintf(&line, "%s%s:%u: %s: %s%s", as_reports ? "atoll: " : "", file, problem->line,
			     problem->key, problem->host && !as_reports ? "warning: " : "",
			     problem->text) < 0)
			continue;
		report_line(as_reports ? stderr : stdout, line);
		free(line);
	}
}

int problems_exit_status(const struct problems *problems)
{
	int status = EXIT_STATUS_OK;

	for (size_t i = 0; i < problems->count; i++) {
		if (!problems->list[i].host)
			return EXIT_STATUS_USAGE;
		status = EXIT_STATUS_HOST;
	}
	return status;
}

void problems_clear(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->list[i].key);
		free(problems->list[i].text);
	}
	free(problems->list);
	problems->list = NULL;
	problems->count = 0;
}
