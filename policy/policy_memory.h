/*
 * Memory for policies. A tool that runs out of it ends, with a word.
 */
#ifndef ATOLL_POLICY_POLICY_MEMORY_H
#define ATOLL_POLICY_POLICY_MEMORY_H

#include <stddef.h>

void *policy_resize(void *old, size_t count, size_t size);
char *policy_copy_text(const char *text, size_t length);

#endif
