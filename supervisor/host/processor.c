/*
 * The processor's flags, as Linux tells them. /proc/cpuinfo repeats them for each processor, and has other lines
 * whose names end in the same word ("vmx flags"): the first line that is called "flags" counts, and whole words.
 */
#include "supervisor/host/processor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* The first processor's part has some 2 KiB. */
#define PROCESSOR_TEXT_MAX 16384

/* Parts of the remedies. */
#define LOOK "grep -wE 'svm|vmx' /proc/cpuinfo"
#define JOIN "or let this container have the device, and join the group kvm"
#define DEMO "meanwhile the source's ./demo shows a VM in an emulated machine"

static bool word_is(const char *word, size_t length, const char *wanted)
{
	return length == strlen(wanted) && memcmp(word, wanted, length) == 0;
}

/* One line's words behind its colon. */
static enum processor_virtualization flags_parse(const char *flags, const char *end)
{
	while (flags < end) {
		const char *space = memchr(flags, ' ', (size_t)(end - flags));
		size_t length = (size_t)((space != NULL ? space : end) - flags);

		if (word_is(flags, length, "svm"))
			return PROCESSOR_SVM;
		if (word_is(flags, length, "vmx"))
			return PROCESSOR_VMX;
		flags += length + 1;
	}
	return PROCESSOR_NONE;
}

enum processor_virtualization processor_parse(const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		/* A line that was cut off is not looked at: half a flag may be the name of another. */
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		const char *colon = line_end != NULL ? memchr(text, ':', (size_t)(line_end - text)) : NULL;
		size_t name = colon != NULL ? (size_t)(colon - text) : 0;

		if (line_end == NULL)
			break;
		while (name > 0 && (text[name - 1] == '\t' || text[name - 1] == ' '))
			name--;
		if (word_is(text, name, "flags"))
			return flags_parse(colon + 1, line_end);
		text = line_end + 1;
	}
	return PROCESSOR_UNKNOWN;
}

enum processor_virtualization processor_look_up(const char *path)
{
	char text[PROCESSOR_TEXT_MAX];
	size_t size = 0;
	ssize_t count;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return PROCESSOR_UNKNOWN;
	do {
		count = read(fd, text + size, sizeof(text) - size);
		if (count > 0)
			size += (size_t)count;
	} while ((count > 0 && size < sizeof(text)) || (count < 0 && errno == EINTR));
	close(fd);
	return processor_parse(text, size);
}

const char *processor_kvm_remedy(int error, enum processor_virtualization virtualization)
{
	switch (error) {
	case EACCES:
		return "; add this user to the group that owns it (often: usermod -aG kvm USER), "
		       "and log in again";
	case EPERM:
		return "; let this container or service have the device, as "
		       "docker run --device=/dev/kvm does";
	case ENOENT:
	case ENODEV:
	case ENXIO:
		break;
	default:
		return "; see that this host's KVM works";
	}
	switch (virtualization) {
	case PROCESSOR_NONE:
		return ", and the processor offers no virtualization (" LOOK " finds nothing); "
		       "turn it on in the firmware, or in the host that this machine is a guest of, "
		       "then load kvm-amd or kvm-intel and join the group kvm; " DEMO;
	case PROCESSOR_SVM:
		return ", but the processor offers virtualization (svm in /proc/cpuinfo); "
		       "load kvm-amd with modprobe, " JOIN "; " DEMO;
	case PROCESSOR_VMX:
		return ", but the processor offers virtualization (vmx in /proc/cpuinfo); "
		       "load kvm-intel with modprobe, " JOIN "; " DEMO;
	case PROCESSOR_UNKNOWN:
		break;
	}
	return "; see whether the processor offers virtualization (" LOOK "), "
	       "load kvm-amd or kvm-intel with modprobe, " JOIN "; " DEMO;
}
