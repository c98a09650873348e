/*
 * The machine: guest RAM and its bounds, what the loader leaves in it, CPUID, and the chipset's registers.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/unit/test_ram.h"
#include "vmm-core/boot/boot.h"
#include "vmm-core/kvm/cpuid.h"
#include "vmm-core/machine/chipset.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/machine/machine_layout.h"

/* --- what the chipset calls, in the core's place --- */

static struct {
	unsigned pulses;
	uint32_t gsi;
} told;

int irq_router_pulse(struct irq_router *router, uint32_t gsi)
{
	(void)router;
	told.pulses++;
	told.gsi = gsi;
	return 0;
}

static char last_log[LOG_TEXT_MAX];

static void keep_log(const struct log_record *record, void *argument)
{
	(void)argument;
	snprintf(last_log, sizeof(last_log), "%s", record->text);
}

/* --- guest RAM --- */

static void ram_is_sealed_and_bounded(void **state)
{
	struct guest_ram ram;

	(void)state;
	assert_int_equal(test_ram_create(64 * MIB, &ram), 0);
	assert_int_equal(fcntl(ram.memfd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(ram.memfd, 0), -1);
	assert_int_equal(ram.region_count, 1);
	assert_int_equal(guest_ram_end(&ram), 64 * MIB);
	assert_ptr_equal(guest_ram_range(&ram, 0, 64 * MIB), ram.host);
	assert_ptr_equal(guest_ram_range(&ram, 64 * MIB - 1, 1), ram.host + 64 * MIB - 1);
	assert_null(guest_ram_range(&ram, 64 * MIB - 1, 2));
	assert_null(guest_ram_range(&ram, 64 * MIB, 0));
	assert_null(guest_ram_range(&ram, 1, UINT64_MAX));
	assert_null(guest_ram_range(&ram, UINT64_MAX, 2));
	assert_null(guest_ram_range(&ram, UINT64_MAX, UINT64_MAX));
	guest_ram_destroy(&ram);
	assert_int_equal(ram.memfd, -1);
	guest_ram_destroy(&ram);
}

/* Six GiB, of which nothing is touched but a byte on each side of the hole. */
static void large_ram_leaves_the_hole(void **state)
{
	struct guest_ram ram;

	(void)state;
	assert_int_equal(test_ram_create(6 * GIB, &ram), 0);
	assert_int_equal(ram.region_count, 2);
	assert_int_equal(ram.regions[0].size, LAYOUT_HOLE_START);
	assert_int_equal(ram.regions[1].guest_address, LAYOUT_HIGH_RAM_START);
	assert_int_equal(ram.regions[1].file_offset, LAYOUT_HOLE_START);
	assert_int_equal(guest_ram_end(&ram), 7 * GIB);
	assert_null(guest_ram_range(&ram, LAYOUT_HOLE_START - 1, 2));
	assert_null(guest_ram_range(&ram, LAYOUT_HOLE_START, 1));
	assert_null(guest_ram_range(&ram, LAYOUT_ECAM_START, 1));
	assert_null(guest_ram_range(&ram, LAYOUT_HIGH_RAM_START - 1, 2));
	*(uint8_t *)guest_ram_range(&ram, LAYOUT_HOLE_START - 1, 1) = 1;
	*(uint8_t *)guest_ram_range(&ram, LAYOUT_HIGH_RAM_START, 1) = 2;
	assert_int_equal(ram.host[LAYOUT_HOLE_START - 1], 1);
	assert_int_equal(ram.host[LAYOUT_HOLE_START], 2);
	guest_ram_destroy(&ram);
}

static void impossible_ram_is_refused(void **state)
{
	struct guest_ram ram;

	(void)state;
	assert_int_equal(test_ram_create(0, &ram), -EINVAL);
	assert_int_equal(test_ram_create(4097, &ram), -EINVAL);
	assert_int_equal(test_ram_create(UINT64_C(1) << 63, &ram), -EFBIG);
	assert_int_equal(guest_ram_map(-1, UINT64_C(1) << 63, &ram), -EINVAL);
}

/* Issue 9, 6: what the supervisor gave for the guest's memory and is none. */
static void ram_is_refused(int fd, const char *why)
{
	struct guest_ram ram = {.memfd = 12345};
	char expected[128];

	last_log[0] = '\0';
	assert_int_equal(guest_ram_map(fd, MIB, &ram), -EINVAL);
	snprintf(expected, sizeof(expected), "memory: the file that the supervisor made for it %s", why);
	assert_string_equal(last_log, expected);
	/* Untouched, and the descriptor is ours. */
	assert_int_equal(ram.memfd, 12345);
	if (fd >= 0)
		assert_int_equal(close(fd), 0);
}

static int ram_file(uint64_t size, unsigned seals)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void wrong_ram_files_are_refused(void **state)
{
	const unsigned seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	char path[] = "/tmp/atoll-test-ram-XXXXXX", name[64];
	struct guest_ram ram;
	int fd, again, pair[2];

	(void)state;
	ram_is_refused(-1, "cannot be looked at");
	ram_is_refused(ram_file(MIB - 4096, seals), "is too small");
	ram_is_refused(ram_file(MIB, F_SEAL_GROW | F_SEAL_SEAL),
		       "is not sealed against a change of its size");
	ram_is_refused(ram_file(MIB, F_SEAL_SHRINK | F_SEAL_SEAL),
		       "is not sealed against a change of its size");
	ram_is_refused(ram_file(MIB, F_SEAL_SHRINK | F_SEAL_GROW),
		       "is not sealed against a change of its size");
	ram_is_refused(ram_file(MIB, seals | F_SEAL_WRITE), "cannot be written");
	fd = ram_file(MIB, seals);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	again = open(name, O_RDONLY | O_CLOEXEC);
	assert_true(again >= 0);
	ram_is_refused(again, "cannot be written");
	close(fd);
	fd = mkstemp(path);
	assert_true(fd >= 0 && unlink(path) == 0 && ftruncate(fd, MIB) == 0);
	again = fcntl(fd, F_GET_SEALS);
	/* A file of a tmpfs has seals, too: it cannot be sealed. */
	ram_is_refused(fd, again < 0 ? "is no memfd" : "is not sealed against a change of its size");
	ram_is_refused(open("/dev/zero", O_RDWR | O_CLOEXEC), "is no memfd");
	assert_int_equal(pipe(pair), 0);
	ram_is_refused(pair[0], "is no memfd");
	close(pair[1]);
	/* One with room for what may be added later is right. */
	fd = ram_file(2 * MIB, seals);
	assert_int_equal(guest_ram_map(fd, MIB, &ram), 0);
	assert_int_equal(guest_ram_end(&ram), MIB);
	guest_ram_destroy(&ram);
}

static void memory_map_tells_ram_and_reserved(void **state)
{
	static const uint64_t sizes[] = {MIB, 256 * MIB, 3 * GIB, 6 * GIB};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct boot_memory_range ranges[BOOT_MEMORY_RANGES_MAX];
		uint64_t usable = 0, end = 0;
		bool ecam = false;
		struct guest_ram ram;
		size_t count;

		assert_int_equal(test_ram_create(sizes[i], &ram), 0);
		count = boot_memory_map(&ram, ranges);
		for (size_t j = 0; j < count; j++) {
			assert_true(ranges[j].start >= end && ranges[j].size > 0);
			end = ranges[j].start + ranges[j].size;
			if (ranges[j].type == BOOT_MEMORY_RAM) {
				assert_non_null(guest_ram_range(&ram, ranges[j].start, ranges[j].size));
				usable += ranges[j].size;
			}
			ecam |= ranges[j].start == LAYOUT_ECAM_START &&
				ranges[j].type == BOOT_MEMORY_RESERVED;
		}
		assert_int_equal(usable, sizes[i] - (LAYOUT_ONE_MIB - LAYOUT_EBDA_START));
		assert_true(ecam);
		guest_ram_destroy(&ram);
	}
}

