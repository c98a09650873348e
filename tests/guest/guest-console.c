/*
 * The UART at 0x3f8 and virtio-console, driven by hand.
 *
 * Without options: registers, loopback, FIFO and interrupts of the UART.
 *   echo=N      then reads N bytes of input, sends each back, and checks them: byte i is 'a' + i % 23, or a line feed
 *               where i % 64 is 63
 *   interrupts  waits for an interrupt before it reads, so that a lost one is found
 *   flood=N     prints N such bytes as fast as the UART takes them
 *   virtio=N    sends N bytes through virtio-console, once the first one came, and receives N, byte i being
 *               i * 7 + i / 256
 *   serve       answers each byte that comes in by itself until an x comes: ? by "<here>", F by 4 KiB of output, others
 *               by themselves
 *   serve-virtio  the same on virtio-console, each output being a chain that is waited for, and F's 512 KiB
 *   modem       tests modem status interrupts, which QEMU's UART has not in loopback
 */
#include "tests/guest/lib/virtio.h"

#define UART 0x3f8
#define RBR  (UART + 0) /* and THR, DLL */
#define IER  (UART + 1) /* and DLM */
#define IIR  (UART + 2) /* and FCR */
#define LCR  (UART + 3)
#define MCR  (UART + 4)
#define LSR  (UART + 5)
#define MSR  (UART + 6)
#define SCR  (UART + 7)

#define LSR_DR	    0x01
#define LSR_OE	    0x02
#define LSR_THRE    0x20
#define LSR_TEMT    0x40
#define MCR_OUT2    0x08
#define MCR_LOOP    0x10
#define LCR_8N1	    0x03
#define LCR_DLAB    0x80
#define FCR_CLEAR   0x07 /* enabled, both FIFOs emptied */
#define FCR_LEVEL_8 0x80

#define IIR_MASK    0x0f
#define IIR_NONE    0x01
#define IIR_MODEM   0x00
#define IIR_THRE    0x02
#define IIR_DATA    0x04
#define IIR_LINE    0x06
#define IIR_TIMEOUT 0x0c

#define IRQ    4
#define VECTOR (VECTOR_FIRST + 4)

/* What was found while the UART was looped back on itself and could not print. */
static struct finding {
	bool passed;
	const char *what;
	unsigned value;
} findings[64];
static unsigned found;

static void find(bool passed, unsigned value, const char *what)
{
	findings[found++] = (struct finding){passed, what, value};
}

static void tell(void)
{
	unsigned i;

	for (i = 0; i < found; i++)
		test(findings[i].passed, "%s: %x", findings[i].what, findings[i].value);
	found = 0;
}

static void loop_begin(void)
{
	WAIT_UNTIL(in8(LSR) & LSR_TEMT, 5);
	out8(IER, 0);
	out8(MCR, MCR_LOOP | MCR_OUT2);
	out8(IIR, FCR_CLEAR);
	in8(LSR);
	in8(RBR);
	in8(MSR);
}

static void loop_end(void)
{
	out8(IER, 0);
	out8(IIR, FCR_CLEAR);
	in8(LSR);
	out8(MCR, MCR_OUT2 | 3);
	tell();
}

static void loop_put(unsigned from, unsigned count)
{
	for (; count; count--) {
		WAIT_UNTIL(in8(LSR) & LSR_THRE, 1);
		out8(RBR, (uint8_t)from++);
	}
}

static unsigned identification(void)
{
	return in8(IIR) & IIR_MASK;
}

static void test_registers(void)
{
	unsigned i, wrong = 0;

	for (i = 0; i < 256; i++) {
		out8(SCR, (uint8_t)i);
		wrong += in8(SCR) != i;
	}
	test(!wrong, "the scratch register keeps each of 256 values");
	WAIT_UNTIL(in8(LSR) & LSR_TEMT, 5);
	test((in8(LSR) & (LSR_THRE | LSR_TEMT)) == (LSR_THRE | LSR_TEMT), "an idle transmitter says so: %x",
	     in8(LSR));
	out8(IER, 0);
	test((in8(IIR) & IIR_MASK) == IIR_NONE, "no interrupt is pending: %x", in8(IIR));
	out8(IER, 0xf0);
	test(in8(IER) == 0, "the upper half of IER reads as zero");
	WAIT_UNTIL(in8(LSR) & LSR_TEMT, 5);
	out8(LCR, LCR_DLAB | LCR_8N1);
	out8(RBR, 0x0c);
	out8(IER, 0x01);
	wrong = in8(RBR) != 0x0c || in8(IER) != 0x01;
	/* 9600 baud, as firmware leaves it: a time-out takes milliseconds, which a slow host can tell from none. */
	out8(RBR, 0x0c);
	out8(IER, 0x00);
	out8(LCR, LCR_8N1);
	test(!wrong && in8(IER) == 0, "the divisor latch is behind DLAB, IER is not touched");
	test(in8(LCR) == LCR_8N1, "LCR reads back");
	out8(IIR, 0);
	i = in8(IIR);
	out8(IIR, FCR_CLEAR);
	wrong = in8(IIR);
	test(!(i & 0xc0) && (wrong & 0xc0) == 0xc0, "IIR tells whether the FIFOs are on: %x, %x", i, wrong);
}

