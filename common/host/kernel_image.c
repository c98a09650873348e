/*
 * What a kernel image is; see kernel_image.h.
 *
 * kernel_image_probe() tries the two kinds in turn by their magic numbers. Each probe reads headers into
 * locals and turns them into segments; both then pass the same check of bounds, so that no kind can forget
 * one.
 */
#include "common/host/kernel_image.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* boot.rst: the setup header begins here; everything else is found from it. */
#define SETUP_HEADER_OFFSET    0x1f1
#define SETUP_HEADER_MAGIC     0x53726448 /* "HdrS" */
#define SETUP_BOOT_FLAG	       0xaa55
#define SETUP_SECTOR	       512
#define SETUP_SECTORS_DEFAULT  4
#define SETUP_JUMP_TARGET_BASE 0x202 /* the second byte of the jump at 0x200 counts from here */
#define BOOT_PROTOCOL_64BIT    0x020c
#define BZIMAGE_64BIT_ENTRY    0x200
/* What the loader's page tables map; the 32-bit entry of a PVH image cannot reach further either. */
#define IMAGE_ADDRESS_LIMIT (UINT64_C(1) << 32)

/* elfnote.h of Xen. */
#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define ELF_HEADERS_MAX		 64
#define ELF_NOTES_SIZE_MAX	 4096
#define ELF_NOTES_MAX		 64

/* Below 2 GiB every kernel takes an initrd, and every machine that has so much RAM has it there. */
#define INITRD_ADDRESS_MAX UINT64_C(0x7fffffff)
#define PAGE_MASK	   (~UINT64_C(4095))

/* What Linux's COMMAND_LINE_SIZE allows; an ELF file does not say. */
#define PVH_CMDLINE_MAX 2047

struct image_file {
	int fd;
	uint64_t size;
	const char **problem;
};

static int image_refuse(const struct image_file *file, const char *problem)
{
	*file->problem = problem;
	return -ENOEXEC;
}

/* Reads exactly size bytes. */
static int image_read(const struct image_file *file, void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (offset > file->size || size > file->size - offset)
		return image_refuse(file, "truncated: a header points behind its end");
	while (done < size) {
		ssize_t got = pread(file->fd, (char *)data + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			*file->problem = "cannot be read";
			return -errno;
		}
		if (got == 0)
			return image_refuse(file, "truncated: it shrank while it was read");
		done += (size_t)got;
	}
	return 0;
}

/* The common checks of a segment; grows memory_end. */
static int image_add_segment(const struct image_file *file, struct kernel_image *image,
			     const struct kernel_image_segment *segment)
{
	if (segment->memory_size == 0)
		return 0;
	if (image->segment_count == KERNEL_IMAGE_SEGMENTS_MAX)
		return image_refuse(file, "corrupt: too many segments");
	if (segment->file_size > segment->memory_size)
		return image_refuse(file, "corrupt: a segment is larger in the file than in memory");
	if (segment->file_offset > file->size || segment->file_size > file->size - segment->file_offset)
		return image_refuse(file, "truncated: a segment ends behind the end of the file");
	if (segment->guest_address < KERNEL_IMAGE_LOWEST_ADDRESS)
		return image_refuse(file, "a segment wants memory below 1 MiB, which is the loader's");
	if (segment->guest_address >= IMAGE_ADDRESS_LIMIT ||
	    segment->memory_size > IMAGE_ADDRESS_LIMIT - segment->guest_address)
		return image_refuse(file, "a segment wants memory above 4 GiB");
	image->segments[image->segment_count++] = *segment;
	if (segment->guest_address + segment->memory_size > image->memory_end)
		image->memory_end = segment->guest_address + segment->memory_size;
	return 0;
}

/* --- bzImage --- */