/* --- loading --- */

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	return fd;
}

static int bzimage_file(void)
{
	static uint8_t file[0x2000];
	struct setup_header *header = (struct setup_header *)(file + 0x1f1);

	header->setup_sects = 1;
	header->syssize = (sizeof(file) - 1024) / 16;
	header->boot_flag = 0xaa55;
	header->jump = 0x6aeb;
	header->header = 0x53726448;
	header->version = 0x020f;
	header->loadflags = LOADED_HIGH;
	header->xloadflags = XLF_KERNEL_64;
	header->initrd_addr_max = 0x7fffffff;
	header->cmdline_size = 20;
	header->pref_address = 16 * MIB;
	header->init_size = MIB;
	memset(file + 1024, 0xc3, sizeof(file) - 1024);
	return file_of(file, sizeof(file));
}

static int pvh_file(void)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr programs[2];
		uint32_t note[6];
		uint32_t code;
	} elf = {.header = {.e_machine = EM_X86_64,
			    .e_phoff = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2},
		 .note = {4, 8, 18, 0x6e6558, MIB, 0},
		 .code = 0x12345678};

	memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
	elf.header.e_ident[EI_CLASS] = ELFCLASS64;
	elf.header.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.programs[0] = (Elf64_Phdr){.p_type = PT_NOTE,
				       .p_offset = (uint64_t)((char *)elf.note - (char *)&elf),
				       .p_filesz = sizeof(elf.note)};
	elf.programs[1] = (Elf64_Phdr){.p_type = PT_LOAD,
				       .p_offset = (uint64_t)((char *)&elf.code - (char *)&elf),
				       .p_filesz = 4,
				       .p_memsz = 4096,
				       .p_paddr = MIB};
	return file_of(&elf, sizeof(elf));
}

