/*
 * A virtio-pci function in the hands of a hostile guest: accesses of any width anywhere in its BAR, its
 * configuration space (ECAM and ports) and beside them, in any order, while the back end keeps its word. Held
 * to it: no guest ends the VM through it; each queue that was started lies in RAM; KVM has an ioeventfd for
 * each queue where the BAR is, and none elsewhere; nothing is left when the device goes.
 *
 * KVM is fake_core.c's. The back end answers in the front end's own thread: --wrap=vhost_user_send is where
 * it reads, and its answer waits in the socket when the front end looks.
 *
 * Input: a byte with the device's type, then accesses: a byte that says where (see access()) and which way, a
 * byte with the width, the offset, and the value for a write.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/loop.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/unit/fake_core.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci.h"
#include "vmm-core/virtio/virtio_pci_device.h"
#include "vmm-core/virtio/virtio_pci_spec.h"
#include "vmm-core/wire/backend_vhost_user.h"

#define SLOT	     1
#define QUEUES	     4
#define ACCESSES_MAX 512
#define BAR_SIZE     UINT64_C(0x8000)
#define NOTIFY_PAGE  0x3000

int __real_vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
			   uint32_t size, const int *fds, size_t fd_count, int timeout_ms);
int __wrap_vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
			   uint32_t size, const int *fds, size_t fd_count, int timeout_ms);

static struct {
	int socket_fd;
	int channel_fd;	       /* for notices */
	bool features, memory; /* it was told of them */
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE];
	bool running[QUEUES];
	uint16_t sizes[QUEUES];
} backend;

static struct core core;

/* --- The back end --- */

static bool inside_ram(uint64_t address, uint64_t size)
{
	return guest_ram_range(&core.ram, address, size) != NULL;
}

static void backend_check_ring(const struct vhost_user_vring_addr *ring)
{
	uint64_t size = backend.sizes[ring->index];

	/* Nobody can look for a ring without them. */
	fuzz_require(backend.features && backend.memory);
	fuzz_require(size > 0 && size <= VIRTIO_PCI_QUEUE_SIZE_MAX && (size & (size - 1)) == 0);
	fuzz_require(ring->descriptor % 16 == 0 && inside_ram(ring->descriptor, 16 * size));
	fuzz_require(ring->available % 2 == 0 && inside_ram(ring->available, 6 + 2 * size));
	fuzz_require(ring->used % 4 == 0 && inside_ram(ring->used, 6 + 8 * size));
}

static void backend_ring(uint32_t request, const struct vhost_user_vring_state *state, const int *fds,
			 size_t fd_count)
{
	uint32_t index = state->index & VHOST_USER_VRING_INDEX_MASK;

	fuzz_require(index < QUEUES && (fd_count == 0 || fds[0] >= 0));
	switch (request) {
	case VHOST_USER_SET_VRING_NUM:
		fuzz_require(!backend.running[index]);
		backend.sizes[index] = (uint16_t)state->num;
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		backend.running[index] = true;
		break;
	case VHOST_USER_GET_VRING_BASE:
		fuzz_require(backend.running[index]);
		backend.running[index] = false;
		break;
	default:
		break;
	}
}

/* Returns the size of the answer's payload. */
static uint32_t backend_serve(uint32_t request, const void *payload, uint32_t size, const int *fds,
			      size_t fd_count, struct vhost_user_message *answer)
{
	struct vhost_user_config *config = &answer->payload.config;

	answer->payload.u64 = 0;
	switch (request) {
	case VHOST_USER_GET_FEATURES:
		answer->payload.u64 = UINT64_MAX;
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		answer->payload.u64 = UINT64_MAX;
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		answer->payload.u64 = QUEUES;
		break;
	case VHOST_USER_GET_CONFIG:
		memcpy(config, payload, size);
		fuzz_require(config->offset <= sizeof(backend.config) &&
			     config->size <= sizeof(backend.config) - config->offset);
		memcpy(config->payload, backend.config + config->offset, config->size);
		return VHOST_USER_CONFIG_HEADER_SIZE + config->size;
	case VHOST_USER_SET_CONFIG:
		memcpy(config, payload, size);
		fuzz_require(config->size > 0 && config->offset <= sizeof(backend.config) &&
			     config->size <= sizeof(backend.config) - config->offset);
		memcpy(backend.config + config->offset, config->payload, config->size);
		answer->payload.u64 = 0;
		break;
	case VHOST_USER_SET_FEATURES:
		backend.features = true;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		backend.memory = true;
		break;
	case VHOST_USER_RESET_DEVICE:
		for (unsigned i = 0; i < QUEUES; i++)
			fuzz_require(!backend.running[i]);
		backend.features = backend.memory = false;
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		backend.channel_fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
		break;
	case VHOST_USER_SET_VRING_ADDR:
		backend_check_ring(payload);
		break;
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ENABLE:
		backend_ring(request, payload, fds, fd_count);
		break;
	case VHOST_USER_GET_VRING_BASE:
		backend_ring(request, payload, fds, fd_count);
		memcpy(&answer->payload, payload, size);
		break;
	default:
		break;
	}
	return sizeof(uint64_t);
}

