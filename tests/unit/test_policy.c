/*
 * The policies: what parses and what does not, what a text says, what the linter finds; and that the replay finds
 * filters that do something else, which it can only be trusted to if it does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/syscall_names.h"
#include "policy/bpf_interpreter.h"
#include "policy/filters.h"
#include "policy/policy.h"
#include "policy/policy_check.h"
#include "policy/policy_compile.h"
#include "policy/policy_cover.h"
#include "policy/policy_diff.h"
#include "policy/policy_names.h"
#include "policy/policy_record.h"
#include "policy/sha256.h"

/* --- Texts from memory --- */

struct texts {
	struct policy_source source;
	const char *main;
	size_t main_size; /* 0: its length */
	const char *common;
	const char *groups;
	const char *policy;
};

static int texts_read(const struct policy_source *source, const char *name, char **file, char **text,
		      size_t *size)
{
	const struct texts *texts = (const struct texts *)source;
	const char *from = strcmp(name, "a.b.policy") == 0	? texts->main
			   : strcmp(name, "common.policy") == 0 ? texts->common
			   : strcmp(name, "groups.policy") == 0 ? texts->groups
			   : strcmp(name, "c.d.policy") == 0	? texts->policy
								: NULL;

	if (from == NULL)
		return -ENOENT;
	*size = from == texts->main && texts->main_size > 0 ? texts->main_size : strlen(from);
	*text = malloc(*size + 1);
	memcpy(*text, from, *size);
	(*text)[*size] = '\0';
	*file = strdup(name);
	return 0;
}

static int parse_both(struct policy *policy, const char *main, const char *common,
		      struct policy_problems *problems)
{
	struct texts texts = {.source = {.read = texts_read}, .main = main, .common = common};

	return policy_parse(policy, "a.b", &texts.source, problems);
}

static void parse_good(struct policy *policy, const char *text)
{
	struct policy_problems problems = {0};

	if (parse_both(policy, text, NULL, &problems) < 0)
		fail_msg("%s:%u: %s", problems.list[0].file, problems.list[0].line, problems.list[0].text);
	assert_int_equal(problems.count, 0);
}

/* The text has one problem, in that line, which the words are part of. */
static void parse_bad(const char *text, unsigned line, const char *words)
{
	struct policy_problems problems = {0};
	struct policy policy;

	assert_int_equal(parse_both(&policy, text, "read: 1\n", &problems), -EINVAL);
	assert_null(policy.rules);
	if (problems.count != 1 || problems.list[0].line != line ||
	    strstr(problems.list[0].text, words) == NULL)
		fail_msg("\"%s\": %zu problems, the first in line %u: %s", text, problems.count,
			 problems.list[0].line, problems.list[0].text);
	policy_problems_clear(&problems);
}

static enum policy_action say_slots(const struct policy *policy, uint32_t call, uint64_t a0, uint64_t a1,
				    uint64_t a2, const struct policy_slot_value *slots, size_t count)
{
	const uint64_t arguments[POLICY_ARGUMENTS] = {a0, a1, a2};

	return policy_evaluate(policy, AUDIT_ARCH_X86_64, call, arguments, slots, count).action;
}

static enum policy_action say(const struct policy *policy, uint32_t call, uint64_t a0, uint64_t a1,
			      uint64_t a2)
{
	return say_slots(policy, call, a0, a1, a2, NULL, 0);
}

/* --- The parser --- */

static void test_rules(void **state)
{
	struct policy policy;
	char buffer[64];

	(void)state;
	parse_good(&policy, "# a comment\n"
			    "\n"
			    "  read:1   # serve: why: and how\n"
			    "write: allow\n"
			    "ioctl: arg0 == $OWN_FD && arg1 == KVM_RUN || arg1==KVM_IRQFD # start: x\r\n"
			    "clone3: return ENOSYS # error: y\n"
			    "fcntl: return EPERM if arg1 == F_DUPFD\n"
			    "execve: kill\n"
			    "uring: READV # serve: z");
	assert_int_equal(policy.rule_count, 7);
	assert_int_equal(policy.rules[0].call, SYS_read);
	assert_int_equal(policy.rules[0].line, 3);
	assert_string_equal(policy.rules[0].file, "a.b.policy");
	assert_int_equal(policy.rules[0].phase, POLICY_SERVE);
	assert_string_equal(policy.rules[0].reason, "why: and how");
	assert_string_equal(policy.rules[0].text, "read:1");
	assert_int_equal(policy.rules[1].phase, POLICY_NO_PHASE);
	assert_null(policy.rules[1].reason);
	assert_int_equal(policy.rules[2].alternative_count, 2);
	assert_int_equal(policy.rules[2].alternatives[0].count, 2);
	assert_string_equal(policy.rules[2].alternatives[0].conditions[0].slot, "OWN_FD");
	assert_int_equal(policy.rules[2].alternatives[0].conditions[1].value, KVM_RUN);
	assert_int_equal(policy.rules[2].alternatives[0].conditions[1].mask, UINT32_MAX);
	assert_int_equal(policy.rules[3].action, POLICY_ERRNO);
	assert_int_equal(policy.rules[3].error, ENOSYS);
	assert_string_equal(policy_action_text(POLICY_ERRNO, ENOSYS, buffer, sizeof(buffer)),
			    "return ENOSYS");
	assert_int_equal(policy.rules[4].alternative_count, 1);
	assert_int_equal(policy.rules[5].action, POLICY_KILL);
	assert_int_equal(policy.rules[6].call, -1);
	assert_int_equal(policy.default_action, POLICY_TRAP);
	assert_int_equal(policy_allowed_calls(&policy), 3);
	policy_clear(&policy);
}