static void test_loopback(void)
{
	static const uint8_t wires[4][2] = {{1, 0x20}, {2, 0x10}, {4, 0x40}, {8, 0x80}};
	unsigned i, wrong = 0;

	loop_begin();
	out8(IIR, 0);
	for (i = 0; i < 256; i++) {
		loop_put(i, 1);
		wrong += !WAIT_UNTIL(in8(LSR) & LSR_DR, 1) || in8(RBR) != i;
	}
	find(!wrong, wrong, "each of 256 bytes comes back in loopback");
	for (i = wrong = 0; i < 4; i++) {
		out8(MCR, MCR_LOOP | wires[i][0]);
		wrong += (in8(MSR) & 0xf0) != wires[i][1];
	}
	find(!wrong, wrong, "MCR's outputs are MSR's inputs");
	loop_end();

	loop_begin();
	loop_put(0x40, 16);
	for (i = wrong = 0; i < 16; i++)
		wrong += !WAIT_UNTIL(in8(LSR) & LSR_DR, 1) || in8(RBR) != 0x40 + i;
	find(!wrong, wrong, "the FIFO holds 16 bytes, in order");
	find(!(in8(LSR) & LSR_DR), in8(LSR), "and is empty after them");
	loop_put(0, 20);
	WAIT_UNTIL(in8(LSR) & LSR_OE, 0.2);
	loop_end();

	loop_begin();
	loop_put(0x10, 20);
	WAIT_UNTIL(in8(LSR) & LSR_TEMT, 1);
	for (i = wrong = 0; i < 16; i++) {
		wrong += in8(RBR) != 0x10 + i;
	}
	find(!wrong, wrong, "what overran the FIFO did not harm the bytes in it");
	find(!(in8(LSR) & LSR_DR), 0, "and there are 16 of them");
	loop_put(0, 5);
	out8(IIR, FCR_CLEAR);
	find(!(in8(LSR) & LSR_DR), in8(LSR), "FCR empties the FIFO");
	loop_end();
}

/* In loopback OUT2 is inactive, and with it the line to the interrupt controller: what is pending reaches us
 * when loopback ends. */
static void find_interrupt(uint32_t before, const char *what)
{
	out8(MCR, MCR_OUT2 | 3);
	find(WAIT_UNTIL(interrupt_counts[VECTOR] > before, 1), interrupt_counts[VECTOR] - before, what);
	out8(MCR, MCR_OUT2 | MCR_LOOP);
}

static void find_identification(unsigned wanted, const char *what)
{
	unsigned value = identification();

	find(value == wanted, value, what);
}

static void await_identification(unsigned wanted, const char *what)
{
	unsigned value;

	WAIT_UNTIL((value = identification()) == wanted, 1);
	find(value == wanted, value, what);
}

static void test_transmitter_interrupt(void)
{
	uint32_t before = interrupt_counts[VECTOR];

	WAIT_UNTIL(in8(LSR) & LSR_TEMT, 5);
	out8(MCR, MCR_OUT2 | 3);
	out8(IER, 0x02);
	find(WAIT_UNTIL(interrupt_counts[VECTOR] > before, 1), interrupt_counts[VECTOR] - before,
	     "transmitter: enabling its interrupt raises it");
	find_identification(IIR_THRE, "IIR says so");
	find_identification(IIR_NONE, "reading IIR ends it");
	before = interrupt_counts[VECTOR];
	out8(RBR, '\n');
	find(WAIT_UNTIL(interrupt_counts[VECTOR] > before, 1), interrupt_counts[VECTOR] - before,
	     "a character that has gone raises it again");
	out8(IER, 0);
	find_identification(IIR_NONE, "IER masks it");
	tell();
}

