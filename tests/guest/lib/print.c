/*
 * Output over the UART, polled, and the results of tests in TAP.
 */
#include "tests/guest/lib/guest.h"

#define UART	   0x3f8
#define UART_LSR   (UART + 5)
#define LSR_DATA   0x01
#define LSR_THRE   0x20
#define DEBUG_EXIT 0xf4
#define UART_FIFO  16

extern uint64_t exception_words[5];

static unsigned tests, failures;

struct sink {
	char *text; /* NULL: the UART */
	size_t size, length;
};

/* A UART with FIFOs on takes 16 characters each time it says that it is empty: fewer exits. */
static void uart_put(char c)
{
	static unsigned room;

	if (room == 0) {
		WAIT_UNTIL(in8(UART_LSR) & LSR_THRE, 5);
		room = UART_FIFO;
	}
	room--;
	out8(UART, (uint8_t)c);
}

static void put(struct sink *sink, char c)
{
	if (!sink->text)
		uart_put(c);
	else if (sink->length + 1 < sink->size)
		sink->text[sink->length] = c;
	sink->length++;
}

static void put_number(struct sink *sink, uint64_t value, unsigned base, unsigned width, char fill)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > count; width--)
		put(sink, fill);
	while (count)
		put(sink, digits[--count]);
}

static void format_to(struct sink *sink, const char *format, va_list arguments)
{
	for (; *format; format++) {
		unsigned width = 0;
		bool wide = false;
		char fill = ' ';

		if (*format != '%') {
			put(sink, *format);
			continue;
		}
		format++;
		if (*format == '0')
			fill = '0';
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (unsigned)(*format - '0');
		for (; *format == 'l' || *format == 'z'; format++)
			wide = true;
		switch (*format) {
		case 's': {
			const char *text = va_arg(arguments, const char *);

			for (; *text; text++)
				put(sink, *text);
			break;
		}
		case 'c':
			put(sink, (char)va_arg(arguments, int));
			break;
		case 'd': {
			int64_t value = wide ? va_arg(arguments, long) : va_arg(arguments, int);

			if (value < 0)
				put(sink, '-');
			put_number(sink, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width, fill);
			break;
		}
		case 'u':
			put_number(sink,
				   wide ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), 10,
				   width, fill);
			break;
		case 'x':
			put_number(sink,
				   wide ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), 16,
				   width, fill);
			break;
		default:
			put(sink, *format);
		}
	}
}

void print_v(const char *format, va_list arguments)
{
	struct sink sink = {0};

	format_to(&sink, format, arguments);
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_v(format, arguments);
	va_end(arguments);
}

void print_to(char *text, size_t size, const char *format, ...)
{
	struct sink sink = {.text = text, .size = size};
	va_list arguments;

	va_start(arguments, format);
	format_to(&sink, format, arguments);
	va_end(arguments);
	if (size)
		text[sink.length < size ? sink.length : size - 1] = 0;
}

bool test(bool passed, const char *format, ...)
{
	va_list arguments;

	if (!passed)
		failures++;
	print("%sok %u - ", passed ? "" : "not ", ++tests);
	va_start(arguments, format);
	print_v(format, arguments);
	va_end(arguments);
	print("\n");
	return passed;
}

/* Asks for input but fifty times a second: its own exits should not drown what is measured. */
void guest_hold(const char *word)
{
	print("%s\n", word);
	while (!(in8(UART_LSR) & LSR_DATA))
		WAIT_UNTIL(false, 0.02);
	while (in8(UART_LSR) & LSR_DATA)
		in8(UART);
}

void guest_exit(uint8_t value)
{
	for (;;)
		out8(DEBUG_EXIT, value);
}

void guest_end(void)
{
	print("1..%u\n", tests);
	guest_exit(failures ? GUEST_FAILED : GUEST_PASSED);
}

void guest_fail(const char *format, ...)
{
	va_list arguments;

	print("Bail out! ");
	va_start(arguments, format);
	print_v(format, arguments);
	va_end(arguments);
	print("\n");
	guest_exit(GUEST_BROKEN);
}

/* Entered by an exception's stub, in ring 3 on a fresh stack. */
_Noreturn void guest_exception(void);
void guest_exception(void)
{
	guest_fail("exception %lu: stack %lx %lx %lx, address %lx", exception_words[0], exception_words[1],
		   exception_words[2], exception_words[3], exception_words[4]);
}