static void linux_gets_its_boot_params(void **state)
{
	struct boot_source source = {bzimage_file(), file_of("ramdisk", 7), "quiet", 0xe0000};
	const struct boot_params *params;
	const uint64_t *pml4, *directory;
	struct boot_entry entry;
	struct guest_ram ram;

	(void)state;
	assert_int_equal(test_ram_create(64 * MIB, &ram), 0);
	assert_int_equal(boot_load(&source, &ram, &entry), 0);
	assert_true(entry.long_mode);
	assert_int_equal(entry.rip, 16 * MIB + 0x200);
	params = guest_ram_range(&ram, entry.argument, sizeof(*params));
	assert_int_equal(params->hdr.header, 0x53726448);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->acpi_rsdp_addr, 0xe0000);
	assert_string_equal(guest_ram_range(&ram, params->hdr.cmd_line_ptr, 8), "quiet");
	assert_memory_equal(guest_ram_range(&ram, params->hdr.ramdisk_image, 7), "ramdisk", 7);
	assert_int_equal(params->hdr.ramdisk_size, 7);
	assert_int_equal(params->e820_entries, 4);
	assert_int_equal(params->sentinel, 0);
	assert_int_equal(*(uint8_t *)guest_ram_range(&ram, entry.rip, 1), 0xc3);
	/* Where Linux jumps to reset: code, not zeros. */
	assert_memory_equal(guest_ram_range(&ram, 0xffff0, 6), "\xb0\x06\xba\xf9\x0c\xee", 6);
	/* 3.5 GiB is mapped to itself. */
	pml4 = guest_ram_range(&ram, LAYOUT_PAGE_TABLES, 4096);
	directory = guest_ram_range(
		&ram,
		(((const uint64_t *)guest_ram_range(&ram, pml4[0] & ~UINT64_C(4095), 4096))[3]) &
			~UINT64_C(4095),
		4096);
	assert_int_equal(directory[256] & ~UINT64_C(0xfff), 3584 * MIB);
	guest_ram_destroy(&ram);
	close(source.kernel_fd);
	close(source.initrd_fd);
}