/*
 * Whether reading one of several bytes ends the time-out. The others run into one of their own some milliseconds later,
 * and on a slow host before we have looked: then once more.
 */
static bool read_ends_timeout(void)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		in8(RBR);
		if (identification() != IIR_TIMEOUT)
			return true;
		out8(IIR, FCR_LEVEL_8 | FCR_CLEAR);
		loop_put('a', 3);
		WAIT_UNTIL(identification() == IIR_TIMEOUT, 1);
	}
	return false;
}

static void test_receiver_interrupts(void)
{
	uint32_t before;
	unsigned value;

	loop_begin();
	before = interrupt_counts[VECTOR];
	out8(IIR, 0);
	out8(IER, 0x01);
	loop_put('y', 1);
	await_identification(IIR_DATA, "receiver without FIFO: IIR says data");
	find_interrupt(before, "a byte interrupts");
	in8(RBR);
	find_identification(IIR_NONE, "reading it ends that");
	loop_end();

	loop_begin();
	before = interrupt_counts[VECTOR];
	out8(IIR, FCR_LEVEL_8 | FCR_CLEAR);
	out8(IER, 0x01);
	loop_put('a', 3);
	await_identification(IIR_TIMEOUT, "3 bytes below the level: a time-out");
	find_interrupt(before, "which interrupts");
	find(read_ends_timeout(), 0, "reading a byte ends it");
	await_identification(IIR_TIMEOUT, "for a while");
	loop_put('a', 6);
	if (!option("lenient"))
		await_identification(IIR_DATA, "8 bytes reach the level");
	in8(RBR);
	value = identification();
	find(value != IIR_DATA, value, "7 are below it again");
	loop_end();
}

static void test_status_interrupts(void)
{
	uint32_t before;
	unsigned value;

	loop_begin();
	before = interrupt_counts[VECTOR];
	out8(IER, 0x05);
	loop_put('a', 20);
	/* loop_put() read LSR, which ends the error: overrun once more, and do not look. */
	out8(RBR, 'z');
	await_identification(IIR_LINE, "an overrun is line status");
	find_interrupt(before, "which interrupts");
	value = in8(LSR);
	find(value & LSR_OE, value, "LSR says overrun");
	value = identification();
	find(value == IIR_DATA || value == IIR_TIMEOUT, value,
	     "reading LSR ends it; the data is next in priority");
	loop_end();

	if (option("lenient"))
		return;
	loop_begin();
	before = interrupt_counts[VECTOR];
	out8(MCR, MCR_LOOP);
	in8(MSR);
	out8(IER, 0x08);
	out8(MCR, MCR_LOOP | MCR_OUT2 | 2);
	find_identification(IIR_MODEM, "a changed modem line: IIR says so");
	value = in8(MSR);
	find(value & 0x01, value, "MSR says that CTS changed");
	find_identification(IIR_NONE, "reading MSR ends it");
	out8(MCR, MCR_LOOP | MCR_OUT2);
	find_interrupt(before, "and it interrupts");
	loop_end();
}

static void test_interrupts(void)
{
	isa_interrupt_route(IRQ, VECTOR);
	interrupts_enable();
	test_transmitter_interrupt();
	test_receiver_interrupts();
	test_status_interrupts();
	isa_interrupt_mask(IRQ);
	interrupts_disable();
}

static uint8_t pattern(uint64_t i)
{
	return i % 64 == 63 ? '\n' : (uint8_t)('a' + i % 23);
}

static void echo(uint64_t count)
{
	bool by_interrupt = option("interrupts");
	uint64_t got = 0, wrong = 0;
	uint32_t seen = 0;

	if (by_interrupt) {
		isa_interrupt_route(IRQ, VECTOR);
		interrupts_enable();
		out8(MCR, MCR_OUT2 | 3); /* OUT2 connects the line */
		out8(IIR, 0xc1);	 /* level 14 */
		out8(IER, 0x01);
		seen = interrupt_counts[VECTOR];
	}
	print("# echo %lu\n", count);
	while (got < count) {
		if (by_interrupt && !WAIT_UNTIL(interrupt_counts[VECTOR] != seen, 10))
			break;
		seen = interrupt_counts[VECTOR];
		if (!by_interrupt && !WAIT_UNTIL(in8(LSR) & LSR_DR, 10))
			break;
		while (got < count && in8(LSR) & LSR_DR) {
			uint8_t byte = in8(RBR);

			wrong += byte != pattern(got++);
			print("%c", byte);
		}
	}
	out8(IER, 0);
	interrupts_disable();
	print("\n");
	test(got == count && !wrong, "%lu bytes of %lu came in, %lu wrong", got, count, wrong);
}

