/*
 * A serial port. The UART's interrupt line is an edge on the ISA bus: the device process signals the eventfd
 * when the line goes up, and KVM turns each signal into an edge on the GSI.
 *
 * No access is lost with the process. Each has a number, which is its message's id on the wire; a successor
 * that knows from the UART's state page which was the last one done leaves out what it is given again. What a
 * successor may have to be given is kept here: the posted writes that no reply has confirmed since (a reply
 * confirms all before it), and the one access whose reply did not come. While they are kept no other access
 * is begun, so their order is the guest's.
 */
#include "vmm-core/wire/serial_port.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/eventfd_wire.h"
#include "common/base/log.h"
#include "vmm-core/wire/vfio_user_client.h"

#define UART_REGISTERS 8
#define UART_REGION    0
#define UART_IRQ       0

/* A write beyond these waits for its reply. */
#define POSTED_MAX 64

struct serial_access {
	uint16_t id;
	bool write;
	uint8_t offset;
	uint8_t value;
	bool done;
};

struct serial_device {
	struct core *core;
	char *id;
	uint16_t port;
	uint32_t gsi;
	int irq_fd;
	bool claimed;
	struct device_link link;
	struct vfio_user_client *successor; /* the attendant's until it is adopted */

	/* Of all below. The main thread takes it when nobody talks to the process, or has been stopped. */
	pthread_mutex_t lock;
	struct vfio_user_client *client;
	uint16_t next_id;
	unsigned posted_count;
	struct serial_access posted[POSTED_MAX];
	struct serial_access *interrupted; /* a parked vCPU's, or NULL */
};

/* --- Accesses --- */

/* One at the process behind a client. Confirmed, it confirms all before it. */
static int access_issue(struct vfio_user_client *client, struct serial_access *access, bool confirm)
{
	if (access->write)
		return vfio_user_client_write(client, access->id, confirm, UART_REGION, access->offset,
					      &access->value, 1);
	return vfio_user_client_read(client, access->id, UART_REGION, access->offset, &access->value, 1);
}

/* Whose an access is after it was tried. */
enum access_end {
	ACCESS_DONE,	    /* the process has done it, or holds it as a posted write */
	ACCESS_NOT_BEGUN,   /* still the vCPU's: there was no process to give it to */
	ACCESS_INTERRUPTED, /* the attendant's: the process may have done it, and did not say so */
};

/* The lock is held. */
static enum access_end access_try(struct serial_device *serial, struct serial_access *access)
{
	bool confirm = !access->write || serial->posted_count == POSTED_MAX;
	int result;

	if (device_link_state(&serial->link) != DEVICE_LINK_SERVING)
		return ACCESS_NOT_BEGUN;
	access->id = serial->next_id++;
	result = access_issue(serial->client, access, confirm);
	if (result < 0) {
		serial->interrupted = access;
		device_link_lost(&serial->link, "a register access failed", result);
		return ACCESS_INTERRUPTED;
	}
	if (confirm)
		serial->posted_count = 0;
	else
		serial->posted[serial->posted_count++] = *access;
	return ACCESS_DONE;
}

static bool serial_park(struct serial_device *serial)
{
	bool again;

	pthread_mutex_unlock(&serial->lock);
	again = device_link_park(&serial->link) && device_link_state(&serial->link) != DEVICE_LINK_FAILED;
	pthread_mutex_lock(&serial->lock);
	return again;
}

/* Until a process has done it, this one or a successor. false: the port is dead. The lock is held. */
static bool access_do(struct serial_device *serial, struct serial_access *access)
{
	enum access_end end = access_try(serial, access);

	while (end == ACCESS_NOT_BEGUN) {
		if (!serial_park(serial))
			return false;
		end = access_try(serial, access);
	}
	if (end == ACCESS_DONE)
		return true;
	/* The attendant gives it to a successor before any other is begun. */
	while (!access->done && serial_park(serial))
		;
	if (serial->interrupted == access)
		serial->interrupted = NULL;
	return access->done;
}