/* A4: a policy may be another one and a few rules more; no deeper than that. */
static void test_include_policy(void **state)
{
	static const struct {
		const char *main, *common, *policy, *file, *words;
		unsigned line;
	} bad[] = {
		{"@include c.d.policy\n", "read: 1\n", "@include c.d.policy\n", "c.d.policy",
		 "may not include another policy", 1},
		{"@include c.d.policy\n", "read: 1\n", "\n@include a.b.policy\n", "c.d.policy",
		 "may not include another policy", 2},
		{"@include c.d.policy\n", "\n\n@include common.policy\n", "@include common.policy\n",
		 "common.policy", "may not include another, unless it is a policy", 3},
		{"@include common.policy\n", "@include c.d.policy\n", "read: 1\n", "common.policy",
		 "may not include another, unless it is a policy", 1},
		{"@include c.d.policy\n", "read: 1\n", "@default allow\n", "c.d.policy", "the default", 1},
		{"@include c.d.policy\nread: kill\n", "read: 1\n", "@include common.policy\n", "a.b.policy",
		 "contradicts common.policy:1", 2},
		{"@include c.d.policy\n@include c.d.policy\n@include c.d.policy\n@include c.d.policy\n",
		 "read: 1\n", "@include common.policy\n", "c.d.policy", "more than 8 files", 1},
	};
	struct texts texts = {
		.source = {.read = texts_read},
		.main = "@include c.d.policy\nwrite: 1\n@include common.policy\n",
		.common = "read: 1\n",
		.policy = "close: 1\n@include common.policy\ngetpid: 1\n",
	};
	struct policy_problems problems = {0};
	struct policy policy;

	(void)state;
	assert_int_equal(policy_parse(&policy, "a.b", &texts.source, &problems), 0);
	assert_int_equal(policy.rule_count, 5);
	assert_string_equal(policy.rules[0].file, "c.d.policy");
	assert_string_equal(policy.rules[1].file, "common.policy");
	assert_string_equal(policy.rules[2].file, "c.d.policy");
	assert_int_equal(policy.rules[2].line, 3);
	assert_string_equal(policy.rules[3].file, "a.b.policy");
	assert_int_equal(policy.rules[3].line, 2);
	assert_string_equal(policy.rules[4].file, "common.policy");
	policy_clear(&policy);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		texts.main = bad[i].main;
		texts.common = bad[i].common;
		texts.policy = bad[i].policy;
		assert_int_equal(policy_parse(&policy, "a.b", &texts.source, &problems), -EINVAL);
		if (problems.count != 1 || strcmp(problems.list[0].file, bad[i].file) != 0 ||
		    problems.list[0].line != bad[i].line ||
		    strstr(problems.list[0].text, bad[i].words) == NULL)
			fail_msg("%zu: %zu problems, the first in %s:%u: %s", i, problems.count,
				 problems.list[0].file, problems.list[0].line, problems.list[0].text);
		policy_problems_clear(&problems);
	}
}

static void test_include(void **state)
{
	struct policy_problems problems = {0};
	struct policy policy, flat;

	(void)state;
	assert_int_equal(
		parse_both(&policy, "write: 1\n@include common.policy\nclose: 1\n", "\nread: 1\n", &problems),
		0);
	assert_int_equal(policy.rule_count, 3);
	assert_string_equal(policy.rules[1].file, "common.policy");
	assert_int_equal(policy.rules[1].line, 2);
	assert_string_equal(policy.rules[2].file, "a.b.policy");
	assert_int_equal(policy.rules[2].line, 3);
	/* The hash is that of the text with the included one in its place, whatever the lines are. */
	parse_good(&flat, "write: 1\n\nread: 1\nclose: 1\n");
	assert_string_equal(policy.hash, flat.hash);
	policy_clear(&flat);
	parse_good(&flat, "write: 1\n\nread: 1 \nclose: 1\n");
	assert_string_not_equal(policy.hash, flat.hash);
	policy_clear(&flat);
	policy_clear(&policy);
	assert_int_equal(
		parse_both(&policy, "@include common.policy\n", "\n@include common.policy\n", &problems),
		-EINVAL);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.list[0].file, "common.policy");
	assert_int_equal(problems.list[0].line, 2);
	policy_problems_clear(&problems);
	assert_int_equal(parse_both(&policy, "@include common.policy\n", "@default allow\n", &problems),
			 -EINVAL);
	assert_int_equal(problems.count, 1);
	policy_problems_clear(&problems);
	/* One run names all. */
	assert_int_equal(parse_both(&policy, "raed: 1\nwrite: 1\nwirte: 1\n", NULL, &problems), -EINVAL);
	assert_int_equal(problems.count, 2);
	assert_int_equal(problems.list[1].line, 3);
	policy_problems_clear(&problems);
}

static void test_bad_lines(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *words;
	} bad[] = {
		{"\n\nraed: 1\n", 3, "\"raed\" is not a system call of x86-64 that Linux "},
		{"read\n", 1, "neither a directive nor a rule"},
		{"read:\n", 1, "nothing stands behind"},
		{"read: 2\n", 1, "not a condition"},
		{": 1\n", 1, "not a system call"},
		{"ioctl: arg1 == KVM_RUNN\n", 1, "\"KVM_RUNN\" is not a known constant"},
		{"ioctl: arg1 == \n", 1, "not a condition"},
		{"ioctl: arg1\n", 1, "not a condition"},
		{"ioctl: arg6 == 1\n", 1, "not a condition"},
		{"ioctl: arg1 == KVM_RUN &&\n", 1, "not a condition"},
		{"ioctl: || arg1 == KVM_RUN\n", 1, "not a condition"},
		{"ioctl: arg1 = KVM_RUN\n", 1, "not a condition"},
		{"ioctl: arg1 == KVM_RUN && arg1 == KVM_IRQFD\n", 1, "two conditions in one alternative"},
		{"ioctl: arg1 != KVM_RUN\n", 1, "\"!=\" could be passed by"},
		{"ioctl: arg3 == 0\n", 1, "has no arg3"},
		{"ioctl: arg1 == 0x100000000\n", 1, "more than 32 bits"},
		{"ioctl: arg1 < KVM_RUN\n", 1, "ordered comparisons"},
		{"ioctl: arg1 <= KVM_RUN\n", 1, "ordered comparisons"},
		{"ioctl: arg1 > KVM_RUN\n", 1, "ordered comparisons"},
		{"ioctl: arg1 >= KVM_RUN\n", 1, "ordered comparisons"},
		{"ioctl: arg0 in $OWN_FD\n", 1, "is a slot"},
		{"ioctl: arg0 == $own\n", 1, "is a slot"},
		{"ioctl: arg0 == $\n", 1, "is a slot"},
		{"mmap: arg1 == $SIZE\n", 1, "is a slot"},
		{"mmap: arg2 & PROT_READ|PROT_WRITE\n", 1, "tests one bit"},
		{"mmap: arg2 & 0\n", 1, "tests one bit"},
		{"mmap: arg2 in ~0\n", 1, "every value is in this set"},
		{"mmap: arg2 in PROT_READ|\n", 1, "not a known constant"},
		{"mmap: arg2 == 0x10000000000000000\n", 1, "not a known constant"},
		{"swapon: arg0 == 0\n", 1, "are not described yet"},
		{"clone3: return ENOSYSS\n", 1, "not the name of an error"},
		{"clone3: return\n", 1, "not the name of an error"},
		{"clone3: return 38\n", 1, "not the name of an error"},
		{"clone3: kill now\n", 1, "where \"if\" and conditions"},
		{"fcntl: return EPERM if\n", 1, "not a condition"},
		{"uring: READVV\n", 1, "not an operation of io_uring"},
		{"uring: LAST\n", 1, "not an operation of io_uring"},
		{"@include\n", 1, "not a file in the policy's folder"},
		{"@include ../common.policy\n", 1, "not a file in the policy's folder"},
		{"@include .hidden\n", 1, "not a file in the policy's folder"},
		{"@include other.policy\n", 1, "No such file"},
		{"@include common.policy more\n", 1, "takes one word"},
		{"@default maybe\n", 1, "not a default"},
		{"@default trap\n@default trap\n", 2, "set twice"},
		{"@frequency x\n", 1, "not a directive"},
		{"read: 1\xc3\xa4\n", 1, "the byte 0xc3"},
		{"read: 1\nread: return EPERM\n", 2, "contradicts a.b.policy:1"},
		{"fcntl: arg1 == F_GETFL\nfcntl: return EPERM\n", 2, "contradicts"},
		{"fcntl: arg1 == F_GETFL\nfcntl: return EPERM if arg0 == 1\n", 2, "contradicts"},
		{"@include common.policy\nread: kill\n", 2, "contradicts common.policy:1"},
	};
	struct texts texts = {
		.source = {.read = texts_read}, .main = "read: 1\n\0read: 1\n", .main_size = 17};
	struct policy_problems problems = {0};
	struct policy policy;
	char *large;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		parse_bad(bad[i].text, bad[i].line, bad[i].words);
	assert_int_equal(policy_parse(&policy, "a.b", &texts.source, &problems), -EINVAL);
	assert_non_null(strstr(problems.list[0].text, "NUL"));
	policy_problems_clear(&problems);
	large = malloc(POLICY_TEXT_MAX + 2);
	memset(large, '\n', POLICY_TEXT_MAX + 1);
	large[POLICY_TEXT_MAX + 1] = '\0';
	parse_bad(large, 0, "are the most");
	large[POLICY_TEXT_MAX] = '\0';
	parse_good(&policy, large);
	policy_clear(&policy);
	free(large);
}