static void flood(uint64_t count)
{
	uint64_t i;

	print("# flood %lu\n", count);
	for (i = 0; i < count; i++)
		print("%c", pattern(i));
	print("\n");
}

#define CONSOLE_F_SIZE 0
#define CHUNK	       1024u
#define RX_CHUNKS      16u

static void virtio_console(uint64_t count)
{
	static struct virtio_device device;
	static struct virtqueue rx, tx;
	static uint8_t *buffers[VIRTQUEUE_SIZE_MAX];
	uint8_t *memory = memory_get(CHUNK * (RX_CHUNKS + 1), 4096), *out = memory + CHUNK * RX_CHUNKS;
	uint64_t sent = 0, got = 0, wrong = 0, i;
	uint64_t deadline = ticks() + ticks_to_wait(20000);

	if (!virtio_find(VIRTIO_ID_CONSOLE, 0, &device))
		guest_fail("there is no virtio-console");
	if (!virtio_negotiate(&device, VIRTIO_BIT(CONSOLE_F_SIZE) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
					       VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) ||
	    !virtqueue_setup(&rx, &device, 0, RX_CHUNKS) || !virtqueue_setup(&tx, &device, 1, 16))
		guest_fail("virtio-console does not start");
	virtio_start(&device);
	if (virtio_has(&device, CONSOLE_F_SIZE)) {
		uint16_t size[2] = {0, 0};

		virtio_config_read(&device, 0, size, 4);
		print("# %u columns, %u rows\n", size[0], size[1]);
	}
	for (i = 0; i < RX_CHUNKS; i++) {
		/* All sizes, a single byte among them. */
		struct segment segment = {memory + i * CHUNK, (uint32_t)(i == 3 ? 1 : CHUNK - i)};
		int head = virtqueue_add(&rx, &segment, 0, 1);

		if (head >= 0)
			buffers[head] = memory + i * CHUNK;
	}
	virtqueue_kick(&rx);
	print("# virtio-console ready\n");
	while ((sent < count || got < count) && ticks() < deadline) {
		uint32_t length;
		int head;

		/* Who speaks before anybody listens is not heard. */
		if (got > 0 && sent < count && tx.free_count == tx.size) {
			uint32_t size = (uint32_t)(1 + sent % CHUNK);
			struct segment parts[2] = {{out, size / 2}, {out + size / 2, size - size / 2}};

			if (size > count - sent)
				size = (uint32_t)(count - sent), parts[0].length = 0, parts[1].length = size;
			for (i = 0; i < size; i++)
				out[i] = (uint8_t)((sent + i) * 7 + (sent + i) / 256);
			parts[1].address = out + parts[0].length;
			if (parts[0].length)
				virtqueue_add(&tx, parts, 2, 0);
			else
				virtqueue_add(&tx, parts + 1, 1, 0);
			virtqueue_kick(&tx);
			sent += size;
		}
		virtqueue_take(&tx, NULL);
		head = virtqueue_take(&rx, &length);
		if (head >= 0) {
			struct segment segment = {buffers[head], rx.descriptors[head].len};

			if (length > segment.length)
				guest_fail("%u bytes in a buffer of %u", length, segment.length);
			for (i = 0; i < length; i++, got++)
				wrong += buffers[head][i] != (uint8_t)(got * 7 + got / 256);
			head = virtqueue_add(&rx, &segment, 0, 1);
			buffers[head] = (uint8_t *)segment.address;
			virtqueue_kick(&rx);
		}
	}
	WAIT_UNTIL(virtqueue_take(&tx, NULL) >= 0 || tx.free_count == tx.size, 2);
	test(sent == count && tx.free_count == tx.size, "virtio-console took %lu bytes", sent);
	test(got == count && !wrong, "and gave %lu of %lu, %lu wrong", got, count, wrong);
}

/* --- Serving whoever comes --- */

/* More than the host's buffers take, ours and the kernel's. */
#define SERVE_FLOOD  (512u * 1024)
#define SERVE_CHUNK  (32u * 1024)
#define SERVE_SERIAL 4096u

static struct virtqueue serve_rx, serve_tx;
static uint8_t *serve_in, *serve_out;

