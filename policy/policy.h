/*
 * A seccomp policy as its text says it: what the compiler, the evaluator, the linter and the tools work on.
 *
 * A policy is a list of rules. A rule names a system call, gives it an action, and may have alternatives: it
 * applies if one of them holds, and always if it has none. An alternative is a list of conditions on
 * arguments, all of which must hold. A call that no rule applies to gets the default action. Where rules with
 * different actions could apply to the same arguments the text is refused, so that the order of rules never
 * decides.
 *
 * A group stands for the calls that C libraries make for the same thing: its rules are in the policy as if
 * they were written where the group is named, with the reason that is given there.
 *
 * The language is described in atoll-policy(5).
 */
#ifndef ATOLL_POLICY_POLICY_H
#define ATOLL_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	POLICY_ARGUMENTS = 6,	 /* of a system call */
	POLICY_FILES_MAX = 8,	 /* a policy and what it includes, or the threads of a process with theirs */
	POLICY_TEXT_MAX = 65536, /* bytes of one file */
	POLICY_HASH_SIZE = 65,	 /* SHA-256 in hexadecimal, and a NUL */
};

enum policy_action {
	POLICY_ALLOW,
	POLICY_ERRNO, /* the call does nothing, and returns an error */
	POLICY_TRAP,  /* the thread gets a SIGSYS, whose handler reports and ends the process */
	POLICY_KILL,  /* the kernel ends the process */
};

/* What a rule is for; rules for serving are those that cost time, and go first in the filter. */
enum policy_phase {
	POLICY_SERVE,
	POLICY_START,
	POLICY_STOP,
	POLICY_ERROR, /* a path that no test need reach */
	POLICY_NO_PHASE,
};

/* A condition looks at some bits of an argument: (argument & mask) == value, or != where it says so. */
struct policy_condition {
	uint8_t argument; /* 0 to 5 */
	bool differs;	  /* != ; the mask is that of all 64 bits then */
	uint64_t mask;
	uint64_t value;
	char *slot; /* $NAME: the value is known only when the filter is installed; NULL */
};

struct policy_alternative {
	struct policy_condition conditions[POLICY_ARGUMENTS]; /* each of another argument */
	unsigned count;
};

struct policy_rule {
	const char *file; /* the policy's own */
	unsigned line;
	int call; /* its number; -1: this rule names an operation of io_uring instead */
	uint8_t opcode;
	enum policy_action action;
	int error; /* of POLICY_ERRNO */
	struct policy_alternative *alternatives;
	size_t alternative_count; /* 0: whatever the arguments are */
	enum policy_phase phase;
	char *group; /* the @group that it is of; file and line are of the place that names it. NULL: of none */
	bool spelling; /* of a group: it gives nothing that the call before it does not give */
	char *text;    /* the rule as written, without the comment */
	char *reason;  /* behind the phase; NULL: none is given */
};

struct policy {
	char *name; /* "blk.queue" */
	enum policy_action default_action;
	struct policy_rule *rules; /* in the order of the text, each file's in the place of its @include */
	size_t rule_count;
	char *files[POLICY_FILES_MAX]; /* names as they appear in messages */
	size_t file_count;
	char hash[POLICY_HASH_SIZE]; /* of the text, included files in their place */
};

/* --- Problems: what is wrong with a text, or was found by a check; policy_problem.c --- */

struct policy_problem {
	char *file;
	unsigned line; /* 0: the file as a whole */
	char *text;
};

struct policy_problems {
	struct policy_problem *list;
	size_t count;
};

/* Adds one; a problem that cannot be stored for want of memory ends the process. */
void policy_problem_add(struct policy_problems *problems, const char *file, unsigned line, const char *format,
			...) __attribute__((format(printf, 4, 5)));

void policy_problems_clear(struct policy_problems *problems);

/* --- Reading; policy_parse.c, policy_load.c and policy_union.c --- */

/*
 * Where the texts of files come from. read() gives the text of a file, malloc()ed and NUL-terminated, in
 * *text, its size in *size and the name to use in messages, malloc()ed too, in *file. 0 or -errno.
 */
struct policy_source {
	int (*read)(const struct policy_source *source, const char *name, char **file, char **text,
		    size_t *size);
	const char *directory;
};

/* Whether the file is a policy's own, ROLE.THREAD.policy; common.policy has rules for policies. May be a path. */
bool policy_is_its_file(const char *path);

