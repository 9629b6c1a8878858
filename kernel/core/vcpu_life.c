/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPUs: creation and release. Everything is charged to the PD whose guest memory the vCPU runs on; the state pages appear in the PD of the
 * caller, the VMM. Release: a run ends with ABORT, the state pages are taken back from whoever has them, then, after the TLB generation, all is freed.
 * Creation may run on any CPU and touches no hardware; the rest on the home CPU. */
#include "cpu.h"
#include "ec.h"
#include "fpu.h"
#include "pd.h"
#include "vcpu.h"

/* Not a VMCS or VMCB yet: the backend's start makes it one, on the home CPU. */
static enum status vcpu_fill(struct vcpu *v)
{
    void *p;
    enum status s = pd_alloc(v->object.pd, sizeof(struct vcpu_state), &p);
    if (s != OK)
        return s;
    v->state = p;
    s = pd_alloc(v->object.pd, sizeof(struct vcpu_state), &p);
    if (s != OK)
        return s;
    v->copy = p;
    s = pd_alloc(v->object.pd, v->fpu_bytes, &v->fpu);
    if (s != OK)
        return s;
    fpu_image_init(v->fpu);
    s = kern()->virt->create(v);
    if (s != OK)
        return s;
    return space_mem_insert(&v->vmm->memory, v->state_page, mach_virt_to_phys(v->state) >> PAGE_BITS, VCPU_STATE_PAGES, RIGHT_R | RIGHT_W);
}

static void vcpu_free(struct cpu *cpu, struct vcpu *v)
{
    struct kern *const k = kern();
    struct quota *const q = pd_quota(v->object.pd);
    struct pd *const vmm = v->vmm;
    k->virt->destroy(v);
    if (v->fpu) {
        fpu_forget(cpu, v->fpu);
        mem_free(k->mem, q, v->fpu, v->fpu_bytes);
    }
    if (v->copy)
        mem_free(k->mem, q, v->copy, sizeof(struct vcpu_state));
    if (v->state)
        mem_free(k->mem, q, v->state, sizeof(struct vcpu_state));
    pd_release(cpu, &v->object, sizeof(*v));
    pd_drop(cpu, vmm);
}

static void vcpu_header(struct vcpu *v)
{
    const struct virt_ops *const ops = kern()->virt;
    v->state->version = VCPU_STATE_VERSION;
    v->state->capabilities = ops->groups | (kern()->cpu[v->object.cpu]->trace ? (u32)VCPU_TRACED : 0);
    v->state->vendor = ops->vendor;
}

enum status vcpu_create(struct cpu *cpu, struct pd *owner, u32 home, u64 state_page, struct vcpu **out)
{
    struct kern *const k = kern();
    if (home >= k->cpu_count)
        return STATUS_CPU;
    if (!k->virt || !k->cpu[home]->virt.region)
        return STATUS_FEATURE;
    struct space_mem *space;
    enum status s = pd_guest(owner, &space);
    if (s != OK)
        return s;
    void *p;
    s = pd_alloc(owner, sizeof(struct vcpu), &p);
    if (s != OK)
        return s;
    struct vcpu *const v = p;
    object_init(&v->object, OBJ_VCPU, owner, home);
    v->space = space;
    v->vmm = cpu->current ? cpu->current->pd : owner;
    pd_hold(v->vmm);
    v->state_page = state_page;
    v->fpu_bytes = fpu_image_bytes();
    v->xcr0 = 1;
    s = vcpu_fill(v);
    if (s != OK) {
        vcpu_free(cpu, v);
        return s;
    }
    vcpu_header(v);
    v->id = (u32)atomic_fetch_add(&k->vcpu_count, 1);
    *out = v;
    return OK;
}

static void vcpu_finish(struct cpu *cpu, struct epoch_item *item)
{
    vcpu_free(cpu, container_of(item, struct vcpu, object.release));
}

static void vcpu_step(struct cpu *cpu, struct epoch_item *item)
{
    struct vcpu *const v = container_of(item, struct vcpu, object.release);
    u64 generation = 0;
    const enum status s = pd_unmap(cpu, v->vmm, v->state_page, v->state, VCPU_STATE_PAGES, &generation);
    item->release = s == OK ? vcpu_finish : vcpu_step;
    epoch_defer(cpu, item, generation);
}

void vcpu_destroy(struct cpu *cpu, struct vcpu *v)
{
    if (v->runner) {
        v->runner->resume.gpr[RAX] = STATUS_ABORT;
        vcpu_abandon(v->runner);
    }
    vcpu_step(cpu, &v->object.release);
}
