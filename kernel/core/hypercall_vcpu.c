/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls of vCPUs: permissions here, all else in vcpu.c. */
#include "cpu.h"
#include "hypercall.h"
#include "vcpu.h"

SYS(vcpu_run)
{
    struct vcpu *vcpu;
    const enum status s = cap_vcpu(ec, a->vcpu, PERM_VCPU_RUN, &vcpu);
    if (s != OK)
        return s;
    return vcpu_run(cpu, ec, vcpu);
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
