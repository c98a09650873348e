/*
 * Kernel images: what boots is found, what does not is refused with a reason, and no byte of a file leads
 * outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/host/kernel_image.h"

#define FILE_SIZE   0x8000
#define KERNEL_AT   UINT64_C(0x1000000)
#define SETUP_SIZE  (5 * 512)
#define NOTE_OFFSET 0x400
#define CODE_OFFSET 0x1000

static uint8_t file[FILE_SIZE];
static struct kernel_image image;
static const char *problem;

/* Probes the first size bytes of file. */
static int probe(size_t size)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	int result;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, file, size), (ssize_t)size);
	problem = "";
	memset(&image, 0x5a, sizeof(image));
	result = kernel_image_probe(fd, &image, &problem);
	close(fd);
	return result;
}

static void assert_refused(size_t size, const char *part)
{
	struct kernel_image untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	assert_int_equal(probe(size), -ENOEXEC);
	if (strstr(problem, part) == NULL)
		fail_msg("\"%s\" does not tell of \"%s\"", problem, part);
	assert_memory_equal(&image, &untouched, sizeof(image));
}

/* --- bzImage --- */

static struct setup_header *make_bzimage(void)
{
	struct setup_header *header = (struct setup_header *)(file + 0x1f1);

	memset(file, 0, sizeof(file));
	header->setup_sects = 4;
	header->syssize = (FILE_SIZE - SETUP_SIZE) / 16;
	header->boot_flag = 0xaa55;
	header->jump = 0x6aeb;
	header->header = 0x53726448;
	header->version = 0x020f;
	header->loadflags = LOADED_HIGH;
	header->xloadflags = XLF_KERNEL_64;
	header->initrd_addr_max = 0x7fffffff;
	header->cmdline_size = 2047;
	header->pref_address = KERNEL_AT;
	header->init_size = 0x200000;
	return header;
}

static void bzimage_is_found(void **state)
{
	(void)state;
	make_bzimage();
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(image.kind, KERNEL_IMAGE_BZIMAGE);
	assert_int_equal(image.entry, KERNEL_AT + 0x200);
	assert_int_equal(image.memory_end, KERNEL_AT + 0x200000);
	assert_int_equal(image.segment_count, 1);
	assert_int_equal(image.segments[0].file_offset, SETUP_SIZE);
	assert_int_equal(image.segments[0].file_size, FILE_SIZE - SETUP_SIZE);
	assert_int_equal(image.setup_header_size, 0x202 + 0x6a - 0x1f1);
	assert_int_equal(image.cmdline_max, 2047);
}

static void bzimage_trailer_is_not_loaded(void **state)
{
	(void)state;
	make_bzimage()->syssize = 0x100;
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(image.segments[0].file_size, 0x1000);
}

static void bad_bzimages_are_refused(void **state)
{
	(void)state;
	make_bzimage()->version = 0x020b;
	assert_refused(FILE_SIZE, "older than 2.12");
	make_bzimage()->loadflags = 0;
	assert_refused(FILE_SIZE, "zImage");
	make_bzimage()->xloadflags = 0;
	assert_refused(FILE_SIZE, "64-bit entry");
	make_bzimage()->boot_flag = 0;
	assert_refused(FILE_SIZE, "neither");
	make_bzimage()->syssize = 0;
	assert_refused(FILE_SIZE, "no size");
	make_bzimage()->syssize = UINT32_MAX;
	assert_refused(FILE_SIZE, "shorter than its header says");
	make_bzimage();
	assert_refused(FILE_SIZE - 512, "shorter than its header says");
	make_bzimage()->setup_sects = 255;
	assert_refused(FILE_SIZE, "before the kernel begins");
	make_bzimage();
	assert_refused(0x210, "neither");
	make_bzimage()->pref_address = 0x10000;
	assert_refused(FILE_SIZE, "below 1 MiB");
	make_bzimage()->pref_address = UINT64_MAX;
	assert_refused(FILE_SIZE, "above 4 GiB");
	make_bzimage()->pref_address = UINT32_MAX;
	assert_refused(FILE_SIZE, "above 4 GiB");
}