#define GROUPS                                                        \
	"# Groups.\n"                                                 \
	"@group state # of a file\n"                                  \
	"newfstatat: arg3 == AT_EMPTY_PATH # one library\n"           \
	"or fstat: 1 # another\n"                                     \
	"\n"                                                          \
	"@group memory\n"                                             \
	"brk: 1 # all\n"                                              \
	"madvise: arg2 == MADV_DONTNEED || arg2 == MADV_FREE # all\n" \
	"prctl: return EINVAL if arg0 == PR_SET_VMA # some\n"

static int parse_groups(struct policy *policy, const char *main, const char *groups,
			struct policy_problems *problems)
{
	struct texts texts = {.source = {.read = texts_read}, .main = main, .groups = groups};

	return policy_parse(policy, "a.b", &texts.source, problems);
}

static void test_groups(void **state)
{
	static const char main[] = "read: 1 # serve: x\n@state # stop: why\n@memory # error: never\n";
	struct policy_problems problems = {0};
	struct policy policy, other;

	(void)state;
	assert_int_equal(parse_groups(&policy, main, GROUPS, &problems), 0);
	policy_lint(&policy, &problems);
	assert_int_equal(problems.count, 0);
	assert_int_equal(policy.rule_count, 6);
	/* They stand where the group is named, for the reason that is given there. */
	for (size_t i = 1; i < 6; i++) {
		assert_string_equal(policy.rules[i].file, "a.b.policy");
		assert_int_equal(policy.rules[i].line, i < 3 ? 2 : 3);
		assert_string_equal(policy.rules[i].reason, i < 3 ? "why" : "never");
		assert_int_equal(policy.rules[i].phase, i < 3 ? POLICY_STOP : POLICY_ERROR);
		assert_string_equal(policy.rules[i].group, i < 3 ? "state" : "memory");
	}
	assert_string_equal(policy.rules[2].text, "fstat: 1 (@state)");
	assert_int_equal(say(&policy, SYS_fstat, 3, 0, 0), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_newfstatat, 3, 0, 0), POLICY_TRAP);
	assert_int_equal(say(&policy, SYS_madvise, 0, 0, MADV_FREE), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_prctl, 0x53564d41 /* PR_SET_VMA */, 0, 0), POLICY_ERRNO);
	/* read, newfstatat or fstat, brk, madvise. */
	assert_int_equal(policy_allowed_calls(&policy), 4);
	/* What a group says is a part of what the policy says. */
	assert_int_equal(parse_groups(&other, main, GROUPS "munmap: 1 # all\n", &problems), 0);
	assert_int_equal(policy_allowed_calls(&other), 5);
	assert_string_not_equal(policy.hash, other.hash);
	policy_clear(&other);
	/* What it says of a group that is not named is not. */
	assert_int_equal(parse_groups(&other, main, GROUPS "@group other\nmunmap: 1 # all\n", &problems), 0);
	assert_string_equal(policy.hash, other.hash);
	policy_clear(&other);
	policy_clear(&policy);
}