static int image_probe_bzimage(const struct image_file *file, struct kernel_image *image,
			       const struct setup_header *header)
{
	uint64_t setup_size;
	struct kernel_image_segment payload = {0};

	if (header->version < BOOT_PROTOCOL_64BIT)
		return image_refuse(file, "its boot protocol is older than 2.12; use a newer kernel");
	if ((header->loadflags & LOADED_HIGH) == 0)
		return image_refuse(file, "a zImage, which loads below 1 MiB; use a bzImage");
	if ((header->xloadflags & XLF_KERNEL_64) == 0)
		return image_refuse(file, "it has no 64-bit entry; use an x86-64 kernel");
	setup_size =
		((header->setup_sects != 0 ? header->setup_sects : SETUP_SECTORS_DEFAULT) + UINT64_C(1)) *
		SETUP_SECTOR;
	if (setup_size >= file->size || file->size - setup_size <= BZIMAGE_64BIT_ENTRY)
		return image_refuse(file, "truncated: it ends before the kernel begins");
	/* The header tells the size behind it, in paragraphs; what follows in the file (a signature) is not
	 * loaded. */
	payload.file_offset = setup_size;
	payload.file_size = (uint64_t)header->syssize * 16;
	if (payload.file_size <= BZIMAGE_64BIT_ENTRY)
		return image_refuse(file, "corrupt: its header tells no size");
	/* The last paragraph may be partly filled. */
	if (payload.file_size > file->size - setup_size + 15)
		return image_refuse(file, "truncated: it is shorter than its header says");
	if (payload.file_size > file->size - setup_size)
		payload.file_size = file->size - setup_size;
	payload.guest_address = header->pref_address;
	payload.memory_size = header->init_size > payload.file_size ? header->init_size : payload.file_size;
	image->kind = KERNEL_IMAGE_BZIMAGE;
	image->entry = payload.guest_address + BZIMAGE_64BIT_ENTRY;
	image->initrd_max =
		header->initrd_addr_max < INITRD_ADDRESS_MAX ? header->initrd_addr_max : INITRD_ADDRESS_MAX;
	image->cmdline_max = header->cmdline_size;
	/* boot.rst: the header ends where the jump at its front goes. */
	image->setup_header_size =
		SETUP_JUMP_TARGET_BASE + (uint64_t)(uint8_t)(header->jump >> 8) - SETUP_HEADER_OFFSET;
	if (image->setup_header_size > sizeof(struct setup_header))
		image->setup_header_size = sizeof(struct setup_header);
	return image_add_segment(file, image, &payload);
}

/* --- ELF with a PVH note --- */

/* The two classes of ELF files, made one. */
struct elf_program {
	uint32_t type;
	uint64_t align;
	struct kernel_image_segment segment;
};

static int elf_read_program(const struct image_file *file, bool is_64, uint64_t offset,
			    struct elf_program *program)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;
	int result;

	if (is_64) {
		result = image_read(file, &wide, sizeof(wide), offset);
		if (result == 0)
			*program = (struct elf_program){
				wide.p_type,
				wide.p_align,
				{wide.p_offset, wide.p_filesz, wide.p_paddr, wide.p_memsz}};
		return result;
	}
	result = image_read(file, &narrow, sizeof(narrow), offset);
	if (result == 0)
		*program = (struct elf_program){
			narrow.p_type,
			narrow.p_align,
			{narrow.p_offset, narrow.p_filesz, narrow.p_paddr, narrow.p_memsz}};
	return result;
}

/* Looks for the PVH entry in one PT_NOTE. A note that makes no sense ends the search; it is not ours to
 * judge. */
static int elf_scan_notes(const struct image_file *file, const struct elf_program *program, uint64_t *entry)
{
	uint8_t notes[ELF_NOTES_SIZE_MAX];
	size_t size = program->segment.file_size < sizeof(notes) ? program->segment.file_size : sizeof(notes);
	size_t align = program->align == 8 ? 8 : 4;
	size_t offset = 0;
	int result = image_read(file, notes, size, program->segment.file_offset);

	if (result < 0)
		return result;
	for (unsigned count = 0; count < ELF_NOTES_MAX && size - offset >= sizeof(Elf64_Nhdr); count++) {
		Elf64_Nhdr note; /* the same in both classes */
		size_t name = offset + sizeof(note), room = size - name;
		size_t name_size, description_size;

		memcpy(&note, notes + offset, sizeof(note));
		if (note.n_namesz > room || note.n_descsz > room)
			return 0;
		name_size = (note.n_namesz + align - 1) & ~(align - 1);
		description_size = (note.n_descsz + align - 1) & ~(align - 1);
		if (name_size > room || note.n_descsz > room - name_size)
			return 0;
		if (note.n_type == XEN_ELFNOTE_PHYS32_ENTRY && note.n_namesz == sizeof("Xen") &&
		    memcmp(notes + name, "Xen", sizeof("Xen")) == 0 &&
		    (note.n_descsz == sizeof(uint32_t) || note.n_descsz == sizeof(uint64_t))) {
			*entry = 0;
			memcpy(entry, notes + name + name_size, note.n_descsz);
			return 0;
		}
		if (description_size > room - name_size)
			return 0;
		offset = name + name_size + description_size;
	}
	return 0;
}

static int elf_check_entry(const struct image_file *file, const struct kernel_image *image)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct kernel_image_segment *segment = &image->segments[i];

		if (image->entry >= segment->guest_address &&
		    image->entry - segment->guest_address < segment->file_size)
			return 0;
	}
	return image_refuse(file, "corrupt: its PVH entry is in none of its segments");
}