/* --- ELF --- */

struct elf_file {
	Elf64_Ehdr header;
	Elf64_Phdr programs[2]; /* note, code */
};

static struct elf_file *make_elf(void)
{
	struct elf_file *elf = (struct elf_file *)file;
	uint32_t note[] = {sizeof("Xen"), sizeof(uint64_t), 18, 0x6e6558, (uint32_t)KERNEL_AT + 0x10, 0};

	memset(file, 0, sizeof(file));
	memcpy(elf->header.e_ident, ELFMAG, SELFMAG);
	elf->header.e_ident[EI_CLASS] = ELFCLASS64;
	elf->header.e_ident[EI_DATA] = ELFDATA2LSB;
	elf->header.e_machine = EM_X86_64;
	elf->header.e_phoff = sizeof(elf->header);
	elf->header.e_phentsize = sizeof(Elf64_Phdr);
	elf->header.e_phnum = 2;
	elf->programs[0] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = NOTE_OFFSET, .p_filesz = sizeof(note), .p_align = 4};
	elf->programs[1] = (Elf64_Phdr){.p_type = PT_LOAD,
					.p_offset = CODE_OFFSET,
					.p_filesz = 0x100,
					.p_memsz = 0x2000,
					.p_paddr = KERNEL_AT};
	memcpy(file + NOTE_OFFSET, note, sizeof(note));
	return elf;
}

static void elf_is_found(void **state)
{
	(void)state;
	make_elf();
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(image.kind, KERNEL_IMAGE_PVH);
	assert_int_equal(image.entry, KERNEL_AT + 0x10);
	assert_int_equal(image.memory_end, KERNEL_AT + 0x2000);
	assert_int_equal(image.segment_count, 1);
}

static void elf32_is_found(void **state)
{
	Elf32_Ehdr header = {.e_machine = EM_386,
			     .e_phoff = sizeof(header),
			     .e_phentsize = sizeof(Elf32_Phdr),
			     .e_phnum = 2};
	Elf32_Phdr programs[2] = {
		{.p_type = PT_LOAD,
		 .p_offset = CODE_OFFSET,
		 .p_filesz = 0x100,
		 .p_memsz = 0x100,
		 .p_paddr = KERNEL_AT},
		{.p_type = PT_NOTE, .p_offset = NOTE_OFFSET, .p_filesz = 24, .p_align = 4},
	};

	(void)state;
	make_elf();
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS32;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), programs, sizeof(programs));
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(image.entry, KERNEL_AT + 0x10);
}

/* E6: the entry of a PVH image is a 32-bit one, so the file may say either machine, in either class. */
static void e6_elf_of_either_machine_is_found(void **state)
{
	(void)state;
	make_elf()->header.e_machine = EM_386;
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(image.entry, KERNEL_AT + 0x10);
	elf32_is_found(NULL);
	((Elf32_Ehdr *)file)->e_machine = EM_X86_64;
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(image.entry, KERNEL_AT + 0x10);
	((Elf32_Ehdr *)file)->e_machine = EM_IA_64;
	assert_refused(FILE_SIZE, "not for x86");
}