/* Registers are a byte wide; a wider access is one to each of the registers that it covers, as on an 8-bit
 * bus. */
static void serial_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct serial_device *serial = owner;
	uint8_t *bytes = data;

	memset(bytes, 0xff, size);
	pthread_mutex_lock(&serial->lock);
	for (unsigned i = 0; i < size; i++) {
		struct serial_access access = {.offset = (uint8_t)(offset + i)};

		if (!access_do(serial, &access))
			break;
		bytes[i] = access.value;
	}
	pthread_mutex_unlock(&serial->lock);
}

static void serial_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct serial_device *serial = owner;
	const uint8_t *bytes = data;

	pthread_mutex_lock(&serial->lock);
	for (unsigned i = 0; i < size; i++) {
		struct serial_access access = {
			.write = true, .offset = (uint8_t)(offset + i), .value = bytes[i]};

		if (!access_do(serial, &access))
			break;
	}
	pthread_mutex_unlock(&serial->lock);
}

static const struct exit_ops serial_ops = {.read = serial_read, .write = serial_write};

/* --- The process behind it --- */

/* Connects, and checks that the device behind the wire is what a port of ours needs. wire_fd becomes the
 * client's, or is closed. */
static int serial_connect(struct serial_device *serial, int wire_fd, struct vfio_user_client **client,
			  const char **doing)
{
	uint64_t size;
	int result;

	*doing = "it cannot be connected";
	result = vfio_user_client_new(wire_fd, client);
	if (result < 0) {
		close(wire_fd);
		return result;
	}
	result = vfio_user_client_region_size(*client, UART_REGION, &size);
	if (result == 0 && (size != UART_REGISTERS || vfio_user_client_irqs(*client) < 1)) {
		*doing = "its process presents no UART";
		result = -EPROTO;
	}
	if (result == 0)
		result = vfio_user_client_set_irq(*client, UART_IRQ, serial->irq_fd);
	if (result < 0) {
		vfio_user_client_free(*client);
		*client = NULL;
	}
	return result;
}

/*
 * What the predecessor may have left undone. The lock is not held while the process is talked to, since the main
 * thread takes it; nobody changes what is kept as long as the link is lost, except that a vCPU may stop waiting
 * for its access.
 */
static int serial_reissue(struct serial_device *serial, struct vfio_user_client *client)
{
	struct serial_access posted[POSTED_MAX], access = {0};
	bool interrupted;
	unsigned count;
	int result = 0;

	/* Behind those who began before the link was lost; vCPUs that find it lost let go of the lock. */
	pthread_mutex_lock(&serial->lock);
	count = serial->posted_count;
	memcpy(posted, serial->posted, count * sizeof(posted[0]));
	interrupted = serial->interrupted != NULL;
	if (interrupted)
		access = *serial->interrupted;
	pthread_mutex_unlock(&serial->lock);

	for (unsigned i = 0; result == 0 && i < count; i++)
		result = access_issue(client, &posted[i], i + 1 == count);
	if (result < 0)
		return result;
	pthread_mutex_lock(&serial->lock);
	serial->posted_count = 0;
	pthread_mutex_unlock(&serial->lock);
	if (!interrupted)
		return 0;
	result = access_issue(client, &access, true);
	pthread_mutex_lock(&serial->lock);
	if (result == 0 && serial->interrupted != NULL) {
		serial->interrupted->value = access.value;
		serial->interrupted->done = true;
		serial->interrupted = NULL;
	}
	pthread_mutex_unlock(&serial->lock);
	return result;
}

static int link_handshake(void *owner, int wire_fd, const char **doing)
{
	struct serial_device *serial = owner;
	struct vfio_user_client *client = NULL;
	int result = serial_connect(serial, wire_fd, &client, doing);

	if (result < 0)
		return result;
	*doing = "an access cannot be issued again";
	result = serial_reissue(serial, client);
	if (result < 0)
		vfio_user_client_free(client);
	else
		serial->successor = client;
	return result;
}

