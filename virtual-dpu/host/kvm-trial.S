# A boot sector that does what an operating system does at its start and simple emulations of a CPU get wrong: enters long mode with paging on,
# reloads CR3, and executes LOCK CMPXCHG16B, 4,096 times; then ends QEMU by isa-debug-exit at port 0xf4 with the value 0x10 (exit status 33).
#   as --64 -o t.o kvm-trial.S && ld -Ttext 0x7c00 --oformat binary -o t.bin t.o && base64 -w0 t.bin
        .code16
        .globl _start
_start: cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7c00, %sp
        # Page tables at 0x1000, 0x2000, 0x3000: one page of 2 MiB, identity.
        movw $0x1000, %di
        movw $0x1800, %cx
        rep stosw
        movw $0x2003, (0x1000)
        movw $0x3003, (0x2000)
        movw $0x0083, (0x3000)
        movl $0x1000, %eax
        movl %eax, %cr3
        movl %cr4, %eax
        orl $0x20, %eax
        movl %eax, %cr4
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x100, %eax
        wrmsr
        lgdt gdtr
        movl %cr0, %eax
        orl $0x80000001, %eax
        movl %eax, %cr0
        ljmp $8, $long
        .code64
long:   movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $4096, %esi
        movl $0x5000, %edi
        xorl %eax, %eax
        movq %rax, (%rdi)
        movq %rax, 8(%rdi)
again:  movq (%rdi), %rax
        movq 8(%rdi), %rdx
        leaq 1(%rax), %rbx
        movq %rdx, %rcx
        lock cmpxchg16b (%rdi)
        jnz again
        movq %cr3, %rax
        movq %rax, %cr3
        decl %esi
        jnz again
        cmpq $4096, (%rdi)
        jne stop
        movb $0x10, %al
        outb %al, $0xf4
stop:   hlt
        jmp stop
        .balign 8
gdt:    .quad 0
        .quad 0x00209a0000000000
        .quad 0x0000920000000000
gdtr:   .word gdtr - gdt - 1
        .long gdt
        .org 510
        .word 0xaa55
