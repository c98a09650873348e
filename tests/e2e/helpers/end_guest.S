/*
 * end_guest: a guest that ends in the way which its command line names by one letter. PVH, 32-bit, paging off.
 *
 *     o  power off, ACPI sleep control        r  reset, port 0xcf9          k  reset, keyboard controller
 *     t  triple fault                         p  panic, pvpanic             d  debug exit with 21
 *     e  an instruction that KVM cannot run   b  waits for the power button, then powers off
 *     u  reads and writes where nobody is, then debug exit with 1 if it read ones
 *     v  reset, by a jump to the firmware's reset vector in real mode
 *     h  halts for ever
 *     f  100,000 crash kernels told to pvpanic and as many sleep types that there are not, then power off
 */
	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	movl 24(%ebx), %esi		/* hvm_start_info.cmdline_paddr */
	movb (%esi), %bl
	cmpb $'o', %bl
	je power_off
	cmpb $'r', %bl
	je reset
	cmpb $'k', %bl
	je keyboard
	cmpb $'t', %bl
	je triple
	cmpb $'p', %bl
	je panic
	cmpb $'d', %bl
	je debug
	cmpb $'e', %bl
	je unknown
	cmpb $'b', %bl
	je button
	cmpb $'u', %bl
	je nobody
	cmpb $'v', %bl
	je vector
	cmpb $'f', %bl
	je flood
halt:
	cli
	hlt
	jmp halt

power_off:
	movw $0x600, %dx
	movb $(5 << 2 | 0x20), %al
	outb %al, %dx
	jmp halt
reset:
	movw $0xcf9, %dx
	movb $6, %al
	outb %al, %dx
	jmp halt
keyboard:
	movb $0xfe, %al
	outb %al, $0x64
	jmp halt
triple:
	lidt no_idt
	ud2
panic:
	movw $0x505, %dx
	inb %dx, %al
	cmpb $3, %al
	jne halt
	movb $1, %al
	outb %al, %dx
	jmp halt
flood:
	movl $100000, %ecx
1:	movw $0x505, %dx
	movb $2, %al
	outb %al, %dx
	movw $0x600, %dx
	movb $(3 << 2 | 0x20), %al
	outb %al, %dx
	loop 1b
	jmp power_off
debug:
	movb $21, %al
	outb %al, $0xf4
	jmp halt
unknown:
	/* Runs into a device window, where there are no instructions. */
	movl $0xd0000000, %eax
	jmp *%eax
button:
	movw $0x608, %dx
	inl %dx, %eax
	testl $1, %eax
	jz button
	jmp power_off
nobody:
	movl %eax, 0xd0000000
	movl 0xd0000000, %eax
	cmpl $-1, %eax
	jne halt
	movw $0x1234, %dx
	outb %al, %dx
	movl $0, %eax
	inw %dx, %ax
	cmpw $-1, %ax
	jne halt
	movb $1, %al
	outb %al, $0xf4
	jmp halt

/* As Linux does it: 16-bit segments, then real mode. */
vector:
	movl $real, %esi
	movl $0x7000, %edi
	movl $(real_end - real), %ecx
	rep movsb
	lgdt gdt_pointer
	movw $0x10, %ax
	movw %ax, %ss
	movw %ax, %ds
	ljmpl $8, $0x7000		/* the copy below 64 KiB, where IP can follow */
	.code16
real:
	movl %cr0, %eax
	andl $0xfffffffe, %eax
	movl %eax, %cr0
	ljmpw $0xf000, $0xfff0
real_end:
	.code32

	.align 8
gdt:
	.quad 0
	.quad 0x00009b000000ffff	/* 16-bit code */
	.quad 0x000093000000ffff	/* 16-bit data */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.align 8
no_idt:
	.word 0
	.long 0
