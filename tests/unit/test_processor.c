/*
 * Whether a processor offers virtualization, by texts as Linux writes them; and that what is said of a /dev/kvm that
 * cannot be opened fits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/host/processor.h"

#define AMD                                                                                             \
	"processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu vme lahf_lm cmp_legacy svm extapic " \
	"nrip_save "                                                                                    \
	"svm_lock\nbugs\t\t: spectre_v1\n\n"
#define INTEL                                                                                             \
	"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme ds_cpl vmx smx est\nvmx flags\t: " \
	"vnmi "                                                                                           \
	"ept\nbugs\t\t: spectre_v1\n\n"
/* A guest whose host keeps it back. */
#define GUEST                                                                                             \
	"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor lahf_lm svm_lock vmx2 " \
	"x-svm "                                                                                          \
	"\nbugs\t\t: svm vmx\n\n"

static void expect(const char *text, enum processor_virtualization wanted)
{
	assert_int_equal(processor_parse(text, strlen(text)), wanted);
}

static void test_parse(void **state)
{
	(void)state;
	expect(AMD, PROCESSOR_SVM);
	expect(INTEL, PROCESSOR_VMX);
	expect(GUEST, PROCESSOR_NONE);
	/* The first processor's flags are all processors'. */
	expect(AMD AMD, PROCESSOR_SVM);
	expect(GUEST INTEL, PROCESSOR_NONE);
	expect("flags\t\t: svm\n", PROCESSOR_SVM);
	expect("flags:vmx\n", PROCESSOR_VMX);
	expect("flags\t\t:\n", PROCESSOR_NONE);
	/* Only that line, by its whole name. */
	expect("vmx flags\t: vmx\n", PROCESSOR_UNKNOWN);
	expect("Features\t: svm\n", PROCESSOR_UNKNOWN);
	expect("flags\n", PROCESSOR_UNKNOWN);
	expect(":\n: svm\n\n", PROCESSOR_UNKNOWN);
	expect("", PROCESSOR_UNKNOWN);
	/* One that was cut off tells nothing. */
	expect("flags\t\t: fpu svm", PROCESSOR_UNKNOWN);
	assert_int_equal(processor_parse("flags: a\0svm svm\n", 17), PROCESSOR_SVM);
}

static char path[] = "/tmp/atoll-test-XXXXXX";

static void file_write(const char *text, size_t padding)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < padding; i++)
		fputc('x', file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void test_look_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(processor_look_up(path), PROCESSOR_UNKNOWN);
	file_write(AMD, 0);
	assert_int_equal(processor_look_up(path), PROCESSOR_SVM);
	file_write(INTEL, 0);
	assert_int_equal(processor_look_up(path), PROCESSOR_VMX);
	file_write(GUEST, 0);
	assert_int_equal(processor_look_up(path), PROCESSOR_NONE);
	/* Far more than the first processor's part is not read. */
	file_write("\n" AMD, 8192);
	assert_int_equal(processor_look_up(path), PROCESSOR_SVM);
	file_write("\n" AMD, 1 << 20);
	assert_int_equal(processor_look_up(path), PROCESSOR_UNKNOWN);
	unlink(path);
	assert_int_equal(processor_look_up(path), PROCESSOR_UNKNOWN);
	assert_int_equal(processor_look_up("/"), PROCESSOR_UNKNOWN);
}

static void says(const char *remedy, const char *words)
{
	if (strstr(remedy, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", remedy, words);
}

static void test_remedy(void **state)
{
	static const int missing[] = {ENOENT, ENODEV, ENXIO};
	static const int others[] = {EACCES, EPERM, EMFILE};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *none = processor_kvm_remedy(missing[i], PROCESSOR_NONE);
		const char *svm = processor_kvm_remedy(missing[i], PROCESSOR_SVM);
		const char *vmx = processor_kvm_remedy(missing[i], PROCESSOR_VMX);
		const char *unknown = processor_kvm_remedy(missing[i], PROCESSOR_UNKNOWN);

		says(none, "the processor offers no virtualization");
		says(none, "grep -wE 'svm|vmx' /proc/cpuinfo");
		says(svm, "load kvm-amd with modprobe");
		assert_null(strstr(svm, "kvm-intel"));
		says(vmx, "load kvm-intel with modprobe");
		assert_null(strstr(vmx, "kvm-amd"));
		says(unknown, "see whether the processor offers virtualization");
	}
	for (size_t i = 0; i < 3; i++)
		for (int found = PROCESSOR_UNKNOWN; found <= PROCESSOR_VMX; found++) {
			const char *remedy =
				processor_kvm_remedy(missing[i], (enum processor_virtualization)found);
			const char *other =
				processor_kvm_remedy(others[i], (enum processor_virtualization)found);

			says(remedy,
			     "group kvm; meanwhile the source's ./demo shows a VM in an emulated machine");
			assert_null(strchr(remedy, '\n'));
			/* A KVM that is there and refuses: the processor is not the reason. */
			assert_null(strstr(other, "processor"));
			assert_int_equal(strncmp(other, "; ", 2), 0);
		}
	says(processor_kvm_remedy(EACCES, PROCESSOR_NONE), "add this user to the group that owns it");
	says(processor_kvm_remedy(EPERM, PROCESSOR_NONE), "let this container or service have the device");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_look_up),
		cmocka_unit_test(test_remedy),
	};

	return cmocka_run_group_tests_name("processor", tests, NULL, NULL);
}