static void test_bad_groups(void **state)
{
	static const struct {
		const char *main, *groups, *file, *words;
		unsigned line;
	} bad[] = {
		{"@other # serve: x\n", GROUPS, "a.b.policy", "nor a group of groups.policy", 1},
		{"@ # serve: x\n", GROUPS, "a.b.policy", "nor a group", 1},
		{"@state # serve: x\n", NULL, "a.b.policy", "No such file", 1},
		{"@state # serve: x\n", "@group state\nfstat: 1\n", "groups.policy", "which C libraries", 2},
		{"@state # serve: x\n", "@group state\nfstatt: 1 # all\n", "groups.policy",
		 "not a system call", 2},
		{"@state # serve: x\n", "@group state\n@include a # b\n", "groups.policy",
		 "neither a directive nor a rule", 2},
		{"@state # serve: x\nfstat: kill\n", GROUPS, "a.b.policy", "contradicts a.b.policy:1", 2},
		{"or read: 1 # serve: x\n", GROUPS, "a.b.policy", "not a system call", 1},
		{"@group state\n", GROUPS, "a.b.policy", "not a directive", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct policy_problems problems = {0};
		struct policy policy;

		assert_int_equal(parse_groups(&policy, bad[i].main, bad[i].groups, &problems), -EINVAL);
		if (problems.count != 1 || problems.list[0].line != bad[i].line ||
		    strcmp(problems.list[0].file, bad[i].file) != 0 ||
		    strstr(problems.list[0].text, bad[i].words) == NULL)
			fail_msg("%zu: %zu problems, the first %s:%u: %s", i, problems.count,
				 problems.list[0].file, problems.list[0].line, problems.list[0].text);
		policy_problems_clear(&problems);
	}
}

/* --- The evaluator --- */

static void test_evaluator(void **state)
{
	const struct policy_slot_value own = {"OWN_FD", 7};
	const uint64_t none[POLICY_ARGUMENTS] = {0};
	struct policy policy;

	(void)state;
	parse_good(&policy, "read: 1\n"
			    "ioctl: arg0 == $OWN_FD && arg1 == KVM_RUN\n"
			    "ioctl: return ENOTTY if arg1 == TCGETS\n"
			    "mmap: arg2 in PROT_READ|PROT_WRITE\n"
			    "mprotect: arg2 in ~PROT_EXEC\n"
			    "madvise: arg2 & 4 || arg2 == MADV_DONTDUMP\n"
			    "ftruncate: arg1 != 0\n"
			    "openat: arg0 == AT_FDCWD\n");
	assert_int_equal(say(&policy, SYS_read, 1, 2, 3), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_write, 1, 2, 3), POLICY_TRAP);
	/* Slots without a value match nothing. */
	assert_int_equal(say(&policy, SYS_ioctl, 7, KVM_RUN, 0), POLICY_TRAP);
	assert_int_equal(say_slots(&policy, SYS_ioctl, 7, KVM_RUN, 0, &own, 1), POLICY_ALLOW);
	assert_int_equal(say_slots(&policy, SYS_ioctl, 8, KVM_RUN, 0, &own, 1), POLICY_TRAP);
	/* The kernel ignores the upper half of a request's number. */
	assert_int_equal(
		say_slots(&policy, SYS_ioctl, 7 | UINT64_C(1) << 32, KVM_RUN | UINT64_C(5) << 32, 0, &own, 1),
		POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_ioctl, 0, 0x5401, 0), POLICY_ERRNO);
	assert_int_equal(say(&policy, SYS_mmap, 0, 0, PROT_READ), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_mmap, 0, 0, PROT_NONE), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_mmap, 0, 0, PROT_READ | PROT_EXEC), POLICY_TRAP);
	/* Not so that of 64 bits. */
	assert_int_equal(say(&policy, SYS_mmap, 0, 0, PROT_READ | UINT64_C(1) << 32), POLICY_TRAP);
	assert_int_equal(say(&policy, SYS_mprotect, 0, 0, UINT64_MAX & ~(uint64_t)PROT_EXEC), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_mprotect, 0, 0, PROT_EXEC), POLICY_TRAP);
	assert_int_equal(say(&policy, SYS_madvise, 0, 0, 5), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_madvise, 0, 0, 3), POLICY_TRAP);
	assert_int_equal(say(&policy, SYS_madvise, 0, 0, MADV_DONTDUMP), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_ftruncate, 0, 0, 0), POLICY_TRAP);
	assert_int_equal(say(&policy, SYS_ftruncate, 0, UINT64_C(1) << 40, 0), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_openat, (uint32_t)AT_FDCWD, 0, 0), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_openat, (uint64_t)AT_FDCWD, 0, 0), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_openat, 3, 0, 0), POLICY_TRAP);
	/* Other architectures are not asked. */
	assert_int_equal(policy_evaluate(&policy, AUDIT_ARCH_I386, SYS_read, none, NULL, 0).action,
			 POLICY_KILL);
	assert_int_equal(say(&policy, SYS_read | 0x40000000, 0, 0, 0), POLICY_KILL);
	assert_int_equal(say(&policy, UINT32_MAX, 0, 0, 0), POLICY_TRAP);
	policy_clear(&policy);
}

/* --- The linter --- */

static void lint_tells(const char *text, unsigned line, const char *words)
{
	struct policy_problems problems = {0};
	struct policy policy;

	parse_good(&policy, text);
	policy_lint(&policy, &problems);
	if (words == NULL ? problems.count != 0
			  : problems.count != 1 || problems.list[0].line != line ||
				    strstr(problems.list[0].text, words) == NULL)
		fail_msg("\"%s\": %zu problems, the first: %u: %s", text, problems.count,
			 problems.count > 0 ? problems.list[0].line : 0,
			 problems.count > 0 ? problems.list[0].text : "none");
	policy_problems_clear(&problems);
	policy_clear(&policy);
}

static void test_lint(void **state)
{
	(void)state;
	lint_tells("read: 1 # serve: x\nexecve: kill # error: y\n", 0, NULL);
	lint_tells("read: 1\n", 1, "no phase");
	lint_tells("read: 1 # because\n", 1, "no phase");
	lint_tells("read: 1 # later: because\n", 1, "no phase");
	lint_tells("read: 1 # serve:\n", 1, "no reason");
	lint_tells("read: arg1 == 0 # serve: x\n", 1, "arg1 is a pointer");
	lint_tells("execve: 1 # start: x\n", 1, "execve is dangerous;");
	lint_tells("execve: 1 # start: dangerous: x\n", 0, NULL);
	lint_tells("process_vm_readv: 1 # start: x\n", 1, "process_vm_readv is dangerous;");
	lint_tells("ioctl: 1 # start: x\n", 1, "ioctl is dangerous without conditions");
	lint_tells("ioctl: arg1 == KVM_RUN # start: x\n", 0, NULL);
	lint_tells("mprotect: 1 # start: x\n", 1, "mprotect is dangerous without conditions");
	lint_tells("read: 1 # serve: x\nread: 1 # serve: y\n", 2, "covered by a.b.policy:1");
	lint_tells("read: arg0 == 3 # serve: x\nread: 1 # serve: y\n", 1, "covered by a.b.policy:2");
	lint_tells("mmap: arg2 == PROT_READ # serve: x\nmmap: arg2 in PROT_READ|PROT_WRITE # serve: x\n", 1,
		   "covered by a.b.policy:2");
	lint_tells("mmap: arg2 == PROT_READ || arg2 == PROT_READ # serve: x\n", 1,
		   "alternative 2 is covered by another");
	lint_tells("mmap: arg2 == PROT_READ && arg4 == 3 || arg4 == 3 # serve: x\n", 1,
		   "alternative 1 is covered by another");
	lint_tells("mmap: arg2 == PROT_READ || arg2 == PROT_WRITE # serve: x\n", 0, NULL);
	lint_tells("ioctl: arg0 == $A && arg1 == 1 # serve: x\nioctl: arg0 == $B && arg1 == 1 # serve: x\n",
		   0, NULL);
	lint_tells("uring: READV # serve: x\nuring: READV # serve: x\n", 2, "covered");
	lint_tells("read: trap # error: x\n", 1, "this is the default");
}

