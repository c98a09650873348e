/*
 * The PCI bus.
 *
 * Every configuration access, whichever of the two ways it came, ends in pci_config_access() with a slot, an
 * offset and a size that lie inside one dword; anything else reads as ones and writes nothing, as an absent
 * function does.
 *
 * A write to the command register or the BAR is followed by pci_bar_update(): it compares where the BAR
 * should be with where it is claimed, and moves the claim. While a guest sizes or moves a BAR with decoding
 * on, the BAR may for a moment be where something else is; it then simply stays unclaimed.
 */
#include "vmm-core/pci/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "vmm-core/machine/machine_layout.h"

/* The host bridge: Red Hat's generic PCIe host bridge, for which no driver does anything special. */
#define HOST_BRIDGE_VENDOR 0x1b36
#define HOST_BRIDGE_DEVICE 0x0008
#define HOST_BRIDGE_CLASS  0x060000

#define CONFIG_ADDRESS_ENABLE UINT32_C(0x80000000)

struct pci_bus {
	struct core *core;
	pthread_mutex_t lock;	 /* of slots and each function's count of accesses; held for moments */
	pthread_cond_t accesses; /* one's count is 0 */
	struct pci_function *slots[PCI_SLOTS];
	struct pci_function host_bridge;
	_Atomic uint32_t config_address; /* port 0xcf8 */
	void (*reset_control)(void *owner, uint8_t value);
	void *reset_control_owner;
};

void pci_bus_on_reset_control(struct pci_bus *bus, void (*write)(void *owner, uint8_t value), void *owner)
{
	bus->reset_control_owner = owner;
	bus->reset_control = write;
}

uint32_t pci_config_get(const struct pci_function *function, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	memcpy(&value, function->config + offset, size);
	return value;
}

void pci_config_set(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
	memcpy(function->config + offset, &value, size);
}

/* --- Functions --- */

void pci_function_init(struct pci_function *function, const struct pci_function_ops *ops, void *device,
		       const char *name, uint16_t vendor, uint16_t device_id, uint32_t class_code,
		       uint8_t revision, uint16_t subsystem_vendor, uint16_t subsystem)
{
	memset(function, 0, sizeof(*function));
	pthread_mutex_init(&function->lock, NULL);
	function->ops = ops;
	function->device = device;
	function->name = name;
	function->capability_end = PCI_FIRST_CAPABILITY;
	pci_config_set(function, PCI_VENDOR_ID, 2, vendor);
	pci_config_set(function, PCI_DEVICE_ID, 2, device_id);
	pci_config_set(function, PCI_REVISION_ID, 4, class_code << 8 | revision);
	pci_config_set(function, PCI_SUBSYSTEM_VENDOR_ID, 2, subsystem_vendor);
	pci_config_set(function, PCI_SUBSYSTEM_ID, 2, subsystem);
	function->writable[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	function->writable[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	function->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	function->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_function_set_bar(struct pci_function *function, uint64_t size)
{
	uint64_t mask = ~(size - 1);

	function->bar_size = size;
	pci_config_set(function, PCI_BASE_ADDRESS_0, 4,
		       PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	memcpy(function->writable + PCI_BASE_ADDRESS_0, &mask, sizeof(mask));
}

unsigned pci_function_add_capability(struct pci_function *function, uint8_t id, unsigned size)
{
	unsigned offset = function->capability_end;
	unsigned link = function->capability_last != 0 ? function->capability_last + 1u : PCI_CAPABILITY_LIST;

	if (offset + size > PCI_CONFIG_SIZE)
		return 0;
	function->config[link] = (uint8_t)offset;
	function->config[offset] = id;
	function->capability_last = (uint8_t)offset;
	function->capability_end = (uint8_t)((offset + size + 3) & ~3u);
	function->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	return offset;
}

/* --- BARs --- */

static uint64_t pci_bar_wanted(const struct pci_function *function)
{
	uint64_t address =
		pci_config_get(function, PCI_BASE_ADDRESS_0, 4) & ~(uint32_t)PCI_BASE_ADDRESS_FLAGS;

	address |= (uint64_t)pci_config_get(function, PCI_BASE_ADDRESS_0 + 4, 4) << 32;
	return function->config[PCI_COMMAND] & PCI_COMMAND_MEMORY ? address : 0;
}

/* Moves the claim to where the registers say. The function's lock is held. */
static void pci_bar_update(struct pci_function *function)
{
	struct exit_router *router = function->bus->core->router;
	uint64_t wanted = pci_bar_wanted(function);
	struct exit_range range = {
		.space = EXIT_SPACE_MMIO,
		.base = wanted,
		.size = function->bar_size,
		.owner = function->device,
		.name = function->name,
	};
	int result;

	/* The host bridge has no BAR, and no ops. */
	if (function->bar_size == 0 || wanted == function->bar_address)
		return;
	range.ops = &function->ops->bar;
	if (function->bar_address != 0) {
		exit_router_release(router, EXIT_SPACE_MMIO, function->bar_address);
		function->bar_address = 0;
		if (function->ops->bar_moved != NULL)
			function->ops->bar_moved(function->device, 0);
	}
	if (wanted == 0)
		return;
	result = exit_router_claim(router, &range);
	if (result < 0) {
		log_debug("PCI 00:%02x.0: its BAR cannot be at 0x%llx: %s", function->slot,
			  (unsigned long long)wanted, strerror(-result));
		return;
	}
	function->bar_address = wanted;
	if (function->ops->bar_moved != NULL)
		function->ops->bar_moved(function->device, wanted);
}

/* A function whose BAR was placed in [address, +size), wherever the guest has moved it since; or NULL. */
static const struct pci_function *pci_bar_placed_in(const struct pci_bus *bus, uint64_t address,
						    uint64_t size)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		const struct pci_function *function = bus->slots[slot];

		if (function != NULL && function->bar_size != 0 && function->bar_placed < address + size &&
		    address < function->bar_placed + function->bar_size)
			return function;
	}
	return NULL;
}

/* The first place that is free, below 4 GiB, where a guest without paging or with small page tables reaches it too. */
static int pci_bar_place(struct pci_bus *bus, struct pci_function *function)
{
	uint64_t address = LAYOUT_MMIO32_START;
	const struct pci_function *other;

	if (function->bar_size == 0)
		return 0;
	do {
		address = (address + function->bar_size - 1) & ~(function->bar_size - 1);
		other = pci_bar_placed_in(bus, address, function->bar_size);
		if (other != NULL)
			address = other->bar_placed + other->bar_size;
	} while (other != NULL);
	if (address + function->bar_size > LAYOUT_MMIO32_END)
		return -ENOSPC;
	function->bar_placed = address;
	pci_config_set(function, PCI_BASE_ADDRESS_0, 4,
		       (uint32_t)address | pci_config_get(function, PCI_BASE_ADDRESS_0, 4));
	return 0;
}

int pci_bus_add(struct pci_bus *bus, struct pci_function *function)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		int result;

		if (bus->slots[slot] != NULL)
			continue;
		function->bus = bus;
		function->slot = slot;
		result = pci_bar_place(bus, function);
		if (result < 0)
			return result;
		pthread_mutex_lock(&bus->lock);
		bus->slots[slot] = function;
		pthread_mutex_unlock(&bus->lock);
		return 0;
	}
	return -ENOSPC;
}

