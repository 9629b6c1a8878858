/* SPDX-License-Identifier: BSD-2-Clause */
/* Effects of hypercalls on the model, once the kernel has said what was predicted. */
#include "portal.h"
#include "predict.h"
#include "vcpu.h"
#include "view.h"

static u64 frame_of(const void *memory)
{
    return mach_virt_to_phys(memory) >> PAGE_BITS;
}

/* The two pages that a new EC or vCPU shows in a PD. */
static void show(struct m_object *o, struct m_object *home, u64 page, const void *memory)
{
    o->home = home;
    home->users++;
    o->page = page;
    o->frame = frame_of(memory);
    for (u64 i = 0; i < 2; i++)
        m_page_add(&home->space[0], page + i, o->frame + i, RIGHT_R | RIGHT_W, NULL);
}

static void bind(struct m_object *o, struct m_object *ec)
{
    o->ec = ec;
    o->cpu = ec->cpu;
    ec->refs++;
}

static void ec_made(struct m_call *c, struct m_object *o)
{
    o->cpu = (u32)(c->a[5] & 0xff);
    o->local = c->a[5] >> 8 & EC_LOCAL;
    o->state = o->local ? M_IDLE : M_READY;
    o->stack = c->a[4];
    show(o, c->pd, c->a[2] >> PAGE_BITS, ((struct ec *)o->kernel)->utcb);
}

static void pd_made(struct m_call *c, struct m_object *o)
{
    m_pd_init(o, c->a[2], (u32)c->a[3], c->m->root->space[1].end);
    c->pd->limit -= c->a[2];
}

static void made(struct m_call *c, enum object_type type, void *kernel)
{
    struct m_object *const o = m_object_new(c->m, type, c->pd, view_bytes(type, type == OBJ_EC && c->a[5] >> 8 & EC_FPU), c->ec->cpu);
    o->kernel = kernel;
    m_slot_fill(m_slot_make(c->ec->home, c->a[1]), o, PERM_ALL, NULL);
    if (type == OBJ_PD)
        pd_made(c, o);
    if (type == OBJ_EC)
        ec_made(c, o);
    if (type == OBJ_SC || type == OBJ_PORTAL)
        bind(o, c->object);
    if (type == OBJ_SC)
        c->object->sc = o;
    o->priority = (u32)c->a[3];
    o->ip = c->a[3];
    o->id = c->a[4];
    o->count = c->a[2];
    if (type == OBJ_VCPU) {
        o->cpu = (u32)c->a[2];
        c->pd->space[1].made = true;
        show(o, c->ec->home, c->a[3] >> PAGE_BITS, ((struct vcpu *)kernel)->state);
    }
}

static void sm_down(struct m_call *c)
{
    if (c->status == OK) {
        c->object->count = c->a[1] & SM_DOWN_ZERO ? 0 : c->object->count - 1;
    } else if (c->status == STATUS_BLOCKED) {
        struct m_object **at = &c->object->first;
        while (*at)
            at = &(*at)->queue_next;
        *at = c->ec;
        c->ec->state = M_WAITING;
        c->ec->sm = c->object;
        c->ec->deadline = c->a[2];
    }
}

static void space(struct m_call *c)
{
    if (c->op->number == HYPERCALL_revoke)
        m_revoke_apply(c);
    else
        m_delegate_apply(c);
}

static void vcpu(struct m_call *c)
{
    if (c->op->number == HYPERCALL_vcpu_kick)
        c->object->kicked = true;
    else if (c->op->number == HYPERCALL_vcpu_run && c->object->started)
        c->object->kicked = c->kick_stays;
    else if (c->op->number == HYPERCALL_vcpu_run)
        c->object->started = true;
}

void m_apply(struct m_call *c, void *kernel)
{
    static const enum object_type makes[HYPERCALL_COUNT] = {
        [HYPERCALL_pd_create] = OBJ_PD, [HYPERCALL_ec_create] = OBJ_EC, [HYPERCALL_sc_create] = OBJ_SC, [HYPERCALL_portal_create] = OBJ_PORTAL,
        [HYPERCALL_sm_create] = OBJ_SM, [HYPERCALL_vcpu_create] = OBJ_VCPU,
    };
    if (c->op->number == HYPERCALL_call || c->op->number == HYPERCALL_reply)
        m_ipc_apply(c);
    if (c->op->number == HYPERCALL_sm_down)
        sm_down(c);
    if (c->status != OK)
        return;
    if (makes[c->op->number])
        made(c, makes[c->op->number], kernel);
    else if (c->op->number == HYPERCALL_delegate || c->op->number == HYPERCALL_revoke)
        space(c);
    else if (c->op->number >= HYPERCALL_vcpu_run && c->op->number <= HYPERCALL_vcpu_fetch)
        vcpu(c);
    else if (c->op->number == HYPERCALL_portal_ctrl)
        c->object->id = c->a[1];
    else if (c->op->number == HYPERCALL_sm_up && c->object->first)
        m_sm_wake(c->object, OK);
    else if (c->op->number == HYPERCALL_sm_up)
        c->object->count++;
}