static void test_lint_of_allowed_default(void **state)
{
	struct policy_problems problems = {0};
	struct policy policy;
	size_t all;

	(void)state;
	parse_good(&policy, "@default allow\n");
	policy_lint(&policy, &problems);
	all = problems.count;
	assert_true(all > 50);
	policy_problems_clear(&problems);
	policy_clear(&policy);
	parse_good(&policy, "@default allow\nptrace: kill # error: x\n");
	policy_lint(&policy, &problems);
	assert_int_equal(problems.count, all - 1);
	policy_problems_clear(&problems);
	policy_clear(&policy);
}

/* --- The compiler and the replay --- */

static const char replayed[] =
	"read: 1\n"
	"ioctl: arg0 == $OWN_FD && arg1 == KVM_RUN || arg1 == KVM_IRQFD || arg1 == KVM_IOEVENTFD\n"
	"ioctl: return ENOTTY if arg1 == TCGETS\n"
	"mmap: arg2 in PROT_READ|PROT_WRITE && arg3 & MAP_PRIVATE || arg2 == PROT_NONE\n"
	"madvise: arg2 == MADV_DONTNEED || arg2 == MADV_DONTDUMP\n"
	"ftruncate: arg1 != 4096\n"
	"clone3: return ENOSYS\n"
	"execve: kill\n"
	"openat: arg0 == AT_FDCWD\n"
	"uring: READV\n";

static void compile_good(struct policy_compiled *compiled, const struct policy *policy)
{
	struct policy_problems problems = {0};

	if (policy_compile(compiled, policy, &problems) < 0)
		fail_msg("%s", problems.list[0].text);
}

static void test_compiler(void **state)
{
	struct policy_problems problems = {0};
	struct policy_compiled compiled;
	struct policy policy;

	(void)state;
	parse_good(&policy, replayed);
	compile_good(&compiled, &policy);
	assert_true(policy_replay(&policy, &compiled.filter, &problems) > 5000);
	if (problems.count > 0)
		fail_msg("%s", problems.list[0].text);
	assert_true(compiled.filter.slot_count >= 1);
	assert_string_equal(compiled.filter.slots[0].name, "OWN_FD");
	assert_int_equal(compiled.filter.ring_opcode_count, 1);
	assert_int_equal(compiled.filter.rules, 6);
	assert_true(compiled.cost.worst > 0 && compiled.cost.worst <= compiled.filter.count);
	policy_compiled_clear(&compiled);
	policy_clear(&policy);
	/* A default that allows, and one that kills. */
	parse_good(&policy, "@default allow\nptrace: kill\nioctl: return EPERM if arg1 == TIOCSTI\n");
	compile_good(&compiled, &policy);
	policy_replay(&policy, &compiled.filter, &problems);
	assert_int_equal(problems.count, 0);
	policy_compiled_clear(&compiled);
	policy_clear(&policy);
	parse_good(&policy, "@default kill\nread: arg0 == 0\n");
	compile_good(&compiled, &policy);
	policy_replay(&policy, &compiled.filter, &problems);
	assert_int_equal(problems.count, 0);
	policy_compiled_clear(&compiled);
	policy_clear(&policy);
	parse_good(&policy, "");
	compile_good(&compiled, &policy);
	policy_replay(&policy, &compiled.filter, &problems);
	assert_int_equal(problems.count, 0);
	policy_compiled_clear(&compiled);
	policy_clear(&policy);
}

/* Whether a filter that is this one but for instruction `at` is found out. */
static bool mutant_found(const struct policy *policy, const struct seccomp_filter *filter)
{
	struct policy_problems problems = {0};
	bool found;

	policy_replay(policy, filter, &problems);
	found = problems.count > 0;
	policy_problems_clear(&problems);
	return found;
}

/*
 * Each instruction is changed in ways that could make a filter too permissive or too strict. Nearly all of
 * these are found; the ones that are not make no difference, like a jump to another RET of the same value.
 */
static void test_replay_finds_changes(void **state)
{
	struct policy_compiled compiled;
	struct policy policy;
	unsigned tried = 0, found = 0;
	uint32_t flips[] = {1, 0x80, 0x8000, 0x80000000};

	(void)state;
	parse_good(&policy, replayed);
	compile_good(&compiled, &policy);
	for (uint16_t i = 0; i < compiled.filter.count; i++) {
		struct sock_filter *at = &compiled.instructions[i], kept = *at;
		bool slot = false;

		for (size_t j = 0; j < compiled.filter.slot_count; j++)
			slot |= compiled.filter.slots[j].instruction == i;
		/* Loads and masks have other constants than comparisons; a jump is taken or not. */
		for (size_t j = 0; j < 4 && BPF_CLASS(at->code) == BPF_JMP && !slot; j++) {
			at->k = kept.k ^ flips[j];
			tried++;
			found += mutant_found(&policy, &compiled.filter);
		}
		*at = kept;
		if (BPF_CLASS(at->code) == BPF_JMP && at->jt != at->jf) {
			at->jt = kept.jf;
			at->jf = kept.jt;
			tried++;
			found += mutant_found(&policy, &compiled.filter);
		}
		*at = kept;
		if (BPF_CLASS(at->code) == BPF_RET) {
			at->k = kept.k == SECCOMP_RET_ALLOW ? SECCOMP_RET_TRAP : SECCOMP_RET_ALLOW;
			tried++;
			found += mutant_found(&policy, &compiled.filter);
		}
		*at = kept;
	}
	print_message("# %u of %u changed filters found\n", found, tried);
	assert_true(tried > 100);
	/* How many changes make no difference is up to the version of libseccomp. */
	assert_true(found * 10 >= tried * 9);
	policy_compiled_clear(&compiled);
	policy_clear(&policy);
}

/* A policy that says less, or more, than the filter does, one alternative at a time. */
static void test_replay_finds_texts(void **state)
{
	static const char *const others[] = {
		"read: 1\nmmap: arg2 in PROT_READ\n",
		"read: 1\nmmap: arg2 in PROT_READ|PROT_WRITE|PROT_EXEC\n",
		"read: 1\nmmap: arg2 in PROT_READ|PROT_WRITE|0x100000000\n",
		"read: 1\nmmap: 1\n",
		"read: 1\n",
		"read: 1\nwrite: 1\nmmap: arg2 in PROT_READ|PROT_WRITE\n",
		"read: return EPERM\nmmap: arg2 in PROT_READ|PROT_WRITE\n",
		"@default kill\nread: 1\nmmap: arg2 in PROT_READ|PROT_WRITE\n",
	};
	struct policy_compiled compiled;
	struct policy policy, other;

	(void)state;
	parse_good(&policy, "read: 1\nmmap: arg2 in PROT_READ|PROT_WRITE\n");
	compile_good(&compiled, &policy);
	assert_false(mutant_found(&policy, &compiled.filter));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		parse_good(&other, others[i]);
		if (!mutant_found(&other, &compiled.filter))
			fail_msg("not found: %s", others[i]);
		policy_clear(&other);
	}
	policy_compiled_clear(&compiled);
	policy_clear(&policy);
}