static bool backend_answers(uint32_t request, uint32_t flags)
{
	return (flags & VHOST_USER_NEED_REPLY_FLAG) != 0 || request == VHOST_USER_GET_FEATURES ||
	       request == VHOST_USER_GET_PROTOCOL_FEATURES || request == VHOST_USER_GET_QUEUE_NUM ||
	       request == VHOST_USER_GET_CONFIG || request == VHOST_USER_GET_VRING_BASE;
}

int __wrap_vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
			   uint32_t size, const int *fds, size_t fd_count, int timeout_ms)
{
	struct vhost_user_message answer;
	uint32_t length;

	(void)socket_fd;
	(void)timeout_ms;
	length = backend_serve(request, payload, size, fds, fd_count, &answer);
	if (!backend_answers(request, flags))
		return 0;
	return __real_vhost_user_send(backend.socket_fd, request, VHOST_USER_REPLY_FLAG, &answer.payload,
				      length, NULL, 0, 0);
}

/* It has another configuration; and says so, or lets the driver find out. */
static void backend_change(unsigned place, uint8_t change)
{
	backend.config[place] ^= change;
	if ((change & 1) == 0)
		return;
	fuzz_require(__real_vhost_user_send(backend.channel_fd, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, NULL,
					    0, NULL, 0, 0) == 0);
	loop_run_once(core.loop, 0);
}

/* --- What must hold after each access --- */

static void check_queues(const struct virtio_pci *device)
{
	for (unsigned i = 0; i < device->queue_count; i++) {
		const struct virtio_pci_queue *queue = &device->queues[i];

		fuzz_require(queue->size > 0 && queue->size <= VIRTIO_PCI_QUEUE_SIZE_MAX);
		fuzz_require(queue->vector == VIRTIO_MSI_NO_VECTOR ||
			     queue->vector < msix_vectors(device->msix));
		fuzz_require(!queue->started || queue->enabled);
		fuzz_require(queue->started == backend.running[i]);
		fuzz_require(!queue->started || virtio_driver_ok(device));
		/* Neither without bus mastering; and what is halted is not forgotten. */
		fuzz_require(!queue->started || device->master);
		fuzz_require(!queue->halted || (queue->enabled && !queue->started && !device->master));
	}
}

static void check_device(const struct virtio_pci *device)
{
	uint64_t bar = device->function.bar_address;

	check_queues(device);
	fuzz_require(bar % BAR_SIZE == 0);
	fuzz_require(fake_kvm.ioeventfd_count == (bar != 0 ? device->queue_count : 0));
	for (unsigned i = 0; bar != 0 && i < device->queue_count; i++)
		fuzz_require(fake_ioeventfd_at(bar + NOTIFY_PAGE + i * 4) == device->queues[i].kick_fd);
	fuzz_require(fake_kvm.irqfd_count <= (device->master ? msix_vectors(device->msix) : 0));
	fuzz_require(device->master == ((device->function.config[PCI_COMMAND] & PCI_COMMAND_MASTER) != 0));
	fuzz_require((device->driver_features & ~device->offered) == 0 ||
		     (device->status & VIRTIO_STATUS_FEATURES_OK) == 0);
	/* Port 0xcf9 lies among those of PCI, and is the chipset's: nothing here ends the run. */
	fuzz_require(!run_end_decided(&core.end));
}

/* --- The guest --- */

static void access_memory(uint64_t address, unsigned size, bool write, struct fuzz_input *input)
{
	uint64_t value = write ? fuzz_take_u64(input) : 0;

	if (write)
		exit_router_write(core.router, 0, EXIT_SPACE_MMIO, address, &value, size);
	else
		exit_router_read(core.router, 0, EXIT_SPACE_MMIO, address, &value, size);
}