/*
 * Reads the policy of that name (without ".policy"). 0, or -EINVAL with the reasons added to *problems;
 * *policy is then empty. To be cleared with policy_clear().
 */
int policy_parse(struct policy *policy, const char *name, const struct policy_source *source,
		 struct policy_problems *problems);

/* The same from DIRECTORY/NAME.policy. */
int policy_load(struct policy *policy, const char *directory, const char *name,
		struct policy_problems *problems);

/*
 * The same, and for a name that ends in ".process" the union of all policies of that role in the directory:
 * what any of its threads may do. Conditions on slots are dropped from it.
 */
int policy_load_any(struct policy *policy, const char *directory, const char *name,
		    struct policy_problems *problems);

void policy_clear(struct policy *policy);

/*
 * The names of the policies in a directory, sorted, without "common" and with the unions of roles that have
 * more than one thread. *names is malloc()ed as are the names in it. The number, or -errno.
 */
int policy_list(const char *directory, char ***names);
void policy_list_free(char **names, int count);

/* --- Asking; policy_evaluate.c --- */

struct policy_slot_value {
	const char *name;
	uint64_t value;
};

struct policy_verdict {
	enum policy_action action;
	int error;
	const struct policy_rule *rule; /* that decided; NULL: the default action, or the architecture */
	size_t alternative;		/* which of the rule's, if it has any */
	bool architecture;		/* a foreign one, or x32: none of the rules was asked */
};

/*
 * What the text says about a call. Slots that are not among the values match nothing.
 * architecture: AUDIT_ARCH_*.
 */
struct policy_verdict policy_evaluate(const struct policy *policy, uint32_t architecture, uint32_t call,
				      const uint64_t arguments[POLICY_ARGUMENTS],
				      const struct policy_slot_value *slots, size_t slot_count);

/* How many system calls the policy allows, in some form; other spellings of a call in a group do not count. */
unsigned policy_allowed_calls(const struct policy *policy);

/*
 * A rule's cases: its alternatives, or the one case without conditions (NULL) of a rule that has none. So whoever goes
 * through the cases need not ask whether there are alternatives.
 */
static inline size_t policy_case_count(const struct policy_rule *rule)
{
	return rule->alternative_count > 0 ? rule->alternative_count : 1;
}

static inline const struct policy_alternative *policy_case(const struct policy_rule *rule, size_t i)
{
	return rule->alternative_count > 0 ? &rule->alternatives[i] : NULL;
}

/* Whether they are about the same system call, or the same operation of io_uring. */
static inline bool policy_rules_same_call(const struct policy_rule *a, const struct policy_rule *b)
{
	return a->call == b->call && (a->call >= 0 || a->opcode == b->opcode);
}

static inline bool policy_rules_same_action(const struct policy_rule *a, const struct policy_rule *b)
{
	return a->action == b->action && a->error == b->error;
}

/* Whether two rules of one system call would give some arguments two actions. */
bool policy_rules_contradict(const struct policy_rule *a, const struct policy_rule *b);

/* Whether some arguments satisfy both; whether all that satisfy `inner` satisfy `outer`. NULL: no conditions. */
bool policy_alternatives_overlap(const struct policy_alternative *a, const struct policy_alternative *b);
bool policy_alternative_covers(const struct policy_alternative *outer,
			       const struct policy_alternative *inner);

/* "allow", "return ENOSYS", "trap", "kill"; the buffer is used for the second. */
const char *policy_action_text(enum policy_action action, int error, char *buffer, size_t size);
const char *policy_phase_name(enum policy_phase phase);

/* --- Checking; policy_lint.c and policy_replay.c --- */

/* Rules that parse but that nobody should have written. */
void policy_lint(const struct policy *policy, struct policy_problems *problems);

struct seccomp_filter;

/*
 * Runs the compiled filter over every call number, on our architecture and foreign ones, with the arguments
 * at the edges of each condition, and compares with what the text says. Returns the number of calls tried.
 */
unsigned long policy_replay(const struct policy *policy, const struct seccomp_filter *filter,
			    struct policy_problems *problems);

/* What a filter costs, in instructions. */
struct policy_cost {
	unsigned worst; /* over all calls and the arguments that the replay tries */
	double mean; /* over all rules and alternatives that allow something, each with arguments of its own
		      */
	double serve_mean; /* over those that are for serving; 0: there are none */
	unsigned serve_worst;
};

void policy_measure(const struct policy *policy, const struct seccomp_filter *filter,
		    struct policy_cost *cost);

#endif
