/* SPDX-License-Identifier: BSD-2-Clause */
/* Which hypercall, and what its status means. */
#include "hypercall.h"
#include "cpu.h"
#include "sched_enter.h"

struct resume *hypercall_end(struct cpu *cpu, struct ec *ec, enum status s)
{
    if (s < STATUS_INTERNAL_FIRST) {
        ec->resume.gpr[RAX] = s;
        return sched_stay(cpu, ec);
    }
    if (s == STATUS_RESTART)
        ec_restart(ec);
    else if (s == STATUS_BLOCKED)
        cpu->due |= DUE_CHOICE;
    return sched_go_on(cpu);
}

#define SYS_ENTRY(number, name, arguments, results, summary) [number] = sys_##name,

struct resume *hypercall(struct cpu *cpu, struct ec *ec)
{
    static struct resume *(*const entry[])(struct cpu *cpu, struct ec *ec) = { HYPERCALL_LIST(SYS_ENTRY) };
    const u64 number = ec->resume.gpr[RDI];
    return likely(number < array_size(entry)) ? entry[number](cpu, ec) : hypercall_end(cpu, ec, STATUS_HYPERCALL);
}
