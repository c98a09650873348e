/*
 * The reader of records (policy_record.h), with any bytes in the file's place; what was read is then judged, compared
 * and covered with a policy that has a rule of each kind, as `atoll policy diff` and `cover` do.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/policy_cover.h"
#include "policy/policy_diff.h"
#include "policy/policy_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "read: 1 # serve: x\n"
			   "ioctl: arg0 == $OWN_FD && arg1 == KVM_RUN || arg1 == KVM_IRQFD # serve: x\n"
			   "mmap: arg2 in PROT_READ|PROT_WRITE # serve: x\n"
			   "madvise: arg2 == MADV_DONTNEED # error: x\n"
			   "seccomp: 1 # start: dangerous: x\n"
			   "clone3: return ENOSYS # error: x\n"
			   "uring: READV # serve: x\n";

static int text_read(const struct policy_source *source, const char *name, char **file, char **copy,
		     size_t *size)
{
	(void)source;
	*file = strdup(name);
	*copy = strdup(text);
	*size = strlen(text);
	return 0;
}

static void records_use(const struct policy_records *records)
{
	const struct policy_source source = {.read = text_read};
	struct policy_problems problems = {0};
	struct policy_coverage coverage;
	struct policy policy;
	FILE *null = fopen("/dev/null", "w");

	if (null == NULL || policy_parse(&policy, "blk.queue", &source, &problems) < 0)
		abort();
	for (size_t i = 0; i < records->count; i++) {
		/* Printed as it is. */
		for (const char *c = records->list[i].role; *c != '\0'; c++)
			if ((unsigned char)*c <= ' ' || *c == 0x7f)
				abort();
		for (const char *c = records->list[i].test; *c != '\0'; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				abort();
	}
	policy_diff_records(&policy, 1, records, null);
	policy_cover(&policy, 1, records, &coverage, null);
	/* One entry for each alternative of each rule, whatever was recorded. */
	if (coverage.needed + coverage.errors + coverage.unneeded != 8 || coverage.refused > records->count)
		abort();
	policy_clear(&policy);
	fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_problems problems = {0};
	struct policy_records records;
	FILE *file;
	int result;

	if (size == 0)
		return 0;
	file = fmemopen((void *)data, size, "r");
	if (file == NULL)
		abort();
	result = policy_records_read_file(&records, file, "record", &problems);
	fclose(file);
	/* A refusal has a reason, and only a refusal. */
	if ((result < 0) != (problems.count > 0) || (result < 0 && records.count != 0))
		abort();
	records_use(&records);
	policy_records_clear(&records);
	policy_problems_clear(&problems);
	return 0;
}
