/* SPDX-License-Identifier: BSD-2-Clause */
/* The three up-calls. kern_trap: what happened, then sched_resume. A hypercall that reschedules nothing takes the short way back. */
#include "kern.h"
#include "apic.h"
#include "boot_cpus.h"
#include "cpu.h"
#include "ec.h"
#include "hypercall.h"
#include "ipc.h"
#include "pd.h"
#include "sched_enter.h"
#include "vcpu.h"

#define VECTOR_PAGE_FAULT 14u
#define FAULT_PRESENT     0x1u   /* page-fault error code (Intel SDM 3A 4.7) */
#define FAULT_WRITE       0x2u
#define FAULT_USER        0x4u
#define FAULT_RESERVED    0x8u
#define FAULT_FETCH       0x10u
#define FAULT_KNOWN       0x1fu

/* Rights were added and a translation from before was still cached: the fault has dropped it, the access may be tried again. */
static bool fault_is_stale(struct ec *ec, u32 vector, u64 error)
{
    u64 frame;
    u32 rights;
    const u64 needed = FAULT_PRESENT | FAULT_USER;
    if (vector != VECTOR_PAGE_FAULT || error & FAULT_RESERVED || error & ~(u64)FAULT_KNOWN || (error & needed) != needed)
        return false;
    const u64 address = mach_cr2_read();
    if (address >= USER_END || !ptab_lookup(&ec->pd->memory.ptab, address >> PAGE_BITS, &frame, &rights))
        return false;
    const u32 wanted = error & FAULT_FETCH ? RIGHT_X : error & FAULT_WRITE ? RIGHT_W : RIGHT_R;
    return rights & wanted;
}

static void interrupt(struct cpu *cpu, u32 vector)
{
    if (vector == VECTOR_SPURIOUS)
        return;   /* no end of interrupt (Intel SDM 3A 10.9) */
    apic_eoi(cpu);
    if (vector == VECTOR_TIMER)
        sched_tick(cpu);
    if (unlikely(cpu->kern->boot_deadline) && cpu->id == 0)
        boot_continue(cpu);
}

/* Does somebody else want this CPU, or wait for it? */
static inline bool is_wanted(const struct cpu *cpu)
{
    return cpu->sched.wanted | (cpu->epoch.first != NULL);
}

static struct resume *go_on(struct cpu *cpu)
{
    return is_wanted(cpu) ? sched_resume(cpu) : sched_enter(cpu);
}

/* A hypercall that neither has a status for its caller nor has settled it otherwise. */
static out_of_line struct resume *unsettled(struct cpu *cpu, struct ec *ec, enum status s)
{
    if (s == STATUS_RESTART)
        ec_restart(ec);
    cpu->sched.wanted |= s == STATUS_BLOCKED;
    return go_on(cpu);
}

static out_of_line struct resume *trap_other(struct cpu *cpu, u64 trap, u64 info)
{
    switch (TRAP_KIND(trap)) {
    case TRAP_EXCEPTION:
        if (!fault_is_stale(cpu->current, TRAP_VECTOR(trap), info))
            ipc_exception(cpu, cpu->current, TRAP_VECTOR(trap), info);
        return go_on(cpu);
    case TRAP_INTERRUPT:
        interrupt(cpu, TRAP_VECTOR(trap));
        break;
    default:
        break;   /* TRAP_NONE: the window is closed */
    }
    return sched_resume(cpu);
}

struct resume *kern_trap(void *arg, u64 trap, u64 info)
{
    struct cpu *const cpu = arg;
    if (unlikely(trap != TRAP_SYSCALL))
        return TRAP_KIND(trap) >= TRAP_GUEST_EXIT ? vcpu_trap(cpu, trap, info) : trap_other(cpu, trap, info);
    struct ec *const ec = cpu->current;
    const enum status s = hypercall(cpu, ec);
    if (likely(s < STATUS_INTERNAL_FIRST))
        ec->resume.gpr[RAX] = s;
    else if (unlikely(s != STATUS_SWITCH))
        return s == STATUS_GUEST && likely(!is_wanted(cpu)) ? vcpu_resume(cpu, ec) : unsettled(cpu, ec, s);
    if (unlikely(is_wanted(cpu)))
        return sched_resume(cpu);
    return s < STATUS_INTERNAL_FIRST && likely(!cpu->protect) ? &ec->resume : sched_enter(cpu);
}

void kern_nmi(void *arg, u32 vector)
{
    struct cpu *const cpu = arg;
    atomic_or(&cpu->nmi, bit(vector & 63));
}

struct resume *kern_boot(u32 magic, u64 info)
{
    struct cpu *const cpu = magic == BOOT_MAGIC_AP ? boot_ap() : boot_bsp(magic, info);
    cpu->sched.wanted = true;
    return sched_resume(cpu);
}
