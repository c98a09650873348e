/*
 * Application processors: the INIT, SIPI, SIPI of the MP specification, sent to all but ourselves. What they
 * run is ap_code in entry.S: each marks its APIC id and halts.
 */
#include "tests/guest/lib/guest.h"

#define AP_PAGE	    0x8000
#define LAPIC	    UINT64_C(0xfee00000)
#define LAPIC_ICR   0x300
#define ICR_INIT    0x000c4500 /* all but self, assert */
#define ICR_STARTUP 0x000c4600
#define ICR_PENDING 0x1000
#define CPUS_MAX    64

extern const char ap_code[], ap_code_end[], ap_seen[];

static void ipi_send(uint32_t command)
{
	volatile char *icr = (volatile char *)LAPIC + LAPIC_ICR;

	mmio_write32(icr, command);
	WAIT_UNTIL(!(mmio_read32(icr) & ICR_PENDING), 1);
}

static unsigned cpus_seen(void)
{
	volatile const char *seen = (volatile const char *)AP_PAGE + (ap_seen - ap_code);
	unsigned i, count = 0;

	for (i = 0; i < CPUS_MAX; i++)
		count += seen[i] == 1;
	return count;
}

unsigned cpus_start(unsigned expected)
{
	memcpy((void *)AP_PAGE, ap_code, (size_t)(ap_code_end - ap_code));
	ipi_send(ICR_INIT);
	WAIT_UNTIL(false, 0.010);
	ipi_send(ICR_STARTUP | AP_PAGE >> 12);
	if (!WAIT_UNTIL(cpus_seen() >= expected, 0.2))
		ipi_send(ICR_STARTUP | AP_PAGE >> 12);
	WAIT_UNTIL(cpus_seen() > expected, expected ? 0.1 : 0.01);
	WAIT_UNTIL(cpus_seen() >= expected, 1);
	return cpus_seen();
}
