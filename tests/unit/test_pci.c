/*
 * The PCI bus, MSI-X and the interrupt router, over a KVM of our own: configuration space both ways, a BAR
 * that is sized and moved, vectors that are masked while they are signalled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/unit/fake_core.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/msix.h"
#include "vmm-core/pci/pci.h"

#define BAR_SIZE UINT64_C(0x8000)

struct card {
	struct pci_function function;
	uint64_t moved_to;
	unsigned moves;
	unsigned config_reads;
	unsigned config_writes;
};

static void card_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	(void)owner, (void)offset;
	memset(data, 0x42, size);
}

static void card_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	(void)owner, (void)offset, (void)data, (void)size;
}

static void card_moved(void *owner, uint64_t address)
{
	struct card *card = owner;

	card->moved_to = address;
	card->moves++;
}

static void card_config_read(void *owner, unsigned offset, unsigned size)
{
	assert_true(offset % 4 + size <= 4);
	((struct card *)owner)->config_reads++;
}

static void card_config_written(void *owner, unsigned offset, unsigned size)
{
	assert_true(offset % 4 + size <= 4);
	((struct card *)owner)->config_writes++;
}

static const struct pci_function_ops card_ops = {
	.bar = {.read = card_read, .write = card_write},
	.bar_moved = card_moved,
	.config_read = card_config_read,
	.config_written = card_config_written,
};

static void card_add(struct core *core, struct card *card)
{
	memset(card, 0, sizeof(*card));
	pci_function_init(&card->function, &card_ops, card, "card", 0x1af4, 0x1042, 0x010000, 1, 0x1af4,
			  0x42);
	pci_function_set_bar(&card->function, BAR_SIZE);
	assert_int_not_equal(pci_function_add_capability(&card->function, PCI_CAP_ID_VNDR, 20), 0);
	assert_int_equal(pci_bus_add(core->pci, &card->function), 0);
}

struct fixture {
	struct core core;
	struct card card;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	fake_core_new(&fixture.core);
	card_add(&fixture.core, &fixture.card);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	pci_bus_remove(fixture->core.pci, &fixture->card.function);
	fake_core_free(&fixture->core);
	return 0;
}

static void header_and_absent_functions(void **state)
{
	struct core *core = &((struct fixture *)*state)->core;

	assert_int_equal(guest_config_read(core, 0, PCI_VENDOR_ID, 4), 0x00081b36);
	assert_int_equal(guest_config_read(core, 0, PCI_REVISION_ID, 4), 0x06000000);
	assert_int_equal(guest_config_read(core, 1, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(guest_config_read(core, 1, PCI_CLASS_DEVICE, 2), 0x0100);
	assert_int_equal(guest_config_read(core, 1, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(guest_config_read(core, 1, PCI_SUBSYSTEM_ID, 2), 0x42);
	assert_int_equal(guest_config_read(core, 1, PCI_CAPABILITY_LIST, 1), PCI_FIRST_CAPABILITY);
	assert_int_equal(guest_config_read(core, 1, PCI_FIRST_CAPABILITY, 1), PCI_CAP_ID_VNDR);
	for (unsigned slot = 2; slot < PCI_SLOTS; slot++)
		assert_int_equal(guest_config_read(core, slot, PCI_VENDOR_ID, 4), 0xffffffff);
	/* Function 1 of a slot that has a function 0; the extended space. */
	assert_int_equal(guest_read(core, LAYOUT_ECAM_START + (1 << 15) + (1 << 12), 4), 0xffffffff);
	assert_int_equal(guest_config_read(core, 1, 0x100, 4), 0xffffffff);
	assert_int_equal(guest_config_read(core, 1, 0xffc, 4), 0xffffffff);
}

