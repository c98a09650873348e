/*
 * What a bare-metal guest stands on: output, test results, options, memory, time, ports, interrupts, the ways
 * to end.
 *
 * A guest defines guest_main(), which runs in ring 3 with all memory mapped one to one. It prints over the
 * UART at 0x3f8, says `ok N - ...` or `not ok N - ...` for each thing it tested, and ends the VM through the
 * debug-exit port.
 */
#ifndef ATOLL_TESTS_GUEST_H
#define ATOLL_TESTS_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What guest_end() writes to port 0xf4, and the exit status that atoll and QEMU make of it (V*2+1): none that
 * they have for an end of their own. */
#define GUEST_PASSED 0x10 /* 33 */
#define GUEST_FAILED 0x11 /* 35: a test said "not ok" */
#define GUEST_BROKEN 0x12 /* 37: an exception, or guest_fail() */

void guest_main(void);

/* Output (print.c): %s %c %d %u %x %lu %lx %% with widths of 0N. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_v(const char *format, va_list arguments);
void print_to(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Results (print.c). test() returns passed. */
bool test(bool passed, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void guest_end(void); /* the plan, and the debug-exit */
_Noreturn void guest_fail(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "Bail out!" */
_Noreturn void guest_exit(uint8_t value);
/* Prints the line `word` and waits for a byte of input, so that somebody can look at the VM from outside. */
void guest_hold(const char *word);

/* The command line (platform.c): "name=value" words. option() gives the value ("" for a bare name) or NULL.
 */
const char *option(const char *name);
bool option_is(const char *name, const char *value);
uint64_t option_number(const char *name, uint64_t otherwise);

/* Memory (memory.c): zeroed, never given back. map_physical() makes [address, +size) reachable and returns
 * it. */
void *memory_get(size_t size, size_t alignment);
volatile void *map_physical(uint64_t address, uint64_t size);

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
bool text_equal(const char *a, const char *b);

/* Time: ticks of the TSC. Waits are bounded in seconds of a 3 GHz clock. */
#define TICKS_PER_SECOND UINT64_C(3000000000)
static inline uint64_t ticks(void)
{
	uint32_t low, high;
	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}
/* So many milliseconds in ticks, or as many times that as the option "patience" says: a host may be slow. */
uint64_t ticks_to_wait(uint64_t milliseconds);
/* Waits until CONDITION or SECONDS (may be a fraction) passed; is the condition's last value. */
#define WAIT_UNTIL(condition, seconds)                                                    \
	({                                                                                \
		uint64_t deadline_ = ticks() + ticks_to_wait((uint64_t)((seconds)*1000)); \
		bool met_;                                                                \
		while (!(met_ = (condition)) && ticks() < deadline_)                      \
			__asm__ volatile("pause" ::: "memory");                           \
		met_ || (condition);                                                      \
	})

/* Ports. */
static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
static inline uint16_t in16(uint16_t port)
{
	uint16_t value;
	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

/* Registers in memory: one plain mov each, which every KVM can emulate. */
#define MMIO_ACCESSORS(bits, type, suffix, constraint)                                                   \
	static inline type mmio_read##bits(const volatile void *address)                                 \
	{                                                                                                \
		type value;                                                                              \
		__asm__ volatile("mov" suffix " (%1), %0"                                                \
				 : "=" constraint(value)                                                 \
				 : "r"(address)                                                          \
				 : "memory");                                                            \
		return value;                                                                            \
	}                                                                                                \
	static inline void mmio_write##bits(volatile void *address, type value)                          \
	{                                                                                                \
		__asm__ volatile("mov" suffix " %0, (%1)" ::constraint(value), "r"(address) : "memory"); \
	}
MMIO_ACCESSORS(8, uint8_t, "b", "q")
MMIO_ACCESSORS(16, uint16_t, "w", "r")
MMIO_ACCESSORS(32, uint32_t, "l", "r")
MMIO_ACCESSORS(64, uint64_t, "q", "r")

/* Interrupts (interrupts.c). Vectors from VECTOR_FIRST on are free for use; each is counted. */
#define VECTOR_FIRST 0x40
extern volatile uint32_t interrupt_counts[256];
void interrupts_enable(void);
void interrupts_disable(void);
/* Routes an ISA interrupt (edge, active high) to a vector through the IOAPIC; masks it again. */
void isa_interrupt_route(unsigned irq, uint8_t vector);
void isa_interrupt_mask(unsigned irq);
#define MSI_ADDRESS UINT64_C(0xfee00000)

/* Other processors (cpus.c): starts all that do not run yet, by INIT and SIPI; how many were seen within a
 * second. */
unsigned cpus_start(unsigned expected);

/* ACPI (platform.c): a table by its signature, or NULL. */
const void *acpi_table(const char *signature);
unsigned acpi_cpu_count(void);

/* Ends that a real system uses (platform.c). They return only if the machine did not obey. */
void power_off(void);
void reset_acpi(void);
void reset_cf9(void);
void reset_i8042(void);
void triple_fault(void);

#endif
