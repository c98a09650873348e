/*
 * Memory above the image, handed out and never taken back; page tables for what lies above 4 GiB; the few
 * functions of string.h that a compiler expects to be there.
 */
#include "tests/guest/lib/guest.h"

#define MEMORY_END UINT64_C(0x3000000) /* every VM of the tests has at least 48 MiB */
#define PAGE_TABLE 4096
#define GIB_SHIFT  30
#define PRESENT	   7 /* present, writable, user */
#define PAGE_FLAGS 0xe7

extern char image_end[];
extern uint64_t pml4[512];

static uint64_t next;

void *memory_get(size_t size, size_t alignment)
{
	uint64_t start;

	if (!next)
		next = (uint64_t)image_end;
	start = (next + alignment - 1) & ~(uint64_t)(alignment - 1);
	if (start + size > MEMORY_END)
		guest_fail("out of memory: %zu bytes", size);
	next = start + size;
	return memset((void *)start, 0, size);
}

/* The entry of table that covers address, with a table below it. */
static uint64_t *table_below(uint64_t *entry)
{
	if (!(*entry & 1))
		*entry = (uint64_t)memory_get(PAGE_TABLE, PAGE_TABLE) | PRESENT;
	return (uint64_t *)(*entry & ~UINT64_C(0xfff));
}

/* Only entries that were not present change, which needs no TLB flush: ring 3 could not do one. */
volatile void *map_physical(uint64_t address, uint64_t size)
{
	uint64_t gib;

	for (gib = address >> GIB_SHIFT; gib <= (address + size - 1) >> GIB_SHIFT; gib++) {
		uint64_t *pdpt = table_below(&pml4[gib >> 9]);
		uint64_t *pd, i;

		if (pdpt[gib & 511] & 1)
			continue;
		pd = memory_get(PAGE_TABLE, PAGE_TABLE);
		for (i = 0; i < 512; i++)
			pd[i] = (gib << GIB_SHIFT | i << 21) | PAGE_FLAGS;
		pdpt[gib & 511] = (uint64_t)pd | PRESENT;
	}
	return (volatile void *)address;
}

void *memcpy(void *to, const void *from, size_t size)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
	return start;
}

void *memset(void *to, int byte, size_t size)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t size)
{
	if ((uintptr_t)to - (uintptr_t)from >= size)
		return memcpy(to, from, size);
	for (volatile char *t = to; size--;)
		t[size] = ((const char *)from)[size];
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *left = a, *right = b;

	for (; size; size--, left++, right++)
		if (*left != *right)
			return *left - *right;
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

bool text_equal(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && !memcmp(a, b, strlen(a));
}
