/*
 * Problems of policies: a list, in the order of discovery.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/policy_memory.h"

/* Beyond this many nobody reads on; a hostile file must not make a list without end. */
#define PROBLEMS_MAX 200

void policy_problem_add(struct policy_problems *problems, const char *file, unsigned line, const char *format,
			...)
{
	struct policy_problem *problem;
	va_list arguments;
	char *text;
	int length;

	if (problems->count == PROBLEMS_MAX)
		return;
	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		text = policy_copy_text("out of memory", 13);
	problems->list = policy_resize(problems->list, problems->count + 1, sizeof(*problems->list));
	problem = &problems->list[problems->count++];
	*problem = (struct policy_problem){
		.line = line, .file = policy_copy_text(file, strlen(file)), .text = text};
}

void policy_problems_clear(struct policy_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->list[i].file);
		free(problems->list[i].text);
	}
	free(problems->list);
	*problems = (struct policy_problems){0};
}
