/*
 * The IDT, the local APIC and the IOAPIC, as far as counting edges needs them.
 *
 * All interrupts go to the stubs of entry.S, which count; who waits for one polls its counter. That keeps
 * ring 0 at a dozen instructions an interrupt.
 */
#include "tests/guest/lib/guest.h"

#define LAPIC	       UINT64_C(0xfee00000)
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_TPR      0x80
#define IOAPIC	       UINT64_C(0xfec00000)
#define IOAPIC_MASKED  0x10000
#define IDT_GATE       0x8e00 /* present, ring 0, interrupt gate */
#define KERNEL_CODE    0x08

extern uint64_t idt[256][2];
extern char interrupt_stubs[];

void interrupts_setup(void);

void interrupts_setup(void)
{
	uint64_t i;

	for (i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)interrupt_stubs + i * 16;

		idt[i][1] = stub >> 32;
		idt[i][0] = (stub & 0xffff) | KERNEL_CODE << 16 | (uint64_t)IDT_GATE << 32 |
			    (stub >> 16 & 0xffff) << 48;
	}
}

void interrupts_enable(void)
{
	volatile char *lapic = (volatile char *)LAPIC;

	mmio_write32(lapic + LAPIC_SPURIOUS, 0x1ff);
	mmio_write32(lapic + LAPIC_TPR, 0);
}

void interrupts_disable(void)
{
	mmio_write32((volatile char *)LAPIC + LAPIC_TPR, 0xff);
}

static void ioapic_write(unsigned index, uint32_t value)
{
	volatile char *ioapic = (volatile char *)IOAPIC;

	mmio_write32(ioapic, index);
	mmio_write32(ioapic + 0x10, value);
}

void isa_interrupt_route(unsigned irq, uint8_t vector)
{
	ioapic_write(0x10 + 2 * irq + 1, 0);
	ioapic_write(0x10 + 2 * irq, vector);
}

void isa_interrupt_mask(unsigned irq)
{
	ioapic_write(0x10 + 2 * irq, IOAPIC_MASKED);
}