static void test_interpreter(void **state)
{
	const struct seccomp_data data = {.nr = 5, .arch = AUDIT_ARCH_X86_64, .args = {0x1122334455667788}};
	const struct sock_filter computes[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),
					       BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
					       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x7788, 0, 1),
					       BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 2)};
	const struct sock_filter bad[][2] = {
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_LD | BPF_MEM, 16), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_ST, 16), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX), BPF_STMT(BPF_RET | BPF_K, 0)},
		{BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_IMM, 0)},
	};
	uint32_t answer;
	unsigned steps;

	(void)state;
	assert_int_equal(bpf_run(computes, 5, &data, &answer, &steps), 0);
	assert_int_equal(answer, 1);
	assert_int_equal(steps, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(bpf_run(bad[i], 2, &data, &answer, &steps), -EINVAL);
	assert_int_equal(bpf_run(computes, 0, &data, &answer, &steps), -EINVAL);
}

/* --- Names --- */

static void test_names(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(syscall_number("read"), 0);
	assert_int_equal(syscall_number("openat2"), SYS_openat2);
	assert_int_equal(syscall_number("raed"), -ENOENT);
	assert_string_equal(syscall_name(SYS_io_uring_enter), "io_uring_enter");
	assert_null(syscall_name(400));
	assert_null(syscall_name(UINT32_MAX));
	assert_true(syscall_limit() > SYS_openat2);
	assert_int_equal(policy_constant("KVM_RUN", &value), 0);
	assert_int_equal(value, KVM_RUN);
	assert_int_equal(policy_constant("AT_FDCWD", &value), 0);
	assert_int_equal(value, (uint64_t)-100);
	assert_int_equal(policy_constant("", &value), -ENOENT);
	assert_int_equal(policy_error_number("ENOSYS"), ENOSYS);
	assert_null(policy_error_name(100000));
	assert_int_equal(policy_ring_opcode("READV"), 1);
	assert_string_equal(policy_ring_opcode_name(1), "READV");
	for (size_t i = 0; policy_dangerous_calls[i] != NULL; i++)
		if (syscall_number(policy_dangerous_calls[i]) < 0)
			fail_msg("%s is no call", policy_dangerous_calls[i]);
}

