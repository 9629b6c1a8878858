/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls of vCPUs: permissions here, all else in vcpu.c. */
#include "cpu.h"
#include "hypercall.h"
#include "vcpu.h"

enum status sys_vcpu_run(struct cpu *cpu, struct ec *ec, const struct sys_vcpu_run_args *a)
{
    struct vcpu *vcpu;
    const enum status s = cap_vcpu(ec, a->vcpu, PERM_VCPU_RUN, &vcpu);
    if (s != OK)
        return s;
    return vcpu_run(cpu, ec, vcpu);
}

enum status sys_vcpu_kick(struct cpu *cpu, struct ec *ec, const struct sys_vcpu_kick_args *a)
{
    struct vcpu *vcpu;
    const enum status s = cap_vcpu(ec, a->vcpu, PERM_VCPU_KICK, &vcpu);
    if (s != OK)
        return s;
    vcpu_kick(cpu, vcpu);
    return OK;
}

enum status sys_vcpu_fetch(struct cpu *cpu, struct ec *ec, const struct sys_vcpu_fetch_args *a)
{
    struct vcpu *vcpu;
    const enum status s = cap_vcpu(ec, a->vcpu, PERM_VCPU_RUN, &vcpu);
    if (s != OK)
        return s;
    if (a->groups & ~(u64)VCPU_GROUP_ALL)
        return STATUS_ARG;
    return vcpu_fetch(cpu, vcpu, (u32)a->groups);
}
