/*
 * Runs a seccomp filter as the kernel would, and counts what it costs.
 *
 * Source: Linux, Documentation/networking/filter.rst (classic BPF), and the subset that kernel/seccomp.c
 * takes.
 */
#ifndef ATOLL_POLICY_BPF_INTERPRETER_H
#define ATOLL_POLICY_BPF_INTERPRETER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

/*
 * The filter's answer (SECCOMP_RET_*) in *answer and the number of instructions that it took in *steps.
 * 0, or -EINVAL: an instruction that the kernel would not take, or a way that leads out of the filter.
 */
int bpf_run(const struct sock_filter *instructions, uint16_t count, const struct seccomp_data *data,
	    uint32_t *answer, unsigned *steps);

#endif