static int image_probe_elf(const struct image_file *file, struct kernel_image *image, const uint8_t *ident)
{
	bool is_64 = ident[EI_CLASS] == ELFCLASS64;
	Elf64_Ehdr wide = {0};
	Elf32_Ehdr narrow = {0};
	struct elf_program program;
	unsigned count, entry_size, machine;
	uint64_t table;
	int result;

	if ((!is_64 && ident[EI_CLASS] != ELFCLASS32) || ident[EI_DATA] != ELFDATA2LSB)
		return image_refuse(file, "an ELF file, but not for x86");
	result = is_64 ? image_read(file, &wide, sizeof(wide), 0)
		       : image_read(file, &narrow, sizeof(narrow), 0);
	if (result < 0)
		return result;
	machine = is_64 ? wide.e_machine : narrow.e_machine;
	/* The entry is a 32-bit one whatever the class is: EDK2's CLOUDHV.fd is ELF64 and EM_386. */
	if (machine != EM_X86_64 && machine != EM_386)
		return image_refuse(file, "an ELF file, but not for x86");
	count = is_64 ? wide.e_phnum : narrow.e_phnum;
	entry_size = is_64 ? wide.e_phentsize : narrow.e_phentsize;
	table = is_64 ? wide.e_phoff : narrow.e_phoff;
	if (count == 0 || count > ELF_HEADERS_MAX ||
	    entry_size != (is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return image_refuse(file, "an ELF file, but without program headers that can be loaded");
	if (table > file->size)
		return image_refuse(file, "truncated: a header points behind its end");
	image->kind = KERNEL_IMAGE_PVH;
	image->entry = UINT64_MAX;
	image->initrd_max = INITRD_ADDRESS_MAX;
	image->cmdline_max = PVH_CMDLINE_MAX;
	/* The note first: an ELF file without it is no kernel, and its segments are of no interest. */
	for (unsigned i = 0; i < count && image->entry == UINT64_MAX; i++) {
		result = elf_read_program(file, is_64, table + (uint64_t)i * entry_size, &program);
		if (result == 0 && program.type == PT_NOTE)
			result = elf_scan_notes(file, &program, &image->entry);
		if (result < 0)
			return result;
	}
	if (image->entry == UINT64_MAX)
		return image_refuse(
			file,
			"neither a bzImage nor an ELF file with a PVH note (it is ELF without the note); "
			"use a kernel built with CONFIG_PVH");
	for (unsigned i = 0; i < count; i++) {
		result = elf_read_program(file, is_64, table + (uint64_t)i * entry_size, &program);
		if (result == 0 && program.type == PT_LOAD)
			result = image_add_segment(file, image, &program.segment);
		if (result < 0)
			return result;
	}
	return elf_check_entry(file, image);
}

/* --- probe --- */

int kernel_image_probe(int fd, struct kernel_image *image, const char **problem)
{
	struct image_file file = {.fd = fd, .problem = problem};
	struct kernel_image found = {0};
	struct setup_header header;
	uint8_t ident[EI_NIDENT];
	struct stat status;
	int result;

	if (fstat(fd, &status) < 0) {
		*problem = "cannot be read";
		return -errno;
	}
	if (!S_ISREG(status.st_mode))
		return image_refuse(&file, "not a regular file");
	file.size = (uint64_t)status.st_size;
	if (file.size < sizeof(ident))
		return image_refuse(
			&file,
			"neither a bzImage nor an ELF file with a PVH note (it is too short for both)");
	result = image_read(&file, ident, sizeof(ident), 0);
	if (result < 0)
		return result;
	if (memcmp(ident, ELFMAG, SELFMAG) == 0) {
		result = image_probe_elf(&file, &found, ident);
	} else {
		if (file.size < SETUP_HEADER_OFFSET + sizeof(header))
			return image_refuse(&file, "neither a bzImage nor an ELF file with a PVH note");
		result = image_read(&file, &header, sizeof(header), SETUP_HEADER_OFFSET);
		if (result < 0)
			return result;
		if (header.header != SETUP_HEADER_MAGIC || header.boot_flag != SETUP_BOOT_FLAG)
			return image_refuse(&file, "neither a bzImage nor an ELF file with a PVH note");
		result = image_probe_bzimage(&file, &found, &header);
	}
	if (result == 0)
		*image = found;
	return result;
}

uint64_t kernel_image_place_initrd(const struct kernel_image *image, uint64_t memory_bytes,
				   uint64_t initrd_size)
{
	uint64_t top = memory_bytes < image->initrd_max + 1 ? memory_bytes : image->initrd_max + 1;
	uint64_t address;

	if (image->memory_end > memory_bytes)
		return 0;
	if (initrd_size == 0)
		return image->memory_end;
	if (initrd_size > top)
		return 0;
	address = (top - initrd_size) & PAGE_MASK;
	return address >= image->memory_end ? address : 0;
}
