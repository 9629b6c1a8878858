/* SPDX-License-Identifier: BSD-2-Clause */
/* The up-calls. kern_trap: what happened, then who goes on. */
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
static bool fault_is_stale(struct ec *ec, u64 address, u64 error)
{
    u64 frame;
    u32 rights;
    const u64 needed = FAULT_PRESENT | FAULT_USER;
    if (error & FAULT_RESERVED || error & ~(u64)FAULT_KNOWN || (error & needed) != needed)
        return false;
    if (address >= USER_END || !ptab_lookup(&ec->pd->memory.ptab, address >> PAGE_BITS, &frame, &rights))
        return false;
    const u32 wanted = error & FAULT_FETCH ? RIGHT_X : error & FAULT_WRITE ? RIGHT_W : RIGHT_R;
    return rights & wanted;
}

static out_of_line struct resume *page_fault(struct cpu *cpu, struct ec *ec, u64 error)
{
    const u64 address = mach_cr2_read();
    return fault_is_stale(ec, address, error) ? sched_go_on(cpu) : ipc_exception(cpu, ec, VECTOR_PAGE_FAULT, error, address);
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

/* An interrupt, or a window that has closed. */
static seldom struct resume *trap_other(struct cpu *cpu, u64 trap)
{
    if (TRAP_KIND(trap) == TRAP_INTERRUPT)
        interrupt(cpu, TRAP_VECTOR(trap));
    return sched_resume(cpu);
}

static out_of_line struct resume *handle(struct cpu *cpu, u64 trap, u64 info)
{
    if (trap == TRAP_SYSCALL)
        return hypercall(cpu, cpu->current);
    if (trap == TRAP(TRAP_EXCEPTION, VECTOR_PAGE_FAULT))
        return page_fault(cpu, cpu->current, info);
    if (TRAP_KIND(trap) == TRAP_EXCEPTION)
        return ipc_exception(cpu, cpu->current, TRAP_VECTOR(trap), info, 0);
    return trap_other(cpu, trap);
}

struct resume *kern_syscall(void *arg)
{
    struct cpu *const cpu = arg;
    return unlikely(cpu->trace) ? trace_trap(cpu, TRAP_SYSCALL, 0, handle) : hypercall(cpu, cpu->current);
}

struct resume *kern_trap(void *arg, u64 trap, u64 info)
{
    struct cpu *const cpu = arg;
    if (likely(TRAP_KIND(trap) >= TRAP_GUEST_EXIT))
        return vcpu_trap(cpu, trap, info);
    return unlikely(cpu->trace) ? trace_trap(cpu, trap, info, handle) : handle(cpu, trap, info);
}

void kern_nmi(void *arg, u32 vector)
{
    struct cpu *const cpu = arg;
    atomic_or(&cpu->nmi, bit(vector & 63));
}

struct resume *kern_boot(u32 magic, u64 info)
{
    struct cpu *const cpu = magic == BOOT_MAGIC_AP ? boot_ap() : boot_bsp(magic, info);
    cpu->due |= DUE_CHOICE;
    return sched_resume(cpu);
}
