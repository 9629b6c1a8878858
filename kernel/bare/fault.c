/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes in behind `paranoid`: NMI and machine check at any time, double fault, exceptions of kernel code. The frame is complete, GS
 * may be the user's and is not used. Anything but a mach_*_try that failed is a bug of ours: a register dump, and the machine stops. */
#include "bare.h"
#include "arch/x86.h"

static const struct bare_fixup *fixup_find(u64 rip)
{
    for (const struct bare_fixup *f = bare_fixup; f < bare_fixup_end; f++)
        if (f->from == rip)
            return f;
    return NULL;
}

static void dump(const struct bare_frame *f)
{
    static const char name[][8] = {"rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi",  "r8",    "r9",  "r10", "r11",
                                   "r12", "r13", "r14", "r15", "trap", "error", "rip", "cs", "rflags", "rsp", "ss"};
    static_assert(array_size(name) == sizeof(*f) / sizeof(u64), "one name each");
    const u64 *const value = &f->rax;
    for (u32 i = 0; i < array_size(name); i++) {
        bare_print(name[i]);
        bare_print(" ");
        bare_print_hex(value[i]);
        bare_print(i % 4 == 3 ? "\n" : "  ");
    }
    bare_print("cr2 ");
    bare_print_hex(mach_cr2_read());
    bare_print("  cr3 ");
    bare_print_hex(mach_cr3_read());
    bare_print("\n");
}

/* Intel SDM 3B 16.3.1.2: without RIPV there is nothing to return to; a second #MC while MCIP is set is a shutdown. */
static void machine_check(const struct bare_frame *f, const struct bare_cpu *c)
{
    const u64 nmi_stack = (u64)&c->ist[IST_NMI - 1];
    u64 status;
    /* IRET would open NMIs again while their stack is in use. */
    if (f->rsp - nmi_stack < BARE_IST_STACK)
        mach_panic("machine check inside the NMI handler");
    if (!mach_msr_read_try(MSR_MCG_STATUS, &status))
        return;
    if (!(status & MCG_STATUS_RIPV))
        mach_panic("machine check: the program cannot be resumed");
    mach_msr_write(MSR_MCG_STATUS, 0);
}

/* NMI and #MC from either mode, on their IST stacks. */
static void nmi(const struct bare_frame *f, u32 vector)
{
    const struct bare_cpu *const c = *(struct bare_cpu *const *)(f + 1);
    if (c->cpu)
        kern_nmi(c->cpu, vector);
    if (vector == VECTOR_MC)
        machine_check(f, c);
}

void bare_exception(struct bare_frame *f)
{
    const u32 vector = TRAP_VECTOR(f->trap);
    const struct bare_fixup *const fixup = fixup_find(f->rip);
    if (vector == VECTOR_NMI || vector == VECTOR_MC) {
        nmi(f, vector);
    } else if (vector == VECTOR_DB) {
        /* A data breakpoint or trap of user level that MOV SS held back past SYSCALL (Intel SDM 3A 6.8.3): nobody's. */
        mach_dr_write(6, DR6_INIT);
    } else if (vector == VECTOR_GP && fixup) {
        f->rip = fixup->to;
    } else {
        dump(f);
        mach_panic("exception in the kernel");
    }
}
