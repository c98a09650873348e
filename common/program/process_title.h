/*
 * The process's title, as ps shows it.
 */
#ifndef ATOLL_COMMON_PROGRAM_PROCESS_TITLE_H
#define ATOLL_COMMON_PROGRAM_PROCESS_TITLE_H

/* At the start of main: remembers where the title is, and moves the environment away from behind it. */
void process_title_init(int argc, char **argv);
/* Replaces it. Every argv string is gone afterwards. */
void process_title_set(const char *title);

#endif