void pci_bus_remove(struct pci_bus *bus, struct pci_function *function)
{
	if (function->bus == NULL)
		return;
	pthread_mutex_lock(&bus->lock);
	bus->slots[function->slot] = NULL;
	while (function->accesses > 0)
		pthread_cond_wait(&bus->accesses, &bus->lock);
	pthread_mutex_unlock(&bus->lock);
	pthread_mutex_lock(&function->lock);
	function->config[PCI_COMMAND] = 0;
	pci_bar_update(function);
	pthread_mutex_unlock(&function->lock);
	function->bus = NULL;
	pthread_mutex_destroy(&function->lock);
}

/* --- Configuration accesses --- */

static void pci_config_write(struct pci_function *function, unsigned offset, const uint8_t *data,
			     unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = function->writable[offset + i];

		function->config[offset + i] =
			(uint8_t)((function->config[offset + i] & ~mask) | (data[i] & mask));
	}
	if (offset < PCI_BASE_ADDRESS_0 + 8)
		pci_bar_update(function);
	if (function->ops != NULL && function->ops->config_written != NULL)
		function->ops->config_written(function->device, offset, size);
}

/* The function in a slot, which stays there until pci_function_leave(); or NULL. */
static struct pci_function *pci_function_enter(struct pci_bus *bus, unsigned slot)
{
	struct pci_function *function;

	if (slot >= PCI_SLOTS)
		return NULL;
	pthread_mutex_lock(&bus->lock);
	function = bus->slots[slot];
	if (function != NULL)
		function->accesses++;
	pthread_mutex_unlock(&bus->lock);
	return function;
}

static void pci_function_leave(struct pci_bus *bus, struct pci_function *function)
{
	pthread_mutex_lock(&bus->lock);
	if (--function->accesses == 0)
		pthread_cond_broadcast(&bus->accesses);
	pthread_mutex_unlock(&bus->lock);
}

/* One access; read fills data. offset is from the function's start and may be anything. */
static void pci_config_access(struct pci_bus *bus, unsigned slot, uint64_t offset, uint8_t *data,
			      unsigned size, bool write)
{
	struct pci_function *function;

	if (!write)
		memset(data, 0xff, size);
	/* The extended space of a function that is not PCI Express reads as ones; so does an access across
	 * dwords. */
	if (offset + size > PCI_CONFIG_SIZE || offset % 4 + size > 4)
		return;
	function = pci_function_enter(bus, slot);
	if (function == NULL)
		return;
	pthread_mutex_lock(&function->lock);
	if (write) {
		pci_config_write(function, (unsigned)offset, data, size);
	} else {
		if (function->ops != NULL && function->ops->config_read != NULL)
			function->ops->config_read(function->device, (unsigned)offset, size);
		memcpy(data, function->config + offset, size);
	}
	pthread_mutex_unlock(&function->lock);
	pci_function_leave(bus, function);
}

