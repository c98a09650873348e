/* A device's process and its wire: see bench_link.h. */
#include "tests/bench/bench_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/bench_say.h"
#include "tests/unit/test_ram.h"

#define PAGE 4096u

/* Notices of the device are not listened to: there is nothing that it could tell a driver without a guest. */
static void link_config_changed(void *owner)
{
	(void)owner;
}

static void link_gone(void *owner, int error)
{
	(void)owner;
	(void)error;
}

static const struct vhost_user_frontend_ops link_ops = {.config_changed = link_config_changed,
							.gone = link_gone};

static void link_check(int result, const char *what)
{
	if (result < 0)
		bench_fail("the device: %s: %s", what, strerror(-result));
}

static int link_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		bench_fail("%s: the path is too long for a socket", path);
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bench_fail("%s: cannot connect: %s", path, strerror(errno));
	return fd;
}

void bench_link_open(struct bench_link *link, const char *socket_path, size_t memory)
{
	static const _Atomic bool never_cancelled;

	*link = (struct bench_link){.inflight = {.memfd = -1}};
	link_check(test_ram_create(memory, &link->ram), "its memory cannot be made");
	/* Not yet mapped memory would be measured as the device's work. */
	memset(link->ram.host, 0, memory);
	link->socket_fd = link_connect(socket_path);
	link_check(
		vhost_user_frontend_new(link->socket_fd, &never_cancelled, &link_ops, NULL, &link->frontend),
		"vhost-user cannot be negotiated");
}

void bench_link_negotiate(struct bench_link *link, uint64_t needed, uint16_t queues, uint16_t ring_size)
{
	uint64_t missing = needed & ~vhost_user_frontend_features(link->frontend);

	if (missing != 0)
		bench_fail("the device does not offer the features 0x%llx", (unsigned long long)missing);
	link->features = needed;
	link_check(vhost_user_frontend_set_features(link->frontend, needed), "SET_FEATURES");
	link_check(vhost_user_frontend_set_memory(link->frontend, &link->ram), "SET_MEM_TABLE");
	if (!vhost_user_frontend_has_inflight(link->frontend))
		return;
	link_check(inflight_memory_create(&link->inflight, queues, ring_size), "an inflight region");
	link_check(vhost_user_frontend_set_inflight(link->frontend, link->inflight.memfd, link->inflight.size,
						    queues, ring_size),
		   "SET_INFLIGHT_FD");
}

void *bench_link_memory(struct bench_link *link, size_t size)
{
	void *memory = link->ram.host + link->ram_taken;

	size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
	if (size > link->ram.size - link->ram_taken)
		bench_fail("no %zu bytes are left of the shared memory", size);
	link->ram_taken += size;
	return memory;
}

static uint64_t link_address(const struct bench_link *link, const void *memory)
{
	return (uint64_t)((const uint8_t *)memory - link->ram.host);
}

void bench_link_start_ring(struct bench_link *link, uint16_t index, uint16_t size, const char *name,
			   struct bench_ring *ring)
{
	struct vhost_user_ring setup;

	*ring = (struct bench_ring){
		.name = name,
		.memory = link->ram.host,
		.size = size,
		.descriptors = bench_link_memory(link, sizeof(struct virtq_desc) * size),
		.available = bench_link_memory(link, sizeof(struct virtq_avail) + 2u * size + 2),
		.used = bench_link_memory(link, sizeof(struct virtq_used) + 8u * size + 2),
		.tables = bench_link_memory(link, sizeof(struct virtq_desc) * BENCH_SEGMENTS_MAX * size),
		.free = calloc(size, sizeof(*ring->free)),
		.busy = calloc(size, sizeof(*ring->busy)),
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.socket_fd = link->socket_fd,
	};
	if (ring->free == NULL || ring->busy == NULL || ring->kick_fd < 0 || ring->call_fd < 0)
		bench_fail("%s: cannot be made: %s", name, strerror(errno));
	while (ring->free_count < size) {
		ring->free[ring->free_count] = (uint16_t)(size - 1 - ring->free_count);
		ring->free_count++;
	}
	bench_ring_silence(ring);
	setup = (struct vhost_user_ring){
		.size = size,
		.descriptors = link_address(link, ring->descriptors),
		.available = link_address(link, ring->available),
		.used = link_address(link, ring->used),
		.kick_fd = ring->kick_fd,
		.call_fd = ring->call_fd,
	};
	link_check(vhost_user_frontend_start_ring(link->frontend, index, &setup), name);
}