static void pvh_gets_its_start_info(void **state)
{
	struct boot_source source = {pvh_file(), file_of("ramdisk", 7), "a=b", 0xe0000};
	const uint32_t *info;
	const uint64_t *info64, *module;
	struct boot_entry entry;
	struct guest_ram ram;

	(void)state;
	assert_int_equal(test_ram_create(5 * GIB, &ram), 0);
	assert_int_equal(boot_load(&source, &ram, &entry), 0);
	assert_false(entry.long_mode);
	assert_int_equal(entry.rip, MIB);
	info = guest_ram_range(&ram, entry.argument, 56);
	info64 = (const uint64_t *)info;
	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_int_equal(info[3], 1);
	module = guest_ram_range(&ram, info64[2], 32);
	assert_memory_equal(guest_ram_range(&ram, module[0], module[1]), "ramdisk", 7);
	assert_string_equal(guest_ram_range(&ram, info64[3], 4), "a=b");
	assert_int_equal(info64[4], 0xe0000);
	assert_int_equal(info[12], 5); /* memory map entries */
	assert_int_equal(*(uint32_t *)guest_ram_range(&ram, MIB, 4), 0x12345678);
	guest_ram_destroy(&ram);
	close(source.kernel_fd);
	close(source.initrd_fd);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct boot_source source = {bzimage_file(), -1, "", 0};
	struct boot_entry entry;
	struct guest_ram ram;

	(void)state;
	assert_int_equal(test_ram_create(16 * MIB, &ram), 0);
	assert_int_equal(boot_load(&source, &ram, &entry), -ENOMEM);
	assert_string_equal(last_log,
			    "kernel: it needs memory up to 17 MiB, the guest has 16 MiB; raise \"memory\"");
	guest_ram_destroy(&ram);
	assert_int_equal(test_ram_create(18 * MIB, &ram), 0);
	assert_int_equal(boot_load(&source, &ram, &entry), 0);
	source.cmdline = "123456789012345678901";
	assert_int_equal(boot_load(&source, &ram, &entry), -E2BIG);
	assert_string_equal(last_log, "cmdline: it has 21 bytes, the kernel takes 20; shorten it");
	source.cmdline = "";
	source.initrd_fd = file_of("", 0);
	assert_int_equal(boot_load(&source, &ram, &entry), -EINVAL);
	assert_int_equal(ftruncate(source.initrd_fd, 2 * MIB), 0);
	assert_int_equal(boot_load(&source, &ram, &entry), -ENOMEM);
	assert_non_null(strstr(last_log, "initrd: its 2 MiB do not fit"));
	close(source.kernel_fd);
	source.kernel_fd = source.initrd_fd;
	assert_int_equal(boot_load(&source, &ram, &entry), -ENOEXEC);
	assert_non_null(strstr(last_log, "kernel: neither a bzImage nor"));
	close(source.kernel_fd);
	guest_ram_destroy(&ram);
}

/* --- CPUID --- */

#define HOST_ENTRIES 11

static struct kvm_cpuid2 *host_cpuid(bool amd)
{
	const struct kvm_cpuid_entry2 entries[HOST_ENTRIES] = {
		{.function = 0, .eax = 0x1f, .ecx = amd ? 0x444d4163 : 0x6c65746e},
		{.function = 1, .ebx = 0x7f400800, .ecx = UINT32_C(1) << 5 | UINT32_C(1) << 27 | 1, .edx = 1},
		{.function = 4, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .eax = 0xfc01c121},
		{.function = 4, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .index = 3, .eax = 0xfc01c163},
		{.function = 0xb, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .edx = 77},
		{.function = 0x40000000, .eax = 0x40000001},
		{.function = 0x80000001, .ecx = 4},
		{.function = 0x80000008, .ecx = 0x707f},
		{.function = 0x8000000a, .ebx = 1},
		{.function = 0x8000001d,
		 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		 .index = 3,
		 .eax = 0xfc01c163},
		{.function = 0x8000001e, .eax = 9, .ebx = 0x109},
	};
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + (HOST_ENTRIES + CPUID_ENTRIES_ADDED) * sizeof(table->entries[0]));

	assert_non_null(table);
	table->nent = HOST_ENTRIES;
	memcpy(table->entries, entries, sizeof(entries));
	return table;
}

