/*
 * Whether this host's processor can run guests: for the remedy when there is no /dev/kvm.
 */
#ifndef ATOLL_SUPERVISOR_HOST_PROCESSOR_H
#define ATOLL_SUPERVISOR_HOST_PROCESSOR_H

#include <stddef.h>

#define PROCESSOR_PATH "/proc/cpuinfo"

enum processor_virtualization {
	PROCESSOR_UNKNOWN, /* the file cannot be read, or has no flags */
	PROCESSOR_NONE, /* it has none, its firmware keeps it back, or so does the host that this one is a guest of */
	PROCESSOR_SVM, /* AMD's: the module kvm-amd */
	PROCESSOR_VMX, /* Intel's: the module kvm-intel */
};

/* By the flags of the first processor in a text of the form of /proc/cpuinfo. */
enum processor_virtualization processor_parse(const char *text, size_t size);

/* The same of a file, of which only the beginning is read. */
enum processor_virtualization processor_look_up(const char *path);

/*
 * What to do about a /dev/kvm that open(2) answered this errno: "WHY; REMEDY", or only "REMEDY" behind "; ".
 * A constant that follows strerror(error).
 */
const char *processor_kvm_remedy(int error, enum processor_virtualization virtualization);

#endif
