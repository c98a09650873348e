/*
 * Reports. Text in them may come from a config file, a file name or a child process: nothing in it may forge
 * a second line or drive a terminal.
 */
#include "supervisor/report.h"

#include <stdarg.h>
#include <string.h>

#define REPORT_MAX 2048

void report_line(FILE *stream, const char *text)
{
	char line[4 * REPORT_MAX + 2];
	size_t used = 0;

	for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && used + 6 < sizeof(line);
	     c++) {
		if (*c < 0x20 || *c == 0x7f)
			used += (size_t)snprintf(line + used, sizeof(line) - used, "\\x%02x", *c);
		else
			line[used++] = (char)*c;
	}
	line[used++] = '\n';
	fwrite(line, 1, used, stream);
	fflush(stream);
}

void report_error(const char *format, ...)
{
	char text[REPORT_MAX] = "atoll: ";
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, sizeof(text) - used, format, arguments);
	va_end(arguments);
	report_line(stderr, text);
}
