/*
 * What a VM and a device may be called. Their names are parts of paths, of messages, and of processes' titles.
 */
#ifndef ATOLL_COMMON_BASE_NAMES_H
#define ATOLL_COMMON_BASE_NAMES_H

/* Each returns NULL if the text is one, else what is wrong as "PROBLEM; REMEDY". */

/* A VM's: [a-z0-9][a-z0-9-]{0,62}. */
const char *name_check_vm(const char *text);
/* A device's id: [A-Za-z0-9][A-Za-z0-9._-]{0,30}. */
const char *name_check_device(const char *text);

#endif
