/*
 * Optimal string alignment: letters left out, put in, changed, and neighbours that changed places, one each.
 */
#include "config/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* No word that we know is longer, but for ids; and whoever writes one means no other. */
#define WORD_MAX 32

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned minimum(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= b_length; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = minimum(minimum(above[j] + 1, row[j - 1] + 1),
					 above[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				row[j] = minimum(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[b_length];
}

struct nearest nearest_begin(const char *word)
{
	return (struct nearest){.word = word};
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	size_t length = strlen(nearest->word), other = strlen(candidate);
	unsigned far;

	if (length == 0 || length > WORD_MAX || other == 0 || other > WORD_MAX)
		return;
	far = distance(nearest->word, length, candidate, other);
	/* One slip in a short word, two in a longer one. */
	if (far > (length < 5 ? 1 : 2) || far >= length ||
	    (nearest->best != NULL && far >= nearest->distance))
		return;
	nearest->best = candidate;
	nearest->distance = far;
}

const char *nearest_hint(const struct nearest *nearest, char *text, size_t size)
{
	text[0] = '\0';
	if (nearest->best != NULL)
		snprintf(text, size, "did you mean \"%s\"? ", nearest->best);
	return text;
}