static void odd_accesses_are_safe(void **state)
{
	struct fixture *fixture = *state;
	struct core *core = &fixture->core;
	uint8_t data[8];

	for (unsigned offset = 0; offset < 0x110; offset++) {
		for (unsigned size = 1; size <= 8; size++) {
			memset(data, 0, sizeof(data));
			exit_router_read(core->router, 0, EXIT_SPACE_MMIO,
					 LAYOUT_ECAM_START + (1 << 15) + offset, data, size);
			if (offset % 4 + size > 4 && size != 8)
				assert_int_equal(data[0], 0xff);
		}
	}
	/* Across dwords nothing is written. */
	guest_config_write(core, 1, PCI_CACHE_LINE_SIZE - 1, 0xffff, 2);
	assert_int_equal(guest_config_read(core, 1, PCI_CACHE_LINE_SIZE, 1), 0);
	guest_config_write(core, 1, PCI_CACHE_LINE_SIZE, 0x12, 1);
	assert_int_equal(guest_config_read(core, 1, PCI_CACHE_LINE_SIZE, 1), 0x12);
}

static void read_only_bits_stay(void **state)
{
	struct fixture *fixture = *state;
	struct core *core = &fixture->core;
	uint8_t before[PCI_CONFIG_SIZE];

	memcpy(before, fixture->card.function.config, sizeof(before));
	for (unsigned offset = 0; offset < PCI_CONFIG_SIZE; offset += 4) {
		guest_config_write(core, 1, offset, 0xffffffff, 4);
		guest_config_write(core, 1, offset, 0, 4);
		guest_config_write(core, 0, offset, 0xffffffff, 4);
	}
	memset(before + PCI_BASE_ADDRESS_0, 0, 8);
	before[PCI_BASE_ADDRESS_0] = PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH;
	assert_memory_equal(fixture->card.function.config, before, sizeof(before));
	/* The bridge has no BAR, and no address decoding to speak of. */
	assert_int_equal(guest_config_read(core, 0, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(guest_config_read(core, 0, PCI_VENDOR_ID, 4), 0x00081b36);
}

static uint64_t bar_get(struct core *core)
{
	return (uint64_t)guest_config_read(core, 1, PCI_BASE_ADDRESS_0 + 4, 4) << 32 |
	       guest_config_read(core, 1, PCI_BASE_ADDRESS_0, 4);
}

static void bar_is_sized_and_moved(void **state)
{
	struct fixture *fixture = *state;
	struct core *core = &fixture->core;
	uint64_t placed = bar_get(core);
	uint64_t address = placed & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS;

	assert_int_equal(placed & PCI_BASE_ADDRESS_FLAGS,
			 PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	assert_true(address >= LAYOUT_MMIO32_START && address + BAR_SIZE <= LAYOUT_MMIO32_END);
	/* Nowhere before decoding is on. */
	assert_int_equal(guest_read(core, address, 4), 0xffffffff);
	guest_config_write(core, 1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fixture->card.moved_to, address);
	assert_int_equal(guest_read(core, address, 4), 0x42424242);
	assert_int_equal(guest_read(core, address + BAR_SIZE - 4, 4), 0x42424242);
	assert_int_equal(guest_read(core, address + BAR_SIZE, 4), 0xffffffff);

	/* Sizing with decoding off, as Linux does it. */
	guest_config_write(core, 1, PCI_COMMAND, 0, 2);
	assert_int_equal(fixture->card.moved_to, 0);
	guest_config_write(core, 1, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	guest_config_write(core, 1, PCI_BASE_ADDRESS_0 + 4, 0xffffffff, 4);
	assert_true((bar_get(core) & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS) == ~(BAR_SIZE - 1));
	/* Above 4 GiB. */
	guest_config_write(core, 1, PCI_BASE_ADDRESS_0, 0x10000, 4);
	guest_config_write(core, 1, PCI_BASE_ADDRESS_0 + 4, 0x40, 4);
	guest_config_write(core, 1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_true(fixture->card.moved_to == UINT64_C(0x4000010000));
	assert_int_equal(guest_read(core, UINT64_C(0x4000010000), 4), 0x42424242);
	assert_int_equal(guest_read(core, address, 4), 0xffffffff);
}

static void bar_on_top_of_another_is_nowhere(void **state)
{
	struct fixture *fixture = *state;
	struct core *core = &fixture->core;

	guest_config_write(core, 1, PCI_BASE_ADDRESS_0, (uint32_t)LAYOUT_ECAM_START, 4);
	guest_config_write(core, 1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fixture->card.moved_to, 0);
	/* The configuration space can still be reached to repair it. */
	guest_config_write(core, 1, PCI_BASE_ADDRESS_0, (uint32_t)LAYOUT_MMIO32_START, 4);
	assert_true(fixture->card.moved_to == LAYOUT_MMIO32_START);
}

static void two_cards_have_places_of_their_own(void **state)
{
	struct fixture *fixture = *state;
	struct core *core = &fixture->core;
	struct card second;
	uint64_t first_at, second_at;

	card_add(core, &second);
	first_at = guest_config_read(core, 1, PCI_BASE_ADDRESS_0, 4) & ~0xfu;
	second_at = guest_config_read(core, 2, PCI_BASE_ADDRESS_0, 4) & ~0xfu;
	assert_true(second_at >= first_at + BAR_SIZE);
	assert_int_equal(second_at % BAR_SIZE, 0);
	pci_bus_remove(core->pci, &second.function);
}

static void the_old_ports(void **state)
{
	struct core *core = &((struct fixture *)*state)->core;

	guest_out(core, LAYOUT_PORT_PCI_ADDRESS, 0x80000800, 4);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_ADDRESS, 4), 0x80000800);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_DATA, 4), 0x10421af4);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_DATA + 2, 2), 0x1042);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_DATA + 3, 1), 0x10);
	/* Bytes and words at the address register do not change it. */
	guest_out(core, LAYOUT_PORT_PCI_ADDRESS, 0x12, 1);
	guest_out(core, LAYOUT_PORT_PCI_ADDRESS + 2, 0x1234, 2);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_ADDRESS, 4), 0x80000800);
	guest_out(core, LAYOUT_PORT_PCI_ADDRESS, 0x8000080c, 4);
	guest_out(core, LAYOUT_PORT_PCI_DATA, 0x21, 1);
	assert_int_equal(guest_config_read(core, 1, PCI_CACHE_LINE_SIZE, 1), 0x21);
	/* Not enabled; another bus; another function. */
	guest_out(core, LAYOUT_PORT_PCI_ADDRESS, 0x00000800, 4);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_DATA, 4), 0xffffffff);
	guest_out(core, LAYOUT_PORT_PCI_ADDRESS, 0x80010800, 4);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_DATA, 4), 0xffffffff);
	guest_out(core, LAYOUT_PORT_PCI_ADDRESS, 0x80000900, 4);
	assert_int_equal(guest_in(core, LAYOUT_PORT_PCI_DATA, 4), 0xffffffff);
}

