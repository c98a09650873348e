/*
 * Words and parts of a policy's lines.
 */
#include <string.h>

#include "policy/policy_parser.h"

char *policy_space_skip(char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

char *policy_text_trim(char *text)
{
	size_t length;

	text = policy_space_skip(text);
	length = strlen(text);
	while (length > 0 &&
	       (text[length - 1] == ' ' || text[length - 1] == '\t' || text[length - 1] == '\r'))
		text[--length] = '\0';
	return text;
}

char *policy_word_take(char **text)
{
	char *word = policy_space_skip(*text), *end = word + strcspn(word, " \t");

	*text = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return word;
}

char *policy_part_take(char **text, const char *separator)
{
	char *part = *text, *end;

	if (part == NULL)
		return NULL;
	end = strstr(part, separator);
	*text = end != NULL ? end + strlen(separator) : NULL;
	if (end != NULL)
		*end = '\0';
	return policy_text_trim(part);
}
