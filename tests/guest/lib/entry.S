/*
 * From the PVH entry to ring 3.
 *
 * A PVH loader (Atoll's, QEMU's) enters at pvh_entry: 32-bit protected mode, paging off, EBX = struct hvm_start_info.
 * Ring 0 may be interpreted by the host's KVM at half a microsecond an instruction, so all that stays there is the
 * few dozen instructions that reach ring 3, and the interrupt stubs: the page tables, the GDT and the TSS are laid out
 * here by the assembler; the IDT is filled from ring 3 (interrupts.c), for all of memory is mapped with the user bit.
 *
 * Ring 3 reaches ports through the TSS's I/O bitmap, for some hosts forget IOPL; it cannot cli or sti, so interrupts are
 * always on and the local APIC's task priority holds them back (interrupts.c).
 */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18			/* name size, description size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad pvh_entry

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_DATA   0x1b
#define USER_CODE   0x23
#define TASK        0x28
#define RFLAGS_RING3 0x3202		/* IOPL 3, interrupts on */

	.section .entry, "ax", @progbits
	.code32
	.globl pvh_entry
pvh_entry:
	cld
	movl $ring0_stack_top, %esp
	movl %ebx, start_info_address
	rdtsc
	movl %eax, entry_tsc
	movl %edx, entry_tsc + 4
	movl $task_state, %eax
	movw %ax, gdt_task + 2
	shrl $16, %eax
	movb %al, gdt_task + 4
	movb %ah, gdt_task + 7
	lgdt gdt_pointer
	movl $pml4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER */
	rdmsr
	orl $0x100, %eax		/* LME */
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax		/* PG, PE */
	movl %eax, %cr0
	ljmp $KERNEL_CODE, $long_mode

	.code64
long_mode:
	movl $KERNEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	lidt idt_pointer
	movl $0xfee00000, %ebx
	movl $0x10000, 0x350(%rbx)	/* LINT0 masked: nothing from a 8259 that firmware left on */
	movl $0xff, 0x80(%rbx)		/* task priority: nothing else either, yet */
	movl $TASK, %eax
	ltr %ax
	pushq $USER_DATA
	pushq $stack_top
	pushq $RFLAGS_RING3
	pushq $USER_CODE
	pushq $guest_start
	movl $USER_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	iretq

/*
 * Interrupt stubs, 16 bytes each. From vector 32 on a stub counts its interrupt and ends it at the LAPIC; below, it is
 * an exception of ours: what is on the stack is kept for guest_exception(), which runs in ring 3 and ends the guest.
 */
	.balign 16
	.globl interrupt_stubs
interrupt_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	pushq $vector
	.if vector < 32
	jmp exception
	.else
	jmp interrupt
	.endif
	.set vector, vector + 1
	.endr

interrupt:
	pushq %rax
	movq 8(%rsp), %rax
	lock incl interrupt_counts(, %rax, 4)
	movl $0xfee000b0, %eax		/* EOI */
	movl $0, (%rax)
	popq %rax
	addq $8, %rsp
	iretq

exception:
	popq exception_words
	popq exception_words + 8
	popq exception_words + 16
	popq exception_words + 24
	popq exception_words + 40
	movq %cr2, %rax
	movq %rax, exception_words + 32
	movl $ring0_stack_top, %esp
	pushq $USER_DATA
	pushq $stack_top
	pushq $RFLAGS_RING3
	pushq $USER_CODE
	pushq $guest_exception
	iretq

/* What an application processor runs, copied below 1 MiB (cpus.c): it tells its APIC id and halts. Real mode. */
	.section .rodata
	.code16
	.globl ap_code, ap_code_end
ap_code:
	cli
	movl $1, %eax
	cpuid
	shrl $24, %ebx
	andw $0x3f, %bx
	movb $1, %cs:ap_seen - ap_code(%bx)
1:	hlt
	jmp 1b
	.balign 16
ap_seen:
	.fill 64, 1, 0
ap_code_end:
	.globl ap_seen
	.code64

	.data
	.balign 16
gdt:
	.quad 0
	.quad 0x00209b0000000000	/* 08: ring 0 code, 64-bit */
	.quad 0x00cf93000000ffff	/* 10: ring 0 data */
	.quad 0x00cff3000000ffff	/* 18: ring 3 data */
	.quad 0x0020fb0000000000	/* 20: ring 3 code, 64-bit */
gdt_task:
	.quad 0x0000890000002068	/* 28: the TSS; its base is put in at entry */
	.quad 0
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.balign 16
idt_pointer:
	.word 256 * 16 - 1
	.quad idt
	.balign 16
task_state:
	.long 0
	.quad ring0_stack_top
	.fill 0x66 - 12, 1, 0
	.word 0x68			/* the I/O permission bitmap follows */
	.fill 8193, 1, 0

	.globl start_info_address, entry_tsc, exception_words
	.balign 8
start_info_address:
	.quad 0
entry_tsc:
	.quad 0
exception_words:
	.fill 6, 8, 0

/* The first 4 GiB one to one in 2 MiB pages, present, writable, user, accessed, dirty. More: map_physical(). */
	.balign 4096
	.globl pml4
pml4:
	.quad pdpt + 7
	.fill 511, 8, 0
	.balign 4096
pdpt:
	.quad pd + 7, pd + 0x1007, pd + 0x2007, pd + 0x3007
	.fill 508, 8, 0
pd:
	.set page, 0
	.rept 2048
	.quad page + 0xe7
	.set page, page + 0x200000
	.endr

	.bss
	.balign 4096
	.globl idt, interrupt_counts
idt:
	.fill 256 * 16, 1, 0
interrupt_counts:
	.fill 256, 4, 0
	.fill 1024, 1, 0
	.balign 16
ring0_stack_top:
	.fill 65536, 1, 0
stack_top:
	.section .note.GNU-stack, "", @progbits