static const struct kvm_cpuid_entry2 *entry_of(const struct kvm_cpuid2 *table, uint32_t leaf,
					       uint32_t subleaf)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < table->nent; i++) {
		if (table->entries[i].function != leaf || table->entries[i].index != subleaf)
			continue;
		assert_null(found); /* once */
		found = &table->entries[i];
	}
	return found;
}

static void cpuid_tells_the_guests_topology(void **state)
{
	struct cpuid_guest guest = {.cpus = 6, .tsc_deadline = true, .tsc_khz = 2600000};
	struct kvm_cpuid2 *table = host_cpuid(false);

	(void)state;
	/* Each vCPU's table is made from the one before it. */
	for (guest.apic_id = 0; guest.apic_id < guest.cpus; guest.apic_id++) {
		cpuid_adjust(table, &guest);
		assert_true(table->nent <= HOST_ENTRIES + CPUID_ENTRIES_ADDED);
		assert_int_equal(entry_of(table, 1, 0)->ebx, guest.apic_id << 24 | 6 << 16 | 0x0800);
		for (uint32_t subleaf = 0; subleaf < 3; subleaf++) {
			assert_int_equal(entry_of(table, 0xb, subleaf)->edx, guest.apic_id);
			assert_int_equal(entry_of(table, 0x1f, subleaf)->edx, guest.apic_id);
		}
		assert_int_equal(entry_of(table, 0x8000001e, 0)->eax, guest.apic_id);
	}
	assert_int_equal(entry_of(table, 1, 0)->ecx, UINT32_C(1) << 31 | UINT32_C(1) << 24 | 1);
	assert_int_equal(entry_of(table, 1, 0)->edx, UINT32_C(1) << 28 | 1);
	assert_int_equal(entry_of(table, 0xb, 1)->eax, 3);
	assert_int_equal(entry_of(table, 0xb, 1)->ebx, 6);
	assert_int_equal(entry_of(table, 4, 0)->eax, UINT32_C(5) << 26 | 0x121);
	assert_int_equal(entry_of(table, 4, 3)->eax, UINT32_C(5) << 26 | 5 << 14 | 0x163);
	assert_int_equal(entry_of(table, 0x40000000, 0)->eax, 0x40000010);
	assert_int_equal(entry_of(table, 0x40000010, 0)->eax, 2600000);
	assert_int_equal(entry_of(table, 0x80000001, 0)->ecx, 0);
	assert_null(entry_of(table, 0x8000000a, 0));
	free(table);
}

