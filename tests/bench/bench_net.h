/* A network device's process, measured: see bench_net.c. */
#ifndef ATOLL_TESTS_BENCH_BENCH_NET_H
#define ATOLL_TESTS_BENCH_BENCH_NET_H

#include "tests/bench/bench_slices.h"

/* Serves itself at the interface behind the socket, whose tap is in this network namespace: verifies that frames pass
 * whole, measures, and prints. Each failure ends the program. */
void bench_net(const char *socket_path, const char *tap, const struct bench_slices *slices);

#endif
