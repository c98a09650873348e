/* A disk's process, measured: see bench_disk.c. */
#ifndef ATOLL_TESTS_BENCH_BENCH_DISK_H
#define ATOLL_TESTS_BENCH_BENCH_DISK_H

#include "tests/bench/bench_slices.h"

/* Serves itself at the disk behind the socket, whose image is the file at `image`: verifies that reads and writes reach
 * it, measures, and prints. Each failure ends the program. */
void bench_disk(const char *socket_path, const char *image, const struct bench_slices *slices);

#endif