/* E1: what is not listed reads as zeros, be it known today or not; and what the list lets through is not cut. */
static void e1_cpuid_passes_what_is_listed(void **state)
{
	static const uint32_t kept[] = {
		0x0,	    0x1,	0x2,	    0x4,	0x7,	    0xa,	0xd,
		0x1d,	    0x1e,	0x24,	    0x40000000, 0x40000001, 0x80000000, 0x80000001,
		0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006, 0x80000007, 0x80000008,
		0x80000019, 0x8000001a, 0x8000001d, 0x80000021, 0x80000022};
	static const uint32_t gone[] = {
		0x3,	    0x5,	0x9,	    0xf,	0x10,	    0x12,	0x14,
		0x15,	    0x19,	0x1c,	    0x20,	0x21,	    0x23,	0x25,
		0x40000002, 0x40000100, 0x8000000a, 0x8000001b, 0x8000001c, 0x8000001f, 0x80000020,
		0x80000023, 0x80000026, 0xc0000000, 0xc0000001, UINT32_MAX};
	const size_t kept_count = sizeof(kept) / sizeof(kept[0]), gone_count = sizeof(gone) / sizeof(gone[0]);
	struct cpuid_guest guest = {.cpus = 1};
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + (kept_count + gone_count + 4 + CPUID_ENTRIES_ADDED) *
						   sizeof(table->entries[0]));
	struct kvm_cpuid_entry2 *next = table->entries;

	(void)state;
	for (size_t i = 0; i < kept_count; i++)
		*next++ = (struct kvm_cpuid_entry2){.function = kept[i], .ebx = UINT32_MAX, .edx = 1};
	table->entries[0].eax = 0x24;
	for (size_t i = 0; i < gone_count; i++)
		*next++ = (struct kvm_cpuid_entry2){.function = gone[i], .eax = 3};
	/* More than one subleaf of those that have some. */
	*next++ = (struct kvm_cpuid_entry2){
		.function = 0xd, .index = 9, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .eax = 8};
	*next++ = (struct kvm_cpuid_entry2){
		.function = 0x12, .index = 2, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .eax = 8};
	*next++ = (struct kvm_cpuid_entry2){.function = 6, .eax = UINT32_MAX, .ebx = 1, .ecx = 1};
	table->nent = (uint32_t)(next - table->entries);
	cpuid_adjust(table, &guest);
	for (size_t i = 0; i < kept_count; i++)
		if (entry_of(table, kept[i], 0) == NULL || entry_of(table, kept[i], 0)->edx == 0)
			fail_msg("leaf %x", kept[i]);
	for (size_t i = 0; i < gone_count; i++)
		if (entry_of(table, gone[i], 0) != NULL)
			fail_msg("leaf %x", gone[i]);
	assert_int_equal(entry_of(table, 0xd, 9)->eax, 8);
	assert_null(entry_of(table, 0x12, 2));
	/* ARAT alone; neither SGX nor trace. */
	assert_int_equal(entry_of(table, 6, 0)->eax, 4);
	assert_int_equal(entry_of(table, 6, 0)->ebx, 0);
	assert_int_equal(entry_of(table, 7, 0)->ebx, UINT32_MAX & ~(UINT32_C(1) << 2 | UINT32_C(1) << 25));
	free(table);
}

/* E2: a package of 65 processors and more, in each leaf that tells of it. */
static void e2_cpuid_of_many_processors(void **state)
{
	static const unsigned counts[] = {1, 63, 64, 65, 128, 129, 254};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct cpuid_guest guest = {.cpus = counts[i], .apic_id = counts[i] - 1};
		unsigned cores = counts[i] < 64 ? counts[i] : 64, bits = 0;

		while (1u << bits < counts[i])
			bits++;
		for (unsigned amd = 0; amd < 2; amd++) {
			struct kvm_cpuid2 *table = host_cpuid(amd == 1);

			cpuid_adjust(table, &guest);
			for (uint32_t leaf = 0xb; leaf <= 0x1f; leaf += 0x1f - 0xb) {
				assert_int_equal(entry_of(table, leaf, 1)->eax, bits);
				assert_int_equal(entry_of(table, leaf, 1)->ebx, counts[i]);
				assert_int_equal(entry_of(table, leaf, 1)->edx, counts[i] - 1);
			}
			assert_int_equal(entry_of(table, 1, 0)->ebx >> 16 & 0xff, counts[i]);
			/* Six bits: as many as they can tell, never fewer. */
			assert_int_equal((entry_of(table, 4, 3)->eax >> 26) + 1, cores);
			assert_int_equal((entry_of(table, 4, 3)->eax >> 14 & 0xfff) + 1, counts[i]);
			assert_int_equal((entry_of(table, 4, 0)->eax >> 14 & 0xfff) + 1, 1);
			assert_int_equal(entry_of(table, 0x8000001e, 0)->eax, counts[i] - 1);
			assert_int_equal(entry_of(table, 0x8000001e, 0)->ebx, counts[i] - 1);
			if (amd == 1) {
				assert_int_equal(entry_of(table, 0x80000008, 0)->ecx,
						 bits << 12 | (counts[i] - 1));
				assert_int_equal((entry_of(table, 0x8000001d, 3)->eax >> 14 & 0xfff) + 1,
						 counts[i]);
			}
			free(table);
		}
	}
}