static void link_discard(void *owner)
{
	struct serial_device *serial = owner;

	vfio_user_client_free(serial->successor);
	serial->successor = NULL;
}

static void link_adopt(void *owner)
{
	struct serial_device *serial = owner;

	pthread_mutex_lock(&serial->lock);
	serial->client = serial->successor;
	serial->successor = NULL;
	/* An edge may have been lost between the UART's state and the line; one too many is no harm. */
	eventfd_raise(serial->irq_fd);
	device_link_serve(&serial->link);
	pthread_mutex_unlock(&serial->lock);
}

static void link_retire(void *owner)
{
	struct serial_device *serial = owner;

	pthread_mutex_lock(&serial->lock);
	vfio_user_client_free(serial->client);
	serial->client = NULL;
	pthread_mutex_unlock(&serial->lock);
}

static void link_fail(void *owner)
{
	struct serial_device *serial = owner;

	pthread_mutex_lock(&serial->lock);
	device_link_failed(&serial->link);
	pthread_mutex_unlock(&serial->lock);
}

static const struct device_link_ops link_ops = {
	.handshake = link_handshake,
	.discard = link_discard,
	.adopt = link_adopt,
	.retire = link_retire,
	.fail = link_fail,
};

/* --- Life --- */

/* All but the process behind it: nothing of the guest's sees it yet. */
static int serial_prepare(struct serial_device *serial, const char *id)
{
	serial->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (serial->irq_fd < 0)
		return -errno;
	serial->id = strdup(id);
	if (serial->id == NULL)
		return -ENOMEM;
	return device_link_init(&serial->link, serial->core, serial->id, &link_ops, serial);
}

/* Connects the first process, and shows the port to the guest. wire_fd becomes the client's, or is closed. */
static int serial_begin(struct serial_device *serial, int wire_fd, const char **doing)
{
	struct exit_range range = {EXIT_SPACE_PIO, serial->port, UART_REGISTERS, &serial_ops, serial, "uart"};
	int result = serial_connect(serial, wire_fd, &serial->client, doing);

	if (result == 0)
		result = irq_router_assign(serial->core->irqs, serial->irq_fd, serial->gsi);
	/* The link watches the wire by a descriptor of its own. */
	if (result == 0)
		result = device_link_start(&serial->link, wire_fd);
	if (result == 0)
		result = exit_router_claim(serial->core->router, &range);
	serial->claimed = result == 0;
	return result;
}

int serial_device_new(struct core *core, const char *id, uint16_t port, uint32_t gsi, int wire_fd,
		      struct serial_device **serial)
{
	struct serial_device *new_serial = calloc(1, sizeof(*new_serial));
	const char *doing = "it cannot be made";
	int result;

	if (new_serial == NULL) {
		close(wire_fd);
		return -ENOMEM;
	}
	new_serial->core = core;
	new_serial->port = port;
	new_serial->gsi = gsi;
	pthread_mutex_init(&new_serial->lock, NULL);
	result = serial_prepare(new_serial, id);
	if (result == 0)
		result = serial_begin(new_serial, wire_fd, &doing);
	else
		close(wire_fd);
	if (result < 0) {
		log_error("device %s: %s: %s", id, doing, strerror(-result));
		serial_device_free(new_serial);
		return result;
	}
	*serial = new_serial;
	return 0;
}

struct device_link *serial_device_link(struct serial_device *serial)
{
	return &serial->link;
}

void serial_device_free(struct serial_device *serial)
{
	if (serial == NULL)
		return;
	if (serial->claimed)
		exit_router_release(serial->core->router, EXIT_SPACE_PIO, serial->port);
	device_link_destroy(&serial->link);
	vfio_user_client_free(serial->client);
	if (serial->irq_fd >= 0) {
		irq_router_deassign(serial->core->irqs, serial->irq_fd, serial->gsi);
		close(serial->irq_fd);
	}
	pthread_mutex_destroy(&serial->lock);
	free(serial->id);
	free(serial);
}
