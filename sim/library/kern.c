/* SPDX-License-Identifier: BSD-2-Clause */
/* What the installed library has in place of a kernel: worlds that resume nothing (world_run) and take no NMI need none. Weak: a program that
 * brings a kernel of its own defines all of these. No part of libsim.a, where an archive's order would decide which kernel is linked. */
#include "machine.h"

__attribute__((weak)) struct resume *kern_boot(u32 magic, u64 info)
{
    mach_panic("kern_boot: no kernel is linked into this program");
}

__attribute__((weak)) struct resume *kern_trap(void *cpu, u64 trap, u64 info)
{
    mach_panic("kern_trap: no kernel is linked into this program");
}

__attribute__((weak)) void kern_nmi(void *cpu, u32 vector)
{
    mach_panic("kern_nmi: no kernel is linked into this program");
}