static void cpuid_of_amd_and_of_poor_hosts(void **state)
{
	struct cpuid_guest guest = {.cpus = 4};
	struct kvm_cpuid2 *table = host_cpuid(true);

	(void)state;
	cpuid_adjust(table, &guest);
	assert_int_equal(entry_of(table, 0x80000001, 0)->ecx, 2);
	assert_int_equal(entry_of(table, 0x80000008, 0)->ecx, 0x2003);
	assert_int_equal(entry_of(table, 1, 0)->ecx, UINT32_C(1) << 31 | 1);
	assert_null(entry_of(table, 0x40000010, 0));
	assert_int_equal(entry_of(table, 0x40000000, 0)->eax, 0x40000001);
	/* A host that tells nothing at all is not made to tell. */
	table->nent = 0;
	cpuid_adjust(table, &guest);
	assert_int_equal(table->nent, 0);
	free(table);
}

/* --- chipset --- */

static struct exit_router *router;
static struct chipset *chipset;
static struct core core;

static int make_chipset(void **state)
{
	(void)state;
	router = exit_router_new(1);
	core = (struct core){.router = router};
	return router != NULL ? chipset_new(&core, true, &chipset) : -1;
}

static int drop_chipset(void **state)
{
	(void)state;
	chipset_free(chipset);
	exit_router_free(router);
	return 0;
}

static void port_out(uint64_t port, uint32_t value, unsigned size)
{
	core.end = (struct run_end){0};
	exit_router_write(router, 0, EXIT_SPACE_PIO, port, &value, size);
}

static uint32_t port_in(uint64_t port, unsigned size)
{
	uint32_t value = 0;

	exit_router_read(router, 0, EXIT_SPACE_PIO, port, &value, size);
	return value;
}

static void assert_ended(Atoll__Control__GuestEvent__Kind kind, unsigned status)
{
	assert_true(run_end_decided(&core.end));
	assert_int_equal(core.end.kind, kind);
	assert_int_equal(core.end.status, status);
}

static void registers_end_the_run(void **state)
{
	(void)state;
	port_out(LAYOUT_PORT_SLEEP_CONTROL, 5 << 2, 1);
	assert_false(run_end_decided(&core.end));
	port_out(LAYOUT_PORT_SLEEP_CONTROL, 3 << 2 | 0x20, 1);
	assert_false(run_end_decided(&core.end));
	port_out(LAYOUT_PORT_SLEEP_CONTROL, 5 << 2 | 0x20, 1);
	assert_ended(ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF, 0);
	port_out(LAYOUT_PORT_I8042_COMMAND, 0xd1, 1);
	assert_false(run_end_decided(&core.end));
	port_out(LAYOUT_PORT_I8042_COMMAND, 0xfe, 1);
	assert_ended(ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 0);
	core.end = (struct run_end){0};
	chipset_write_reset_control(chipset, 0x02);
	assert_false(run_end_decided(&core.end));
	chipset_write_reset_control(chipset, LAYOUT_RESET_VALUE);
	assert_ended(ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 0);
	port_out(LAYOUT_PORT_PVPANIC, 2, 1);
	assert_false(run_end_decided(&core.end));
	port_out(LAYOUT_PORT_PVPANIC, 1, 1);
	assert_ended(ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC, 0);
	port_out(LAYOUT_PORT_DEBUG_EXIT, 21, 1);
	assert_ended(ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_DEBUG_EXIT, 43);
	port_out(LAYOUT_PORT_DEBUG_EXIT, 0x100, 4);
	assert_ended(ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_DEBUG_EXIT, 0x201);
}

/* --- the end of a run --- */

static unsigned ends_told;

static void count_end(void *argument)
{
	const struct run_end *end = argument;

	/* Whoever is told can read why. */
	assert_true(run_end_decided(end));
	ends_told++;
}