/* As Linux's hvc does it: nothing else happens before the device has given the chain back. */
static void serve_send(bool virtio, unsigned size)
{
	struct segment segment = {serve_out, size};
	unsigned i;

	if (!virtio) {
		for (i = 0; i < size; i++)
			print("%c", serve_out[i]);
		return;
	}
	virtqueue_add(&serve_tx, &segment, 1, 0);
	virtqueue_kick(&serve_tx);
	if (virtqueue_wait(&serve_tx, NULL, 60) < 0)
		guest_fail("virtio-console kept a chain for a minute");
}

static void serve_flood(bool virtio)
{
	unsigned i, left = virtio ? SERVE_FLOOD : SERVE_SERIAL, part = virtio ? SERVE_CHUNK : SERVE_SERIAL;

	for (i = 0; i < part; i++)
		serve_out[i] = i % 64 == 63 ? '\n' : '.';
	for (; left; left -= part)
		serve_send(virtio, part);
}

/* Answers what came in; returns false at the end. */
static bool serve_answer(bool virtio, const volatile uint8_t *data, unsigned size)
{
	unsigned i, echoed = 0;

	for (i = 0; i < size; i++) {
		if (data[i] != 'x' && data[i] != '?' && data[i] != 'F') {
			serve_out[echoed++] = data[i];
			continue;
		}
		if (echoed)
			serve_send(virtio, echoed);
		echoed = 0;
		if (data[i] == 'x')
			return false;
		if (data[i] == 'F') {
			serve_flood(virtio);
			continue;
		}
		memcpy(serve_out, "<here>\n", 7);
		serve_send(virtio, 7);
	}
	if (echoed)
		serve_send(virtio, echoed);
	return true;
}

static void serve_serial(void)
{
	uint8_t byte;

	print("# serving\n");
	do {
		if (!WAIT_UNTIL(in8(LSR) & LSR_DR, 60))
			guest_fail("nobody came for a minute");
		byte = in8(RBR);
	} while (serve_answer(false, &byte, 1));
	print("\n");
}

static void serve_start(void)
{
	static struct virtio_device device;

	if (!virtio_find(VIRTIO_ID_CONSOLE, 0, &device))
		guest_fail("there is no virtio-console");
	if (!virtio_negotiate(&device, 0) || !virtqueue_setup(&serve_rx, &device, 0, 2) ||
	    !virtqueue_setup(&serve_tx, &device, 1, 1))
		guest_fail("virtio-console does not start");
	virtio_start(&device);
}

/* The same pattern as flood()'s, as fast as it is taken. */
static void flood_virtio(uint64_t count)
{
	uint64_t sent, i;

	serve_out = memory_get(SERVE_CHUNK, 4096);
	serve_start();
	print("# flooding\n");
	for (sent = 0; sent < count; sent += i) {
		for (i = 0; i < SERVE_CHUNK && sent + i < count; i++)
			serve_out[i] = pattern(sent + i);
		serve_send(true, (unsigned)i);
	}
	test(true, "virtio-console took %lu bytes", sent);
}

/*
 * While it answers one buffer of input the device has another: it looks for input all the time, as with a Linux guest.
 */
static void serve_virtio(void)
{
	struct segment segments[2] = {{serve_in, SERVE_CHUNK}, {serve_in + SERVE_CHUNK, SERVE_CHUNK}};
	unsigned turn = 0;
	uint32_t length;

	serve_start();
	virtqueue_add(&serve_rx, &segments[0], 0, 1);
	do {
		virtqueue_add(&serve_rx, &segments[++turn & 1], 0, 1);
		virtqueue_kick(&serve_rx);
		if (virtqueue_wait(&serve_rx, &length, 60) < 0)
			guest_fail("nobody came for a minute");
	} while (serve_answer(true, segments[~turn & 1].address, length));
}

static void serve(bool virtio)
{
	serve_in = memory_get(2 * SERVE_CHUNK, 4096);
	serve_out = memory_get(SERVE_CHUNK, 4096);
	if (virtio)
		serve_virtio();
	else
		serve_serial();
	test(true, "served to the end");
}

void guest_main(void)
{
	out8(IIR, FCR_CLEAR);
	if (option("echo")) {
		echo(option_number("echo", 1024));
	} else if (option("flood-virtio")) {
		flood_virtio(option_number("flood-virtio", 1 << 20));
	} else if (option("flood")) {
		flood(option_number("flood", 1024));
	} else if (option("virtio")) {
		virtio_console(option_number("virtio", 65536));
	} else if (option("serve-virtio")) {
		serve(true);
	} else if (option("serve")) {
		serve(false);
	} else {
		test_registers();
		test_loopback();
		test_interrupts();
	}
}
