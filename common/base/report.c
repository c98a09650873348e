/*
 * Reports. Text in them may come from a config file, a file name or a child process: nothing in it may forge
 * a second line or drive a terminal.
 */
#include "common/base/report.h"

#include <stdarg.h>
#include <string.h>

#include "common/base/escape.h"

#define REPORT_MAX 2048

static void (*report_output)(const char *lines, size_t size);

void report_set_output(void (*write)(const char *lines, size_t size))
{
	report_output = write;
}

void report_line(FILE *stream, const char *text)
{
	char line[ESCAPE_BYTE_MAX * REPORT_MAX + 2];
	size_t used = escape_text(text, strlen(text), ESCAPE_TEXT, line, sizeof(line) - 1);

	line[used++] = '\n';
	if (stream == stderr && report_output != NULL) {
		report_output(line, used);
		return;
	}
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