static void the_first_end_of_a_run_counts(void **state)
{
	struct run_end end = {.decided = count_end, .argument = &end};
	char longer[RUN_END_DETAIL_MAX + 10];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_false(run_end_decided(&end));
	run_end_decide(&end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC, 7, longer);
	run_end_decide(&end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 8, "later");
	assert_true(run_end_decided(&end));
	assert_int_equal(ends_told, 1);
	assert_int_equal(end.kind, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC);
	assert_int_equal(end.status, 7);
	assert_int_equal(strlen(end.detail), RUN_END_DETAIL_MAX - 1);
}

struct end_race {
	struct run_end end;
	_Atomic unsigned told;
	_Atomic bool go;
};

static void count_race(void *argument)
{
	atomic_fetch_add(&((struct end_race *)argument)->told, 1);
}

static void *end_it(void *argument)
{
	struct end_race *race = argument;

	while (!atomic_load(&race->go))
		;
	run_end_decide(&race->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 1, "a thread");
	return NULL;
}

static void one_of_several_threads_ends_the_run(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		struct end_race race = {.end = {.decided = count_race}};
		pthread_t threads[4];

		race.end.argument = &race;
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, end_it, &race), 0);
		atomic_store(&race.go, true);
		for (unsigned i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(race.told, 1);
		assert_true(run_end_decided(&race.end));
	}
}

static void registers_read(void **state)
{
	(void)state;
	assert_int_equal(port_in(LAYOUT_PORT_SLEEP_STATUS, 1), 0);
	assert_int_equal(port_in(LAYOUT_PORT_I8042_COMMAND, 1), 0);
	assert_int_equal(port_in(LAYOUT_PORT_PVPANIC, 1), 3);
}

static void power_button_is_told_once(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	assert_int_equal(port_in(LAYOUT_PORT_GED_EVENTS, 4), 0);
	chipset_press_power_button(chipset);
	assert_int_equal(told.pulses, 1);
	assert_int_equal(told.gsi, LAYOUT_GSI_GED);
	assert_int_equal(port_in(LAYOUT_PORT_GED_EVENTS + 1, 1), 0);
	assert_int_equal(port_in(LAYOUT_PORT_GED_EVENTS, 4), LAYOUT_GED_POWER_BUTTON);
	assert_int_equal(port_in(LAYOUT_PORT_GED_EVENTS, 4), 0);
}

static void debug_exit_is_only_where_wanted(void **state)
{
	struct chipset *plain;

	(void)state;
	chipset_free(chipset);
	assert_int_equal(chipset_new(&core, false, &plain), 0);
	port_out(LAYOUT_PORT_DEBUG_EXIT, 1, 1);
	assert_false(run_end_decided(&core.end));
	chipset_free(plain);
	assert_int_equal(chipset_new(&core, true, &chipset), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_is_sealed_and_bounded),
		cmocka_unit_test(large_ram_leaves_the_hole),
		cmocka_unit_test(impossible_ram_is_refused),
		cmocka_unit_test(wrong_ram_files_are_refused),
		cmocka_unit_test(memory_map_tells_ram_and_reserved),
		cmocka_unit_test(linux_gets_its_boot_params),
		cmocka_unit_test(pvh_gets_its_start_info),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(cpuid_tells_the_guests_topology),
		cmocka_unit_test(e1_cpuid_passes_what_is_listed),
		cmocka_unit_test(e2_cpuid_of_many_processors),
		cmocka_unit_test(cpuid_of_amd_and_of_poor_hosts),
		cmocka_unit_test_setup_teardown(registers_end_the_run, make_chipset, drop_chipset),
		cmocka_unit_test_setup_teardown(registers_read, make_chipset, drop_chipset),
		cmocka_unit_test(the_first_end_of_a_run_counts),
		cmocka_unit_test(one_of_several_threads_ends_the_run),
		cmocka_unit_test_setup_teardown(power_button_is_told_once, make_chipset, drop_chipset),
		cmocka_unit_test_setup_teardown(debug_exit_is_only_where_wanted, make_chipset, drop_chipset),
	};

	log_set_sink(keep_log, NULL);
	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