static void the_bus_fills_up(void **state)
{
	struct fixture *fixture = *state;
	static struct card cards[PCI_SLOTS];
	unsigned count = 0;

	while (count < PCI_SLOTS) {
		struct card *card = &cards[count];

		pci_function_init(&card->function, &card_ops, card, "card", 1, 2, 0, 0, 0, 0);
		if (pci_bus_add(fixture->core.pci, &card->function) < 0)
			break;
		count++;
	}
	assert_int_equal(count, PCI_SLOTS - 2);
	while (count-- > 0)
		pci_bus_remove(fixture->core.pci, &cards[count].function);
}

/* --- MSI-X --- */

#define MESSAGE_ADDRESS UINT64_C(0xfee01000)

/* Issue 9, 5: the slot and the BAR of a card that is taken out read as ones, and are the next one's. */
static void a_card_comes_and_goes(void **state)
{
	struct fixture *fixture = *state;
	struct core *core = &fixture->core;
	struct card cards[2];
	uint64_t address;

	card_add(core, &cards[0]);
	card_add(core, &cards[1]);
	address = guest_config_read(core, 2, PCI_BASE_ADDRESS_0, 4) & ~15u;
	for (unsigned round = 0; round < 50; round++) {
		guest_config_write(core, 2, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
		assert_int_equal(cards[0].moved_to, address);
		assert_int_equal(guest_read(core, address, 1), 0x42);
		pci_bus_remove(core->pci, &cards[0].function);
		assert_int_equal(cards[0].moved_to, 0);
		assert_int_equal(guest_config_read(core, 2, PCI_VENDOR_ID, 4), 0xffffffff);
		assert_int_equal(guest_config_read(core, 3, PCI_VENDOR_ID, 4), 0x10421af4);
		assert_int_equal(guest_read(core, address, 4), 0xffffffff);
		guest_config_write(core, 2, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
		card_add(core, &cards[0]);
		assert_int_equal(cards[0].function.slot, 2);
		assert_int_equal(guest_config_read(core, 2, PCI_BASE_ADDRESS_0, 4) & ~15u, address);
	}
	pci_bus_remove(core->pci, &cards[0].function);
	pci_bus_remove(core->pci, &cards[1].function);
}

struct prober {
	struct core *core;
	_Atomic bool ends;
	_Atomic unsigned probes;
};

/* A vCPU that looks at slot 2, switches its BAR on and off, and reads it. */
static void *prober_run(void *argument)
{
	struct prober *prober = argument;

	while (!prober->ends) {
		uint32_t low = guest_config_read(prober->core, 2, PCI_BASE_ADDRESS_0, 4);

		guest_config_write(prober->core, 2, PCI_COMMAND, prober->probes % 3 ? PCI_COMMAND_MEMORY : 0,
				   2);
		if (low != 0xffffffff)
			guest_read(prober->core, low & ~15u, 4);
		prober->probes++;
	}
	return NULL;
}

/* And so while vCPUs look at it: on return nobody is in a call of it. */
static void a_card_goes_under_vcpus(void **state)
{
	struct fixture *fixture = *state;
	struct prober prober = {.core = &fixture->core};
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, prober_run, &prober), 0);
	for (unsigned round = 0; round < 2000; round++) {
		struct card *card = malloc(sizeof(*card));
		unsigned before = prober.probes;

		assert_non_null(card);
		card_add(&fixture->core, card);
		while (round % 8 == 0 && prober.probes < before + 20)
			sched_yield();
		pci_bus_remove(fixture->core.pci, &card->function);
		memset(card, 0xa5, sizeof(*card));
		free(card);
	}
	prober.ends = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static void msix_entry_write(struct msix *msix, unsigned vector, uint32_t data, bool masked)
{
	uint32_t words[4] = {(uint32_t)MESSAGE_ADDRESS, 0, data, masked};

	for (unsigned i = 0; i < 4; i++)
		msix_table_write(msix, vector * 16 + i * 4, &words[i], 4);
}

static uint8_t msix_pba(struct msix *msix)
{
	uint8_t bits;

	msix_pba_read(msix, 0, &bits, 1);
	return bits;
}

static void open_vectors_bypass_us(void **state)
{
	struct core *core = &((struct fixture *)*state)->core;
	struct msix *msix;
	uint64_t address;
	uint32_t data;
	unsigned routings;
	int gsi;

	assert_int_equal(msix_new(core->irqs, NULL, 3, &msix), 0);
	msix_set_master(msix, true);
	assert_int_equal(msix_vectors(msix), 3);
	assert_int_equal(msix_eventfd(msix, 3), -1);
	msix_entry_write(msix, 1, 0x31, false);
	assert_int_equal(fake_irqfd_of(msix_eventfd(msix, 1)), -1);
	msix_control(msix, PCI_MSIX_ENABLE);
	gsi = fake_irqfd_of(msix_eventfd(msix, 1));
	assert_true(gsi >= LAYOUT_GSI_MSI_FIRST);
	assert_true(fake_msi_route((uint32_t)gsi, &address, &data));
	assert_true(address == MESSAGE_ADDRESS);
	assert_int_equal(data, 0x31);
	/* The others are masked. */
	assert_int_equal(fake_irqfd_of(msix_eventfd(msix, 0)), -1);
	assert_int_equal(fake_irqfd_of(msix_eventfd(msix, 2)), -1);

	/* The same again costs nothing; another message is routed while the vector is open. */
	routings = fake_kvm.routings;
	msix_entry_write(msix, 1, 0x31, false);
	assert_int_equal(fake_kvm.routings, routings);
	msix_entry_write(msix, 1, 0x32, false);
	assert_int_equal(fake_kvm.routings, routings + 1);
	assert_true(fake_msi_route((uint32_t)gsi, &address, &data));
	assert_int_equal(data, 0x32);
	msix_free(msix);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_false(fake_msi_route((uint32_t)gsi, &address, &data));
}

static void a_masked_vector_keeps_its_interrupt(void **state)
{
	struct core *core = &((struct fixture *)*state)->core;
	struct msix *msix;
	eventfd_t count;
	int eventfd;

	assert_int_equal(msix_new(core->irqs, NULL, 2, &msix), 0);
	msix_set_master(msix, true);
	eventfd = msix_eventfd(msix, 1);
	msix_control(msix, PCI_MSIX_ENABLE);
	msix_entry_write(msix, 1, 0x41, false);
	assert_int_not_equal(fake_irqfd_of(eventfd), -1);
	/* Masked by its own bit: KVM does not have the eventfd, and signals show up as pending. */
	msix_entry_write(msix, 1, 0x41, true);
	assert_int_equal(fake_irqfd_of(eventfd), -1);
	assert_int_equal(msix_pba(msix), 0);
	eventfd_write(eventfd, 1);
	assert_int_equal(msix_pba(msix), 2);
	/* Looking does not take it away. */
	assert_int_equal(msix_pba(msix), 2);
	/* Unmasked: KVM has the eventfd with the count still in it. */
	msix_entry_write(msix, 1, 0x41, false);
	assert_int_not_equal(fake_irqfd_of(eventfd), -1);
	assert_int_equal(msix_pba(msix), 0);
	assert_int_equal(eventfd_read(eventfd, &count), 0);
	assert_int_equal(count, 1);

	/* Masked with the whole function, and raised by us. */
	msix_control(msix, PCI_MSIX_ENABLE | PCI_MSIX_MASKALL);
	assert_int_equal(fake_irqfd_of(eventfd), -1);
	msix_raise(msix, 1);
	msix_raise(msix, 77);
	assert_int_equal(msix_pba(msix), 2);
	msix_control(msix, PCI_MSIX_ENABLE);
	assert_int_not_equal(fake_irqfd_of(eventfd), -1);
	msix_free(msix);
}

static void table_accesses_are_checked(void **state)
{
	struct core *core = &((struct fixture *)*state)->core;
	struct msix *msix;
	uint64_t value = UINT64_MAX;
	uint8_t many[8];

	assert_int_equal(msix_new(core->irqs, NULL, 2, &msix), 0);
	msix_set_master(msix, true);
	/* Reserved bits of the control word stay zero; 8 bytes at once. */
	msix_table_write(msix, 24, &value, 8);
	msix_table_read(msix, 24, &value, 8);
	assert_true(value == UINT64_C(0x1ffffffff));
	/* Bytes, words, what is not aligned, and what is behind the table. */
	value = 0;
	msix_table_write(msix, 28, &value, 1);
	msix_table_write(msix, 28, &value, 2);
	msix_table_write(msix, 26, &value, 4);
	msix_table_write(msix, 20, &value, 8);
	msix_table_write(msix, 32, &value, 4);
	msix_table_write(msix, UINT64_C(0xffc), &value, 4);
	msix_table_read(msix, 24, &value, 8);
	assert_true(value == UINT64_C(0x1ffffffff));
	msix_table_read(msix, 32, &value, 4);
	assert_int_equal(value & 0xffffffff, 0xffffffff);
	msix_pba_read(msix, 0xff8, many, 8);
	msix_free(msix);
}

static void a_route_that_kvm_refuses(void **state)
{
	struct core *core = &((struct fixture *)*state)->core;
	struct msix *msix;

	assert_int_equal(msix_new(core->irqs, NULL, 1, &msix), 0);
	msix_set_master(msix, true);
	msix_control(msix, PCI_MSIX_ENABLE);
	fake_kvm.fail_routing = EINVAL;
	msix_entry_write(msix, 0, 5, false);
	/* Written again, as a driver does, it opens. */
	assert_int_equal(fake_irqfd_of(msix_eventfd(msix, 0)), -1);
	msix_entry_write(msix, 0, 5, false);
	assert_int_not_equal(fake_irqfd_of(msix_eventfd(msix, 0)), -1);
	msix_free(msix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(header_and_absent_functions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(odd_accesses_are_safe, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_only_bits_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bar_is_sized_and_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bar_on_top_of_another_is_nowhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_cards_have_places_of_their_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_old_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_bus_fills_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_card_comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_card_goes_under_vcpus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(open_vectors_bypass_us, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_masked_vector_keeps_its_interrupt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(table_accesses_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_route_that_kvm_refuses, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