static void access_port(uint16_t port, unsigned size, bool write, struct fuzz_input *input)
{
	/* There are no others. */
	size = size == 1 || size == 2 ? size : 4;
	if (write)
		guest_out(&core, port, fuzz_take_u32(input), size);
	else
		guest_in(&core, port, size);
}

/* Where the guest last put the BAR, whether that was taken or not. */
static uint64_t bar_of(const struct virtio_pci *device)
{
	const struct pci_function *function = &device->function;

	return function->bar_address != 0
		       ? function->bar_address
		       : pci_config_get(function, PCI_BASE_ADDRESS_0, 4) & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS;
}

static void one_access(struct virtio_pci *device, struct fuzz_input *input)
{
	uint8_t where = fuzz_take_u8(input);
	uint8_t width = fuzz_take_u8(input);
	bool write = (where & 0x80) != 0;
	/* KVM gives accesses of 1, 2, 4 and 8, and of less when one was split at a page. */
	unsigned size = width & 0x80 ? 1 + (width & 7) : 1u << (width & 3);

	switch (where & 0xf) {
	case 0: /* the common configuration, most of all */
	case 1:
	case 2:
		access_memory(bar_of(device) + fuzz_take_u8(input) % 64, size, write, input);
		break;
	case 3: /* a page of the BAR */
		access_memory(bar_of(device) + ((where >> 4 & 7u) << 12) + fuzz_take_u8(input), size, write,
			      input);
		break;
	case 4: /* the BAR and a little more */
		access_memory(bar_of(device) + fuzz_take_u16(input), size, write, input);
		break;
	case 5: /* our configuration space */
	case 6:
		access_memory(LAYOUT_ECAM_START + (SLOT << 15) + fuzz_take_u8(input), size, write, input);
		break;
	case 7: /* anybody's, and the extended one */
		access_memory(LAYOUT_ECAM_START + fuzz_take_u32(input) % LAYOUT_ECAM_SIZE, size, write,
			      input);
		break;
	case 8:
		access_port((uint16_t)(LAYOUT_PORT_PCI_ADDRESS + fuzz_take_u8(input) % 8), size, write,
			    input);
		break;
	case 9: /* anywhere */
		access_memory(fuzz_take_u64(input), size, write, input);
		break;
	default:
		backend_change(where >> 4, width);
		break;
	}
}

/* --- One run --- */

static struct virtio_pci *attach(uint8_t type)
{
	/* One of which the tables know nothing, with as much configuration as a back end may have. */
	static const struct device_type other = {.name = "other",
						 .virtio_id = 26,
						 .pci_class = 0xff0000,
						 .config_size = BACKEND_CONFIG_MAX,
						 .queues_min = 1};
	static const uint16_t types[] = {VIRTIO_ID_BLOCK, VIRTIO_ID_NET, VIRTIO_ID_CONSOLE};
	struct virtio_pci_setup setup = {.type = type % 4 == 3 ? &other : device_type_of(types[type % 4])};
	struct virtio_pci *device;
	int pair[2];

	setup.queues = setup.type->queue_pairs || setup.type == &other ? 0 : 2;
	setup.core = &core;
	setup.id = "fuzz";
	setup.backend_ops = &backend_vhost_user;
	memset(&backend, 0, sizeof(backend));
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	backend.socket_fd = pair[0];
	fuzz_require(virtio_pci_new(&setup, pair[1], &device) == 0);
	return device;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct virtio_pci *device;
	int first_fd;

	if (core.loop == NULL) {
		fuzz_quiet_log();
		fake_core_new(&core);
		pci_bus_free(core.pci);
	}
	first_fd = fuzz_next_fd();
	/* A bus each, since it does not give the place of a BAR twice. */
	fuzz_require(pci_bus_new(&core, &core.pci) == 0);
	device = attach(fuzz_take_u8(&input));
	for (unsigned i = 0; i < ACCESSES_MAX && input.size > 0; i++) {
		one_access(device, &input);
		check_device(device);
	}
	virtio_pci_quiesce(device);
	for (unsigned i = 0; i < QUEUES; i++)
		fuzz_require(!backend.running[i]);
	virtio_pci_free(device);
	close(backend.socket_fd);
	close(backend.channel_fd);
	pci_bus_free(core.pci);
	fuzz_require(fake_kvm.ioeventfd_count == 0 && fake_kvm.irqfd_count == 0);
	fuzz_require(fuzz_next_fd() == first_fd);
	return 0;
}
