/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that assembly and C share; kernel/bare/cpu.c asserts that they agree with the C structures.
 *
 *   0xffff800000000000   direct map: physical 0 .. 4 GiB, not executable; writable but for the kernel's code; the APIC window uncached
 *   0xffffffff80000000   physical 0 .. 1 GiB, of which only the image is mapped: 2 MiB code, read-only; 4 MiB data, not executable */
#pragma once
#define DIRECT_OFFSET   0xffff800000000000
#define DIRECT_BYTES    0x100000000
#define KERNEL_OFFSET   0xffffffff80000000
#define KERNEL_CODE     0x200000   /* physical; 2 MiB pages from here on */
#define KERNEL_DATA     0x400000
#define KERNEL_END      0x800000
#define TRAMPOLINE      0x8000     /* physical: where an application processor starts */

#define BARE_CPUS       64
#define BARE_STACK      8192       /* bytes of a CPU's kernel stack */
#define BARE_IST_STACK  2048
#define BARE_CR4_OSXSAVE 0x40000
#define BARE_CR0        0x80010033 /* PG WP NE ET MP PE */
#define BARE_EFER       0x901      /* NXE LME SCE */
#define BARE_USER_FLAGS 0x250dd5   /* RFLAGS_USER */

/* struct bare_cpu: at GS base while in the kernel. */
#define BARE_RESUME     0          /* what was resumed last */
#define BARE_STACK_TOP  8
#define BARE_CPU        16         /* mach_cpu_set */
#define BARE_USER_RSP   24
#define BARE_HOST_VMCB  32         /* physical */
#define BARE_HOST_SAVED 40
#define BARE_GDTR       54         /* limit and base */
#define BARE_CPU_BYTES  0x6000

/* struct resume behind gpr[16]. */
#define RESUME_RIP      128
#define RESUME_RFLAGS   136
#define RESUME_KIND     144
#define RESUME_GUEST    152

/* Values of machine.h and arch/x86.h for entry.S. */
#define BARE_KIND_SVM         2
#define BARE_KIND_IDLE        3
#define BARE_TRAP_EXCEPTION   2
#define BARE_TRAP_INTERRUPT   3
#define BARE_TRAP_GUEST_EXIT  4
#define BARE_TRAP_GUEST_FAIL  5
#define BARE_KERNEL_CODE      0x08
#define BARE_KERNEL_DATA      0x10
#define BARE_USER_DATA        0x1b
#define BARE_USER_CODE        0x23