static void test_sha256(void **state)
{
	(void)state;
	/* FIPS 180-4's examples, and a length at the edge of a block. */
	static const struct {
		const char *text, *hex;
	} cases[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	char hex[SHA256_HEX_SIZE];
	struct sha256 sha;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sha256_init(&sha);
		sha256_add(&sha, cases[i].text, strlen(cases[i].text));
		sha256_finish(&sha, hex);
		assert_string_equal(hex, cases[i].hex);
	}
	sha256_init(&sha);
	for (int i = 0; i < 1000000; i++)
		sha256_add(&sha, "a", 1);
	sha256_finish(&sha, hex);
	assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* --- Folders --- */

static char folder[] = "/tmp/test-policy-XXXXXX";

static void folder_write(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int folder_make(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int folder_remove(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void test_union(void **state)
{
	const struct policy_slot_value own = {"FD", 4};
	struct policy_problems problems = {0};
	struct policy policy;
	char **names;
	int count;

	(void)state;
	folder_write("common.policy", "read: 1 # serve: x\n");
	folder_write("r.main.policy",
		     "@include common.policy\nioctl: arg1 == KVM_IRQFD # serve: x\nclose: 1 # serve: x\n");
	folder_write("r.work.policy",
		     "@include common.policy\nioctl: arg0 == $FD && arg1 == KVM_RUN # serve: x\n"
		     "close: return EPERM # error: x\nstatx: return ENOSYS # error: x\n");
	folder_write("s.main.policy", "read: 1 # serve: x\n");
	count = policy_list(folder, &names);
	assert_int_equal(count, 4);
	assert_string_equal(names[0], "r.main");
	assert_string_equal(names[1], "r.process");
	assert_string_equal(names[2], "r.work");
	assert_string_equal(names[3], "s.main");
	policy_list_free(names, count);
	assert_int_equal(policy_load_any(&policy, folder, "r.process", &problems), 0);
	/* Allowed where any thread is; slots say nothing; read is there once. */
	assert_int_equal(policy_allowed_calls(&policy), 3);
	assert_int_equal(policy.rule_count, 5);
	assert_int_equal(say(&policy, SYS_ioctl, 9, KVM_RUN, 0), POLICY_ALLOW);
	assert_int_equal(say_slots(&policy, SYS_ioctl, 9, KVM_IRQFD, 0, &own, 1), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_ioctl, 9, KVM_CREATE_VM, 0), POLICY_TRAP);
	assert_int_equal(say(&policy, SYS_close, 0, 0, 0), POLICY_ALLOW);
	assert_int_equal(say(&policy, SYS_statx, 0, 0, 0), POLICY_ERRNO);
	policy_clear(&policy);
	/* What cannot be said in one filter is told. */
	folder_write("r.work.policy", "ioctl: return EPERM # error: x\n");
	assert_int_equal(policy_load_any(&policy, folder, "r.process", &problems), -EINVAL);
	assert_non_null(strstr(problems.list[0].text, "would be denied"));
	policy_problems_clear(&problems);
	assert_int_equal(policy_load_any(&policy, folder, "t.process", &problems), -EINVAL);
	policy_problems_clear(&problems);
	assert_int_equal(policy_list("/nonexistent", &names), -ENOENT);
}

/* By names, a role before what it is by hand. */
static bool filter_before(const char *a, const char *b)
{
	size_t same = 0;

	while (a[same] == b[same] && a[same] != '\0')
		same++;
	return a[same] == '.' || (b[same] != '.' && (unsigned char)a[same] < (unsigned char)b[same]);
}

/* What the programs are given is what the texts of this tree say. */
static void test_embedded(void **state)
{
	struct policy_problems problems = {0};
	struct policy_check check;

	(void)state;
	for (size_t i = 0; seccomp_filters[i] != NULL; i++) {
		const struct seccomp_filter *filter = seccomp_filters[i];

		assert_ptr_equal(seccomp_filter_find(filter->name), filter);
		assert_true(i == 0 || filter_before(seccomp_filters[i - 1]->name, filter->name));
		assert_int_equal(policy_check(POLICY_TEXTS_DIR, filter->name, true, &check, &problems), 0);
		if (problems.count > 0)
			fail_msg("%s:%u: %s", problems.list[0].file, problems.list[0].line,
				 problems.list[0].text);
		assert_true(check.embedded);
		print_message("# %s: %u calls, %u instructions, worst %u, mean %.1f, serving %.1f\n",
			      filter->name, check.calls, check.instructions, check.cost.worst,
			      check.cost.mean, check.cost.serve_mean);
	}
	assert_null(seccomp_filter_find("blk"));
}

/* --- Records and differences --- */

/* What was printed is the caller's. */
static char *printed_diff(const struct policy *old, const struct policy *new,
			  const struct policy_records *records, unsigned lines)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	assert_int_equal(records != NULL ? policy_diff_records(old, 1, records, file)
					 : policy_diff(old, new, file),
			 lines);
	fclose(file);
	return text;
}

static void test_diff(void **state)
{
	struct policy old, new;
	char *text;

	(void)state;
	parse_good(&old, "read: 1\nioctl: arg1 == KVM_RUN || arg1 == KVM_IRQFD\nmmap: arg2 == "
			 "PROT_READ\nuring: READV\n");
	parse_good(&new, "ioctl: arg1 == KVM_IRQFD # x\nioctl: arg1 == 0xae80 # y\nread: 1\nmmap: arg2 == "
			 "1\nuring: READV\n");
	free(printed_diff(&old, &new, NULL, 0));
	policy_clear(&new);
	parse_good(&new, "@default kill\nioctl: arg1 == KVM_IRQFD\nread: return EPERM\nmmap: arg2 in "
			 "PROT_READ\nwrite: 1\n");
	text = printed_diff(&old, &new, NULL, 9);
	assert_non_null(strstr(text, "- a.b: @default trap\n+ a.b: @default kill\n"));
	assert_non_null(strstr(text, "- a.b: read: 1 (a.b.policy:1)\n"));
	assert_non_null(strstr(text, "- a.b: ioctl: arg1 == 0xae80 (a.b.policy:2)\n"));
	assert_non_null(strstr(text, "- a.b: uring: READV (a.b.policy:4)\n"));
	assert_non_null(strstr(text, "+ a.b: mmap: arg2 in PROT_READ (a.b.policy:4)\n"));
	free(text);
	policy_clear(&new);
	free(printed_diff(&old, NULL, NULL, 5));
	policy_clear(&old);
}

static void test_records(void **state)
{
	struct policy_problems problems = {0};
	struct policy_records records;
	struct policy policy;
	char path[256], *text;

	(void)state;
	snprintf(path, sizeof(path), "%s/record", folder);
	folder_write("record", "{\"role\": \"a.b\", \"call\": \"ioctl\", \"args\": [12, 44672], \"test\": "
			       "\"runs\", \"count\": 3}\n"
			       "\n"
			       "{\"role\": \"a.b\", \"call\": \"openat\", \"args\": [\"0xffffffffffffff9c\", "
			       "1, 0, 0], \"test\": \"t\"}\n"
			       "{\"role\": \"a.b\", \"call\": \"uring\", \"args\": [\"READV\"]}\n"
			       "{\"role\": \"a.b\", \"call\": \"clone3\", \"args\": []}\n"
			       "{\"role\": \"c.d\", \"call\": \"read\"}\n");
	assert_int_equal(policy_records_read(&records, path, &problems), 0);
	assert_int_equal(records.count, 5);
	assert_int_equal(records.list[0].count, 3);
	assert_int_equal(records.list[1].arguments[0], (uint64_t)-100);
	assert_int_equal(records.list[1].line, 3);
	parse_good(&policy,
		   "ioctl: arg0 == $FD && arg1 == KVM_RUN || arg1 == KVM_IRQFD\nclose: 1 # error: x\n"
		   "read: 1 # serve: x\nuring: READV\nuring: FSYNC\nclone3: return ENOSYS\n");
	text = printed_diff(&policy, NULL, &records, 5);
	assert_non_null(strstr(
		text, "+ a.b: openat(0xffffffffffffff9c, 0x1, 0x0, 0x0) is not allowed, and was recorded 1 "
		      "time in \"t\"\n"));
	assert_non_null(strstr(text, "+ c.d: read(0x0, 0x0, 0x0) is not allowed"));
	assert_non_null(strstr(text, "- a.b: ioctl: arg1 == 0x4020ae76 (a.b.policy:1)\n"));
	assert_non_null(strstr(text, "- a.b: read: 1 (a.b.policy:3)\n"));
	assert_non_null(strstr(text, "- a.b: uring: FSYNC (a.b.policy:5)\n"));
	free(text);
	policy_clear(&policy);
	policy_records_clear(&records);
	folder_write("record", "{\n"
			       "[]\n"
			       "{\"role\": 1, \"call\": \"read\"}\n"
			       "{\"role\": \"a.b\", \"call\": \"raed\"}\n"
			       "{\"role\": \"a.b\", \"call\": \"read\", \"args\": [1,2,3,4,5,6,7]}\n"
			       "{\"role\": \"a.b\", \"call\": \"read\", \"args\": [1.5]}\n"
			       "{\"role\": \"a.b\", \"call\": \"read\", \"args\": [\"-1\"]}\n"
			       "{\"role\": \"a.b\", \"call\": \"read\", \"count\": -1}\n"
			       "{\"role\": \"a.b\", \"call\": \"uring\", \"args\": [\"X\"]}\n"
			       "{\"role\": \"a.b\", \"call\": \"uring\"}\n");
	assert_int_equal(policy_records_read(&records, path, &problems), -EINVAL);
	assert_int_equal(problems.count, 10);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(problems.list[i].line, i + 1);
	policy_problems_clear(&problems);
	assert_int_equal(policy_records_read(&records, "/nonexistent", &problems), -EINVAL);
	policy_problems_clear(&problems);
}

/* What is no record says so, once or a few times, and is not read without end. */
static void test_bad_records(void **state)
{
	static const char record[] = "{\"role\": \"a.b\", \"call\": \"read\"}\n";
	struct policy_problems problems = {0};
	struct policy_records records;
	char *text = malloc(100000);
	FILE *file;

	(void)state;
	/* The last line was not written to its end. */
	file = fmemopen((void *)record, sizeof(record) - 10, "r");
	assert_int_equal(policy_records_read_file(&records, file, "r", &problems), -EINVAL);
	assert_int_equal(problems.count, 1);
	assert_int_equal(problems.list[0].line, 1);
	policy_problems_clear(&problems);
	fclose(file);
	/* But for its end of line, which a whole one may lack. */
	file = fmemopen((void *)record, sizeof(record) - 2, "r");
	assert_int_equal(policy_records_read_file(&records, file, "r", &problems), 0);
	assert_int_equal(records.count, 1);
	policy_records_clear(&records);
	fclose(file);
	/* One long line, of NUL bytes and of others. */
	for (int byte = 0; byte <= 'x'; byte += 'x') {
		memset(text, byte, 100000);
		file = fmemopen(text, 100000, "r");
		assert_int_equal(policy_records_read_file(&records, file, "r", &problems), -EINVAL);
		assert_int_equal(problems.count, 1);
		assert_non_null(strstr(problems.list[0].text, "a line of more than"));
		policy_problems_clear(&problems);
		fclose(file);
	}
	/* Many bad lines: the first few are enough. */
	for (size_t i = 0; i < 100000; i++)
		text[i] = i % 2 != 0 ? '\n' : '[';
	file = fmemopen(text, 100000, "r");
	assert_int_equal(policy_records_read_file(&records, file, "r", &problems), -EINVAL);
	assert_int_equal(problems.count, 20);
	policy_problems_clear(&problems);
	fclose(file);
	free(text);
	/* What a terminal would obey is not printed. */
	folder_write("record", "{\"role\": \"a.b\", \"call\": \"read\", \"test\": \"\\u001b[2J\\n\"}\n");
	text = malloc(256);
	snprintf(text, 256, "%s/record", folder);
	assert_int_equal(policy_records_read(&records, text, &problems), 0);
	assert_string_equal(records.list[0].test, "?[2J?");
	policy_records_clear(&records);
	folder_write("record", "{\"role\": \"\\u001b[2J\", \"call\": \"read\"}\n");
	assert_int_equal(policy_records_read(&records, text, &problems), -EINVAL);
	policy_problems_clear(&problems);
	free(text);
}

/* What is printed is the caller's. */
static char *printed_cover(const struct policy *policies, size_t count, const struct policy_records *records,
			   struct policy_coverage *coverage)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	policy_cover(policies, count, records, coverage, file);
	fclose(file);
	return text;
}

static void test_cover(void **state)
{
	char name[] = "a.b", shared_name[] = "c.d", unknown_name[] = "e.f", one[] = "one", two[] = "two",
	     none[] = "";
	struct policy_record list[] = {
		{.role = name, .call = SYS_read, .test = one, .count = 3},
		{.role = name, .call = SYS_read, .test = two, .count = 1},
		{.role = shared_name, .call = SYS_read, .test = two, .count = 1},
		{.role = name, .call = SYS_madvise, .arguments = {0, 0, 4}, .test = two, .count = 1},
		{.role = name, .call = -1, .opcode = 1, .test = none, .count = 1},
	};
	struct policy_record refused[] = {
		{.role = name, .call = SYS_openat, .arguments = {1, 2, 3}, .test = one, .count = 1},
		{.role = name, .call = SYS_madvise, .arguments = {0, 0, 5}, .test = none, .count = 1},
		{.role = unknown_name, .call = SYS_read, .test = two, .count = 1},
		{.role = name, .call = -1, .opcode = 2, .test = none, .count = 1},
	};
	struct policy_records records = {list, sizeof(list) / sizeof(list[0])};
	struct policy_coverage coverage;
	struct policy_problems problems = {0};
	struct policy policies[2];
	char *text;

	(void)state;
	assert_int_equal(parse_both(&policies[0],
				    "@include common.policy\n"
				    "write: 1 # serve: nobody\n"
				    "close: 1 # error: a bad day\n"
				    "seccomp: 1 # start: dangerous: the seal\n"
				    "madvise: arg2 == 4 || arg2 == 8 # serve: two ways\n"
				    "uring: READV # serve: x\n",
				    "read: 1 # serve: shared\n", &problems),
			 0);
	assert_int_equal(
		parse_both(&policies[1], "@include common.policy\n", "read: 1 # serve: shared\n", &problems),
		0);
	free(policies[1].name);
	policies[1].name = strdup("c.d");
	text = printed_cover(policies, 2, &records, &coverage);
	/* The included rule is one, whoever needed it. */
	assert_int_equal(coverage.needed, 3);
	assert_int_equal(coverage.errors, 2);
	assert_int_equal(coverage.unneeded, 2);
	assert_int_equal(coverage.refused, 0);
	assert_non_null(strstr(text, "common.policy:1: read: 1: needed by a.b, c.d, first in one\n"));
	assert_non_null(strstr(text, "a.b.policy:2: write: 1: NOT NEEDED by any test\n"));
	assert_non_null(strstr(text, "a.b.policy:3: close: 1: no test; error: a bad day\n"));
	assert_non_null(strstr(text, "a.b.policy:4: seccomp: 1: needed by the seal\n"));
	assert_non_null(strstr(text, "[1 of 2]: needed by a.b, first in two\n"));
	assert_non_null(strstr(text, "[2 of 2]: NOT NEEDED by any test\n"));
	assert_non_null(strstr(text, "a.b.policy:6: uring: READV: needed by a.b\n"));
	free(text);
	records = (struct policy_records){refused, sizeof(refused) / sizeof(refused[0])};
	text = printed_cover(policies, 2, &records, &coverage);
	assert_int_equal(coverage.needed, 0);
	assert_int_equal(coverage.refused, 4);
	assert_non_null(strstr(text, "refused: a.b: openat(0x1, 0x2, 0x3), in one\n"));
	assert_non_null(strstr(text, "refused: a.b: madvise(0x0, 0x0, 0x5)\n"));
	assert_non_null(strstr(text, "refused: e.f: read(0x0, 0x0, 0x0), in two\n"));
	assert_non_null(strstr(text, "refused: a.b: uring WRITEV\n"));
	free(text);
	policy_clear(&policies[0]);
	policy_clear(&policies[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_include_policy),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_bad_groups),
		cmocka_unit_test(test_evaluator),
		cmocka_unit_test(test_lint),
		cmocka_unit_test(test_lint_of_allowed_default),
		cmocka_unit_test(test_compiler),
		cmocka_unit_test(test_replay_finds_changes),
		cmocka_unit_test(test_replay_finds_texts),
		cmocka_unit_test(test_interpreter),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_union),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_cover),
	};

	return cmocka_run_group_tests_name("policy", tests, folder_make, folder_remove);
}
