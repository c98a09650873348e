/*
 * stream connect|listen ADDRESS PORT: a TCP connection that carries numbers both ways, each verified at the other end.
 * For the torture test, which runs it in the guest (connect) and on the host (listen).
 *
 * Each 8 bytes are their number times an odd constant, so that a block that is lost, doubled, moved or changed shows.
 * It is sent in blocks of 64 KiB, which segmentation offload takes as they are, with a pause between two, for what is
 * tested is not the speed. SIGTERM to the listener ends both directions in order: it closes its own, then the connector
 * does. Exit status 0 and "sent N received M" if all that came was right and complete.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	 65536
#define PAUSE_MS 40

static volatile sig_atomic_t told_to_end;

static void end(int number)
{
	(void)number;
	told_to_end = 1;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The bytes of the stream at [position, +size). */
static void fill(unsigned char *bytes, uint64_t position, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint64_t number = (position + i) / 8 * UINT64_C(0x9e3779b97f4a7c15);

		bytes[i] = (unsigned char)(number >> (position + i) % 8 * 8);
	}
}

static int open_connection(bool listens, const char *address, const char *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd, connection, yes = 1;

	if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
		fail(address);
	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			fail("socket");
		if (listens)
			break;
		if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
			return fd;
		close(fd);
		poll(NULL, 0, 200);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, 1) < 0)
		fail("listen");
	connection = accept(fd, NULL, NULL);
	if (connection < 0)
		fail("accept");
	close(fd);
	return connection;
}

/* What came at `position`. Returns its size; 0 at the end. */
static size_t take(int fd, uint64_t position)
{
	static unsigned char bytes[BLOCK], expected[BLOCK];
	ssize_t size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return SIZE_MAX;
	if (size < 0)
		fail("receive");
	fill(expected, position, (size_t)size);
	for (size_t i = 0; i < (size_t)size; i++)
		if (bytes[i] != expected[i]) {
			fprintf(stderr, "stream: byte %llu is %02x, not %02x\n",
				(unsigned long long)(position + i), bytes[i], expected[i]);
			exit(1);
		}
	return (size_t)size;
}

/* What is left of the block that holds `position`. Returns how much of it was sent. */
static size_t give(int fd, uint64_t position)
{
	unsigned char bytes[BLOCK];
	size_t left = BLOCK - position % BLOCK;
	ssize_t size;

	fill(bytes, position, left);
	size = send(fd, bytes, left, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size < 0)
		fail("send");
	return (size_t)size;
}

int main(int argc, char **argv)
{
	bool listens = argc == 4 && strcmp(argv[1], "listen") == 0, sends = true, receives = true;
	struct sigaction action = {.sa_handler = end};
	uint64_t sent = 0, received = 0, next_ms = 0;
	int fd;

	if (argc != 4 || (!listens && strcmp(argv[1], "connect") != 0)) {
		fprintf(stderr, "usage: stream connect|listen ADDRESS PORT\n");
		return 2;
	}
	if (listens)
		sigaction(SIGTERM, &action, NULL);
	fd = open_connection(listens, argv[2], argv[3]);
	while (sends || receives) {
		uint64_t now = now_ms();
		bool due = sends && (sent % BLOCK != 0 || now >= next_ms || told_to_end);
		struct pollfd ready = {.fd = fd,
				       .events = (short)((receives ? POLLIN : 0) | (due ? POLLOUT : 0))};

		poll(&ready, 1, sends && !due ? (int)(next_ms - now) : 500);
		if (receives && (ready.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
			size_t size = take(fd, received);

			if (size == 0)
				receives = false;
			else if (size != SIZE_MAX)
				received += size;
		}
		if (sends && sent % BLOCK == 0 && (told_to_end || !receives)) {
			shutdown(fd, SHUT_WR);
			sends = false;
		} else if (due && (ready.revents & POLLOUT) != 0) {
			sent += give(fd, sent);
			if (sent % BLOCK == 0)
				next_ms = now + PAUSE_MS;
		}
	}
	if (received % BLOCK != 0) {
		fprintf(stderr, "stream: it ended in the middle of a block, after %llu bytes\n",
			(unsigned long long)received);
		return 1;
	}
	printf("sent %llu received %llu\n", (unsigned long long)sent, (unsigned long long)received);
	return 0;
}
