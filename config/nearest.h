/*
 * "Did you mean": the word of a list that is nearest to one that is not in it.
 */
#ifndef ATOLL_CONFIG_NEAREST_H
#define ATOLL_CONFIG_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word;  /* what was written */
	const char *best;  /* NULL: nothing is near; else the candidate's string */
	unsigned distance; /* from it */
};

/* Begins; word is kept, not copied. */
struct nearest nearest_begin(const char *word);
/* One that could have been meant. */
void nearest_try(struct nearest *nearest, const char *candidate);
/* Writes "did you mean \"BEST\"? " to text if there is one near, else "". Returns text. */
const char *nearest_hint(const struct nearest *nearest, char *text, size_t size);

#endif
