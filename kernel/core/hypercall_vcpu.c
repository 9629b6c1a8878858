/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls of vCPUs: permissions here, all else in vcpu.c. */
#include "cpu.h"
#include "hypercall.h"
#include "vcpu.h"

/* Into the guest at once, if nobody else wants this CPU or waits for it. */
struct resume *sys_vcpu_run(struct cpu *cpu, struct ec *ec)
{
    struct vcpu *vcpu;
    enum status s = cap_vcpu(ec, SYS_ARGS(vcpu_run, ec)->vcpu, PERM_VCPU_RUN, &vcpu);
    if (likely(s == OK))
        s = vcpu_run(cpu, ec, vcpu);
    return likely(s == STATUS_SWITCH && !(cpu->due & (DUE_CHOICE | DUE_RELEASE))) ? vcpu_resume(cpu, ec) : hypercall_end(cpu, ec, s);
}

SYS(vcpu_kick)
{
    struct vcpu *vcpu;
    const enum status s = cap_vcpu(ec, a->vcpu, PERM_VCPU_KICK, &vcpu);
    if (s != OK)
        return s;
    vcpu_kick(cpu, vcpu);
    return OK;
}

SYS(vcpu_fetch)
{
    struct vcpu *vcpu;
    const enum status s = cap_vcpu(ec, a->vcpu, PERM_VCPU_RUN, &vcpu);
    if (s != OK)
        return s;
    if (a->groups & ~(u64)VCPU_GROUP_ALL)
        return STATUS_ARG;
    return vcpu_fetch(cpu, vcpu, (u32)a->groups);
}
