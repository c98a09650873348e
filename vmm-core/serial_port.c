/*
 * A serial port. The UART's interrupt line is an edge on the ISA bus: the device process signals the eventfd
 * when the line goes up, and KVM turns each signal into an edge on the GSI.
 */
#include "vmm-core/serial_port.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "vmm-core/vfio_user_client.h"

#define UART_REGISTERS 8
#define UART_REGION    0
#define UART_IRQ       0

struct serial_device {
	struct core *core;
	char *id;
	uint16_t port;
	uint32_t gsi;
	int irq_fd;
	bool claimed;
	struct vfio_user_client *client;
};

static void serial_failed(struct serial_device *serial, int error)
{
	char detail[256];

	/* Cancelled: the run is over already. */
	if (error == -ESHUTDOWN)
		return;
	snprintf(detail, sizeof(detail), "device %s: a register access failed: %s", serial->id,
		 error == -EPIPE       ? "its process is gone"
		 : error == -ETIMEDOUT ? "its process does not answer"
		 : error == -EPROTO    ? "its process broke the vfio-user protocol"
				       : strerror(-error));
	core_end(serial->core, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_FAILURE, 0, detail);
}

/* Registers are a byte wide; a wider access is one to each of the registers that it covers, as on an 8-bit
 * bus. */
static void serial_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct serial_device *serial = owner;
	uint8_t *bytes = data;

	memset(bytes, 0xff, size);
	for (unsigned i = 0; i < size; i++) {
		int result = vfio_user_client_read(serial->client, UART_REGION, offset + i, &bytes[i], 1);

		if (result < 0) {
			serial_failed(serial, result);
			return;
		}
	}
}

static void serial_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct serial_device *serial = owner;
	const uint8_t *bytes = data;

	for (unsigned i = 0; i < size; i++) {
		int result = vfio_user_client_write(serial->client, UART_REGION, offset + i, &bytes[i], 1);

		if (result < 0) {
			serial_failed(serial, result);
			return;
		}
	}
}

static const struct exit_ops serial_ops = {.read = serial_read, .write = serial_write};

/* The device behind the wire must be what a port of ours needs. */
static int serial_check(struct serial_device *serial)
{
	uint64_t size;
	int result = vfio_user_client_region_size(serial->client, UART_REGION, &size);

	if (result < 0)
		return result;
	if (size != UART_REGISTERS || vfio_user_client_irqs(serial->client) < 1) {
		log_error("device %s: its process presents no UART (region of %llu bytes, %u interrupts)",
			  serial->id, (unsigned long long)size, vfio_user_client_irqs(serial->client));
		return -EPROTO;
	}
	return 0;
}

int serial_device_new(struct core *core, const char *id, uint16_t port, uint32_t gsi, int wire_fd,
		      struct serial_device **serial)
{
	struct serial_device *new_serial = calloc(1, sizeof(*new_serial));
	struct exit_range range = {EXIT_SPACE_PIO, port, UART_REGISTERS, &serial_ops, new_serial, "uart"};
	int result = -ENOMEM;

	if (new_serial == NULL) {
		close(wire_fd);
		return -ENOMEM;
	}
	new_serial->core = core;
	new_serial->port = port;
	new_serial->gsi = gsi;
	new_serial->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	new_serial->id = strdup(id);
	if (new_serial->irq_fd < 0 || new_serial->id == NULL)
		goto free_serial;
	result = vfio_user_client_new(wire_fd, &new_serial->client);
	if (result == 0)
		result = serial_check(new_serial);
	if (result == 0)
		result = irq_router_assign(core->irqs, new_serial->irq_fd, gsi);
	if (result == 0)
		result = vfio_user_client_set_irq(new_serial->client, UART_IRQ, new_serial->irq_fd);
	if (result == 0)
		result = exit_router_claim(core->router, &range);
	if (result < 0)
		goto free_serial;
	new_serial->claimed = true;
	*serial = new_serial;
	return 0;

free_serial:
	log_error("device %s: cannot be attached: %s", id, strerror(-result));
	if (new_serial->client == NULL)
		close(wire_fd);
	serial_device_free(new_serial);
	return result;
}

void serial_device_cancel(struct serial_device *serial)
{
	vfio_user_client_cancel(serial->client);
}

void serial_device_free(struct serial_device *serial)
{
	if (serial == NULL)
		return;
	if (serial->claimed)
		exit_router_release(serial->core->router, EXIT_SPACE_PIO, serial->port);
	vfio_user_client_free(serial->client);
	if (serial->irq_fd >= 0) {
		irq_router_deassign(serial->core->irqs, serial->irq_fd, serial->gsi);
		close(serial->irq_fd);
	}
	free(serial->id);
	free(serial);
}
