/* SPDX-License-Identifier: BSD-2-Clause */
/* Can a VPID or ASID ever mean two things? Many vCPUs of one CPU are run, made stale, flushed, ended and made anew in a random order, with few tags. A model says
 * whose each tag is since the last flush of all: nobody else may enter the guest under it. There is nothing else to recycle: host spaces have no PCIDs. */
#include "abi/hypercall.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "vmx_x86.h"

enum { VCPUS = 5, SEL = 220, OPERATIONS = 1000, TAGS_MAX = 7 };
#define STATE(n) (GUEST_STATE + 0x10000ul + 0x2000ul * (n))

struct model {
    struct guest *g;
    struct cpu *cpu;
    struct vcpu *v[VCPUS];
    u64 version[VCPUS];              /* another one: what was cached for it is stale */
    u64 owner[TAGS_MAX + 1];         /* who used the tag since the last flush; 0: nobody */
    u64 versions, wraps, seed, flushes_before;
    u64 tag;
    bool flushed;
};

static u64 below(struct model *m, u64 bound)
{
    m->seed = m->seed * 6364136223846793005ul + 1442695040888963407ul;
    return (m->seed >> 33) % bound;
}

static void stale(struct model *m, u32 n)
{
    m->version[n] = ++m->versions;
}

static void make(struct model *m, u32 n)
{
    struct fixture *const f = m->g->f;
    struct object *o;
    assert_int_equal(fixture_call(f, m->g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, SEL + n, 0, STATE(n)), OK);
    assert_int_equal(space_obj_lookup(&f->pd->objects, SEL + n, OBJ_VCPU, 0, &o), OK);
    m->v[n] = container_of(o, struct vcpu, object);
    assert_int_equal(fixture_call(f, m->g->ec, HYPERCALL_vcpu_run, SEL + n), OK);
    m->v[n]->state->dirty = 0;
    stale(m, n);
}

static void end(struct model *m, u32 n)
{
    assert_int_equal(fixture_call(m->g->f, m->g->ec, HYPERCALL_revoke, FIXTURE_SEL_PD, SEL + n, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), OK);
    fixture_settle(m->g->f);
}

/* In the guest: under which tag, and what did this entry flush? */
static void look(struct guest *g, struct sim_guest *guest)
{
    struct model *const m = (struct model *)g->arg;
    const struct vcpu *const v = g->ec->vcpu;
    m->tag = g->vendor == SIM_VMX ? mach_vmread(VMCS_VPID) : vmcb_get32(v, VMCB(asid));
    m->flushed = g->vendor == SIM_VMX ? g->flushes > m->flushes_before : vmcb_get(v, VMCB(asid)) >> 32 == SVM_TLB_ALL;
}

static void entered(struct model *m, u32 n)
{
    assert_int_equal(m->g->entries, 1);
    assert_in_range(m->tag, 1, m->cpu->virt.tag_limit);
    if (m->flushed) {
        for (u32 t = 0; t <= TAGS_MAX; t++)
            m->owner[t] = 0;
        m->wraps++;
    }
    if (m->owner[m->tag] && m->owner[m->tag] != m->version[n])
        fail_msg("tag %lu of vCPU %u was another's (%lu, not %lu)", m->tag, n, m->owner[m->tag], m->version[n]);
    m->owner[m->tag] = m->version[n];
}

static void run(struct model *m, u32 n, u32 dirty)
{
    struct guest *const g = m->g;
    if (dirty)
        stale(m, n);
    m->v[n]->state->dirty = dirty;
    m->flushes_before = g->flushes;
    g->entries = 0;
    fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, SEL + n);
    while (guest_inside(g))
        assert_true(guest_step(g));
    assert_int_equal(g->ec->resume.gpr[RAX], OK);
    entered(m, n);
}

static void flush(struct model *m)
{
    m->g->f->k->virt->flush(fixture_cpu(m->g->f, 0));
    for (u32 n = 0; m->g->vendor == SIM_SVM && n < VCPUS; n++)
        stale(m, n);   /* VMX has dropped it all itself */
}

static void operation(struct model *m)
{
    const u32 n = (u32)below(m, VCPUS);
    switch (below(m, 8)) {
    case 0:
        flush(m);
        break;
    case 1:
        end(m, n);
        make(m, n);
        break;
    case 2:
        run(m, n, VCPU_GROUP_EFER);
        break;
    default:
        run(m, n, 0);
    }
}

/* Fewer than vCPUs, and more. */
static void nobody_shares(void **state)
{
    for (u32 limit = 1; limit <= TAGS_MAX; limit++) {
        struct model m = { .g = guest_open_cpus(2, VENDOR(state)), .seed = limit };
        struct fixture *const f = m.g->f;
        m.cpu = f->k->cpu[0];
        m.g->arg = (u64)&m;
        m.g->before = look;
        m.cpu->virt.tag_limit = limit;
        m.cpu->virt.tag_next = limit + 1;   /* the first that is asked for begins anew */
        const u64 other_next = f->k->cpu[1]->virt.tag_next, other_epoch = f->k->cpu[1]->virt.tag_epoch;
        for (u32 n = 0; n < VCPUS; n++)
            make(&m, n);
        for (u32 i = 0; i < OPERATIONS; i++)
            operation(&m);
        assert_true(m.wraps >= OPERATIONS / 8 / (limit + 1) / 2);
        assert_int_equal(f->k->cpu[1]->virt.tag_next, other_next);
        assert_int_equal(f->k->cpu[1]->virt.tag_epoch, other_epoch);
        for (u32 n = 0; n < VCPUS; n++)
            end(&m, n);
        m.g->before = NULL;
        guest_close(m.g);
    }
}

GUEST_GROUP(tags, GUEST_TEST(nobody_shares));