static void bad_elfs_are_refused(void **state)
{
	struct elf_file *elf;

	(void)state;
	make_elf()->header.e_machine = EM_AARCH64;
	assert_refused(FILE_SIZE, "not for x86");
	make_elf()->header.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_refused(FILE_SIZE, "not for x86");
	make_elf()->header.e_phentsize = 1;
	assert_refused(FILE_SIZE, "program headers");
	make_elf()->header.e_phnum = UINT16_MAX;
	assert_refused(FILE_SIZE, "program headers");
	make_elf()->header.e_phoff = UINT64_MAX - 8;
	assert_refused(FILE_SIZE, "truncated");
	make_elf()->programs[0].p_type = PT_NULL;
	assert_refused(FILE_SIZE, "PVH note");
	make_elf()->programs[0].p_offset = FILE_SIZE;
	assert_refused(FILE_SIZE, "truncated");
	elf = make_elf();
	elf->programs[1].p_filesz = 0x3000;
	assert_refused(FILE_SIZE, "larger in the file");
	elf = make_elf();
	elf->programs[1].p_offset = FILE_SIZE - 0x80;
	assert_refused(FILE_SIZE, "truncated");
	elf = make_elf();
	elf->programs[1].p_offset = UINT64_MAX;
	assert_refused(FILE_SIZE, "truncated");
	make_elf()->programs[1].p_paddr = 0;
	assert_refused(FILE_SIZE, "below 1 MiB");
	make_elf()->programs[1].p_memsz = UINT64_MAX;
	assert_refused(FILE_SIZE, "above 4 GiB");
	make_elf()->programs[1].p_paddr = KERNEL_AT + 0x1000;
	assert_refused(FILE_SIZE, "entry");
	make_elf();
	assert_refused(10, "too short");
	make_elf();
	assert_refused(70, "truncated");
}

/* Sizes in a note that point outside end the search. */
static void hostile_notes_are_survived(void **state)
{
	static const uint32_t sizes[] = {0, 1, 3, 0x7fffffff, 0xfffffffd, UINT32_MAX};

	(void)state;
	for (size_t field = 0; field < 2; field++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			make_elf();
			memcpy(file + NOTE_OFFSET + field * 4, &sizes[i], sizeof(sizes[i]));
			assert_refused(FILE_SIZE, "PVH note");
		}
	}
}

static void other_files_are_refused(void **state)
{
	int fds[2];

	(void)state;
	memset(file, 'x', sizeof(file));
	assert_refused(FILE_SIZE, "neither a bzImage nor an ELF");
	assert_refused(0, "too short");
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(kernel_image_probe(fds[0], &image, &problem), -ENOEXEC);
	assert_string_equal(problem, "not a regular file");
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(kernel_image_probe(-1, &image, &problem), -EBADF);
}

/* --- initrd --- */

static void initrd_is_placed_high_and_apart(void **state)
{
	const uint64_t mib = UINT64_C(1) << 20;

	(void)state;
	make_bzimage();
	assert_int_equal(probe(FILE_SIZE), 0);
	assert_int_equal(kernel_image_place_initrd(&image, 64 * mib, 5000), 64 * mib - 8192);
	assert_int_equal(kernel_image_place_initrd(&image, 8192 * mib, 4096), 2048 * mib - 4096);
	/* From 18 MiB on: 46 MiB fit into 64, a byte more does not. */
	assert_int_equal(kernel_image_place_initrd(&image, 64 * mib, 46 * mib), 18 * mib);
	assert_int_equal(kernel_image_place_initrd(&image, 64 * mib, 46 * mib + 1), 0);
	assert_int_equal(kernel_image_place_initrd(&image, 64 * mib, UINT64_MAX), 0);
	assert_int_equal(kernel_image_place_initrd(&image, 16 * mib, 0), 0);
	assert_int_not_equal(kernel_image_place_initrd(&image, 18 * mib, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bzimage_is_found),
		cmocka_unit_test(bzimage_trailer_is_not_loaded),
		cmocka_unit_test(bad_bzimages_are_refused),
		cmocka_unit_test(elf_is_found),
		cmocka_unit_test(elf32_is_found),
		cmocka_unit_test(e6_elf_of_either_machine_is_found),
		cmocka_unit_test(bad_elfs_are_refused),
		cmocka_unit_test(hostile_notes_are_survived),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(initrd_is_placed_high_and_apart),
	};

	return cmocka_run_group_tests_name("kernel_image", tests, NULL, NULL);
}