/* ECAM: bits 12 to 14 the function, 15 to 19 the slot. An 8-byte access is two of 4. */
static void pci_ecam_access(struct pci_bus *bus, uint64_t offset, uint8_t *data, unsigned size, bool write)
{
	if (size == 8) {
		pci_ecam_access(bus, offset, data, 4, write);
		pci_ecam_access(bus, offset + 4, data + 4, 4, write);
		return;
	}
	/* Only function 0 is there. */
	pci_config_access(bus, (offset >> 12 & 7) == 0 ? (unsigned)(offset >> 15 & 31) : PCI_SLOTS,
			  offset & 0xfff, data, size, write);
}

static void pci_ecam_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	pci_ecam_access(owner, offset, data, size, false);
}

static void pci_ecam_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	uint8_t copy[8];

	memcpy(copy, data, size);
	pci_ecam_access(owner, offset, copy, size, true);
}

static void pci_address_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct pci_bus *bus = owner;
	uint32_t address = bus->config_address;

	memcpy(data, (uint8_t *)&address + offset, size);
}

/* A register of 4 bytes that takes no others; the byte at 1 is the reset control register. */
static void pci_address_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct pci_bus *bus = owner;
	uint32_t address;

	if (size == 4) {
		memcpy(&address, data, sizeof(address));
		bus->config_address = address;
	} else if (size == 1 && offset == LAYOUT_PORT_RESET_CONTROL - LAYOUT_PORT_PCI_ADDRESS) {
		if (bus->reset_control != NULL)
			bus->reset_control(bus->reset_control_owner, *(const uint8_t *)data);
	}
}

static void pci_data_access(struct pci_bus *bus, uint64_t offset, uint8_t *data, unsigned size, bool write)
{
	uint32_t address = bus->config_address;
	/* Bits 16 to 23 the bus, 11 to 15 the slot, 8 to 10 the function. */
	bool ours = (address & CONFIG_ADDRESS_ENABLE) != 0 && (address >> 16 & 0xff) == 0 &&
		    (address >> 8 & 7) == 0;

	pci_config_access(bus, ours ? address >> 11 & 31 : PCI_SLOTS, (address & 0xfc) + offset, data, size,
			  write);
}

static void pci_data_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	pci_data_access(owner, offset, data, size, false);
}

static void pci_data_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	uint8_t copy[4];

	memcpy(copy, data, size);
	pci_data_access(owner, offset, copy, size, true);
}

static const struct exit_ops pci_ecam_ops = {.read = pci_ecam_read, .write = pci_ecam_write};
static const struct exit_ops pci_address_ops = {.read = pci_address_read, .write = pci_address_write};
static const struct exit_ops pci_data_ops = {.read = pci_data_read, .write = pci_data_write};

/* --- The bus --- */

int pci_bus_new(struct core *core, struct pci_bus **bus)
{
	struct pci_bus *new_bus = calloc(1, sizeof(*new_bus));
	const struct exit_range ranges[] = {
		{EXIT_SPACE_MMIO, LAYOUT_ECAM_START, LAYOUT_ECAM_SIZE, &pci_ecam_ops, new_bus, "pci-config"},
		{EXIT_SPACE_PIO, LAYOUT_PORT_PCI_ADDRESS, 4, &pci_address_ops, new_bus, "pci-config"},
		{EXIT_SPACE_PIO, LAYOUT_PORT_PCI_DATA, 4, &pci_data_ops, new_bus, "pci-config"},
	};
	size_t claimed = 0;
	int result = 0;

	if (new_bus == NULL)
		return -ENOMEM;
	new_bus->core = core;
	pthread_mutex_init(&new_bus->lock, NULL);
	pthread_cond_init(&new_bus->accesses, NULL);
	for (; claimed < sizeof(ranges) / sizeof(ranges[0]); claimed++) {
		result = exit_router_claim(core->router, &ranges[claimed]);
		if (result < 0)
			goto release;
	}
	pci_function_init(&new_bus->host_bridge, NULL, NULL, "pci-host-bridge", HOST_BRIDGE_VENDOR,
			  HOST_BRIDGE_DEVICE, HOST_BRIDGE_CLASS, 0, 0, 0);
	result = pci_bus_add(new_bus, &new_bus->host_bridge);
	if (result < 0)
		goto release;
	*bus = new_bus;
	return 0;

release:
	while (claimed-- > 0)
		exit_router_release(core->router, ranges[claimed].space, ranges[claimed].base);
	free(new_bus);
	return result;
}

void pci_bus_free(struct pci_bus *bus)
{
	if (bus == NULL)
		return;
	exit_router_release(bus->core->router, EXIT_SPACE_MMIO, LAYOUT_ECAM_START);
	exit_router_release(bus->core->router, EXIT_SPACE_PIO, LAYOUT_PORT_PCI_ADDRESS);
	exit_router_release(bus->core->router, EXIT_SPACE_PIO, LAYOUT_PORT_PCI_DATA);
	pci_bus_remove(bus, &bus->host_bridge);
	free(bus);
}
