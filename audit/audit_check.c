/* A check of the audit, as it is written; see audit_check.h. */
#include "audit/audit_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *audit_verdict_name(enum audit_verdict verdict)
{
	static const char *const names[] = {"as-written", "inferred", "unread", "deviates"};

	return names[verdict];
}

void check_say(struct audit_check *check, const char *format, ...)
{
	size_t used = strlen(check->text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(check->text + used, sizeof(check->text) - used, format, arguments);
	va_end(arguments);
	/* A text that was cut says so. */
	if (strlen(check->text) == sizeof(check->text) - 1)
		memcpy(check->text + sizeof(check->text) - 4, "...", 4);
}

void check_worsen(struct audit_check *check, enum audit_verdict verdict)
{
	if (verdict > check->verdict)
		check->verdict = verdict;
}

bool check_read(struct audit_check *check, int error)
{
	if (error == 0)
		return true;
	check_worsen(check, AUDIT_UNREAD);
	check_say(check, "%s%s", check->text[0] != '\0' ? "; " : "",
		  error == -EACCES	 ? "unread: needs root"
		  : error == -ESRCH	 ? "unread: it ended during the audit"
		  : error == -ENODATA	 ? "unread: this kernel does not tell"
		  : error == -EOPNOTSUPP ? "unread: this kernel has no unix_diag"
		  : error == -ETIMEDOUT	 ? "unread: it could not be stopped in time"
		  : error == -EFBIG	 ? "unread: more than any process of a VM has"
					 : "unread: ");
	if (error != -EACCES && error != -ESRCH && error != -ENODATA && error != -EOPNOTSUPP &&
	    error != -ETIMEDOUT && error != -EFBIG)
		check_say(check, "%s", strerror(-error));
	/* No honest one is so large. */
	if (error == -EFBIG)
		check_worsen(check, AUDIT_DEVIATES);
	return false;
}

struct audit_check *check_add(struct audit_process *process, const char *subject, pid_t thread)
{
	static struct audit_check spare;
	struct audit_check *larger =
		realloc(process->checks, (process->check_count + 1) * sizeof(*process->checks));

	if (larger == NULL) {
		/* Somewhere to write; that it is missing is not hidden. */
		process->error = -ENOMEM;
		return &spare;
	}
	process->checks = larger;
	larger += process->check_count++;
	*larger = (struct audit_check){.subject = subject, .thread = thread};
	return larger;
}
