/*
 * Where the texts of the policies are.
 */
#ifndef ATOLL_POLICY_POLICY_DIRECTORY_H
#define ATOLL_POLICY_POLICY_DIRECTORY_H

/* $ATOLL_POLICY_DIR, else where they were installed. */
const char *policy_directory(void);

#endif
