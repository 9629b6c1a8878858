/* SPDX-License-Identifier: BSD-2-Clause */
/* Which hypercall? A file of its own: no sys_x is inlined here, and the way to each of them is a jump. */
#include "hypercall.h"

#define SYS_CASE(number, name, arguments, results, summary)                                        \
    case number:                                                                                   \
        return sys_##name(cpu, ec, (const struct sys_##name##_args *)ec->resume.gpr);

enum status hypercall(struct cpu *cpu, struct ec *ec)
{
    switch (ec->resume.gpr[RDI]) {
        HYPERCALL_LIST(SYS_CASE)
    default:
        return STATUS_HYPERCALL;
    }
}
