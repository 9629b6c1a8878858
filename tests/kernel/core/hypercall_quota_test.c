/* SPDX-License-Identifier: BSD-2-Clause */
/* Who pays for what a hypercall allocates, and what if it cannot? One table of everything that allocates, on VMX and on SVM: for each row the exact
 * price is found; then with any less, and with each allocation failing in its turn, there is a status and nothing has changed; with just the price it
 * succeeds, and its end gives all back. What does not allocate works with nothing left. */
#include "guest_fixture.h"
#include "portal.h"
#include "sm.h"

enum { A = 100, HANDLER = 104, CREATOR = 106, PAYER = 120, IDLE = 121, SERVER = 122, PORTAL = 123, VCPU = 124, SM = 125, NEW = 126, STEPS_MAX = 40 };
#define QUOTA  (1ul << 20)
#define PAGE   (FIXTURE_MEMORY >> PAGE_BITS)
#define UTCB   0x40000000ul   /* page tables are there: NEAR is mapped */
#define NEAR   ((UTCB >> PAGE_BITS) + 64)
#define TARGET ((UTCB >> PAGE_BITS) + 32)
#define FAR    0x80000ul      /* none yet: three tables */
#define LEAF   640ul          /* a selector whose leaf the payer has not made */

struct scene {
    struct fixture *f;
    struct ec *a, *server;
    struct pd *payer;
};

struct row {
    const char *name;
    u64 number, args[6];
    u64 holds_type, holds;        /* what the payer, or for objects root, has afterwards: space type and unit */
    u64 items;                    /* the answer is in the typed item: what it moves, 0: in RAX */
    u64 stays;                    /* bytes that stay when it is undone */
    bool tables;                  /* empty tables may stay when it fails */
    bool cuts;                    /* it takes a part away; when it fails, one of the two cuts may be made */
};

#define CREATE(what, ...) .name = #what, .number = HYPERCALL_##what, .args = { PAYER, NEW, __VA_ARGS__ }, .holds_type = SPACE_OBJECT, .holds = NEW
#define GIVE(from, to, rights) DELEGATE(1, rights, from, to)
static const struct row rows[] = {
    { CREATE(pd_create, 1 << 16, 0) },
    { CREATE(ec_create, UTCB, 0, 0, EC_CONFIG(0, EC_GLOBAL, 0)) },
    { CREATE(ec_create, UTCB, 0, 0, EC_CONFIG(0, EC_LOCAL | EC_FPU, 0)) },
    { CREATE(sc_create, IDLE, 1, 1000) },
    { CREATE(portal_create, HANDLER, 0x1000, 5) },
    { CREATE(sm_create, 3) },
    { CREATE(vcpu_create, 0, UTCB) },
    { .name = "delegate a capability", .number = HYPERCALL_delegate, .args = { FIXTURE_SEL_PD, PAYER, A, LEAF, GIVE(SPACE_OBJECT, SPACE_OBJECT, PERM_ALL) },
      .holds_type = SPACE_OBJECT, .holds = LEAF, .stays = PAGE_SIZE },
    { .name = "delegate memory", .number = HYPERCALL_delegate,
      .args = { FIXTURE_SEL_PD, PAYER, PAGE, TARGET, GIVE(SPACE_MEMORY, SPACE_MEMORY, RIGHT_R) }, .holds_type = SPACE_MEMORY, .holds = TARGET },
    { .name = "delegate memory far away", .number = HYPERCALL_delegate,
      .args = { FIXTURE_SEL_PD, PAYER, PAGE, FAR, GIVE(SPACE_MEMORY, SPACE_MEMORY, RIGHT_R) }, .holds_type = SPACE_MEMORY, .holds = FAR, .tables = true },
    { .name = "delegate to a guest", .number = HYPERCALL_delegate,
      .args = { FIXTURE_SEL_PD, PAYER, PAGE, TARGET, GIVE(SPACE_MEMORY, SPACE_GUEST, RIGHT_R) }, .holds_type = SPACE_GUEST, .holds = TARGET, .tables = true },
    { .name = "call with a capability", .number = HYPERCALL_call, .args = { PORTAL, MTR(0, 1) }, .items = SPACE_OBJECT + 1, .holds_type = SPACE_OBJECT,
      .holds = LEAF, .stays = PAGE_SIZE },
    { .name = "call with memory", .number = HYPERCALL_call, .args = { PORTAL, MTR(0, 1) }, .items = SPACE_MEMORY + 1, .holds_type = SPACE_MEMORY,
      .holds = TARGET },
    { .name = "revoke a part of memory", .number = HYPERCALL_revoke, .args = { PAYER, NEAR + 2, REVOKE(1, SPACE_MEMORY), REVOKE_SELF },
      .holds_type = SPACE_MEMORY, .holds = NEAR + 2, .cuts = true },
};

static struct pd *payer_make(struct scene *s)
{
    u64 done;
    struct pd *const pd = fixture_pd(s->f, QUOTA, PAYER);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE + 8, &pd->memory, NEAR, 8, RIGHT_R, &done), OK);
    struct space_mem *guest;
    assert_int_equal(pd_guest(pd, &guest), OK);
    fixture_ec(s->f, 0, pd, EC_GLOBAL, IDLE);
    s->server = fixture_handler(s->f, 0, pd, SERVER);
    s->server->utcb->window[SPACE_OBJECT] = (struct utcb_window){ LEAF, 1 };
    s->server->utcb->window[SPACE_MEMORY] = (struct utcb_window){ TARGET, 1 };
    return s->payer = pd;
}

static void payer_end(struct scene *s)
{
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, PAYER, 20, true), OK);
    fixture_settle(s->f);
}

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(1, (enum sim_vendor)(u64)*state);
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    fixture_handler(s.f, 0, s.f->pd, HANDLER);
    fixture_run(s.f, 0);
    u64 done;   /* the state pages of a vCPU appear in its creator */
    assert_int_equal(space_mem_delegate(&s.f->pd->memory, PAGE + 20, &s.f->pd->memory, NEAR, 1, RIGHT_R, &done), OK);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

static u64 used(const struct scene *s)
{
    return atomic_load(&s->payer->quota.used);
}

/* A PD hands on its limit, too. */
static u64 headroom(const struct scene *s)
{
    return atomic_load(&s->payer->quota.limit) - used(s);
}

static u64 ask(struct scene *s, const struct row *r)
{
    if (r->items) {
        const u64 base = r->items == SPACE_OBJECT + 1 ? A : PAGE;
        s->a->utcb->item[0] = (struct utcb_item){ .base = base, .count = 1, .rights = RIGHT_R, .type = (u16)(r->items - 1) };
    }
    const u64 status = fixture_call_(s->f, s->a, r->number, r->args, 6);
    if (!r->items)
        return status;
    fixture_call(s->f, s->server, HYPERCALL_reply, 0);
    assert_int_equal(s->a->resume.gpr[RAX], OK);   /* an item fails alone */
    return s->a->utcb->item[0].status;
}

static bool holds(const struct scene *s, const struct row *r)
{
    u64 frame;
    u32 type, rights;
    const struct pd *const pd = r->holds == NEW ? s->f->pd : s->payer;
    if (r->holds_type == SPACE_OBJECT)
        return space_obj_peek(&pd->objects, r->holds, &type, &rights);
    return space_mem_lookup(r->holds_type == SPACE_GUEST ? &s->payer->guest : &s->payer->memory, r->holds, &frame, &rights);
}

static void undo(struct scene *s, const struct row *r)
{
    struct cpu *const cpu = fixture_cpu(s->f, 0);
    u64 generation;
    if (r->cuts)
        return;   /* ends with the payer */
    if (r->holds == NEW)
        assert_int_equal(space_obj_revoke(cpu, &s->f->pd->objects, NEW, 1, true), OK);
    else if (r->holds_type == SPACE_OBJECT)
        assert_int_equal(space_obj_revoke(cpu, &s->payer->objects, r->holds, 1, true), OK);
    else
        assert_int_equal(space_mem_revoke(cpu, &s->f->pd->memory, PAGE, 1, false, &generation), OK);
    fixture_settle(s->f);
}

/* It was refused: nobody has, or lost, or paid, anything. */
static void unchanged(struct scene *s, const struct row *r, struct fixture_books before, u64 used_before)
{
    const u64 stays = r->tables ? 3 * PAGE_SIZE : r->cuts ? mem_charge(sizeof(struct mem_range)) : 0;
    const struct fixture_books now = fixture_books(s->f);
    assert_int_equal(holds(s, r), r->cuts);
    assert_in_range(used(s), used_before, used_before + stays);
    assert_int_equal(now.used, before.used);
    assert_int_equal(now.kernel_used, before.kernel_used);
    assert_int_equal(before.free - now.free, used(s) - used_before);
}

static u64 price_of(struct scene *s, const struct row *r)
{
    payer_make(s);
    const u64 before = headroom(s);
    assert_int_equal(ask(s, r), OK);
    fixture_settle(s->f);
    const u64 price = before - headroom(s);
    assert_int_equal(holds(s, r), !r->cuts);
    payer_end(s);
    return price;
}

static void refused_below(struct scene *s, const struct row *r, u64 price)
{
    const struct fixture_books before = fixture_books(s->f);
    const u64 base = used(s), less[] = { 0, MEM_ALIGN, price / 3, price / 2, price - MEM_ALIGN };
    for (u32 i = 0; i < array_size(less); i++) {
        atomic_store(&s->payer->quota.limit, base + min(less[i], price - 1));
        assert_int_equal(ask(s, r), STATUS_QUOTA);
        atomic_store(&s->payer->quota.limit, QUOTA);
        unchanged(s, r, before, base);
    }
}

static void refused_without_memory(struct scene *s, const struct row *r)
{
    const struct fixture_books before = fixture_books(s->f);
    const u64 base = used(s);
    u64 status = STATUS_MEMORY, n = 1;
    for (;; n++) {
        assert_true(n < STEPS_MAX);
        sim_unit_fail(s->f->sim, n);
        status = ask(s, r);
        sim_unit_fail(s->f->sim, 0);
        if (status == OK)
            break;
        assert_int_equal(status, STATUS_MEMORY);
        unchanged(s, r, before, base);
    }
    assert_true(n > 1);
}

static void each_row(void **state)
{
    struct scene *s = *state;
    for (u32 i = 0; i < array_size(rows); i++) {
        const struct row *const r = &rows[i];
        const struct fixture_books before = fixture_books(s->f);
        const u64 price = price_of(s, r);
        assert_true(price >= MEM_ALIGN);
        payer_make(s);
        const u64 base = used(s);
        refused_below(s, r, price);
        refused_without_memory(s, r);   /* the last try succeeds */
        undo(s, r);
        assert_in_range(used(s), base, base + (r->cuts ? price : r->stays));
        if (!r->cuts && !r->stays) {
            atomic_store(&s->payer->quota.limit, base + price);
            assert_int_equal(ask(s, r), OK);
            assert_int_equal(headroom(s), 0);
            undo(s, r);
            assert_int_equal(used(s), base);
            atomic_store(&s->payer->quota.limit, QUOTA);
        }
        payer_end(s);
        fixture_balanced(s->f, before);
    }
}

/* ---- What does not allocate ---- */

static const struct {
    u64 number, args[4], answer;
} free_of_charge[] = {
    { HYPERCALL_null, { 0 }, OK },
    { HYPERCALL_lookup, { PAYER, SPACE_MEMORY, NEAR }, OK },
    { HYPERCALL_revoke, { PAYER, NEAR, REVOKE(8, SPACE_MEMORY), REVOKE_SELF }, OK },   /* its edges are those it was given with */
    { HYPERCALL_sm_up, { SM }, OK },
    { HYPERCALL_sm_down, { SM, 0, 0 }, OK },
    { HYPERCALL_vcpu_run, { VCPU }, OK },   /* its first */
    { HYPERCALL_vcpu_fetch, { VCPU, VCPU_GROUP_RIP | VCPU_GROUP_FPU }, OK },
    { HYPERCALL_vcpu_kick, { VCPU }, OK },
    { HYPERCALL_vcpu_run, { VCPU }, OK },   /* kicked */
    { HYPERCALL_trace, { VCPU, 1 << 8 | 8, 0x1000, 7 }, OK },
    { HYPERCALL_clock, { 0 }, OK },
    { HYPERCALL_portal_ctrl, { PORTAL, 5 }, OK },
    { HYPERCALL_pd_info, { PAYER }, OK },
    { HYPERCALL_console, { 0, 0, 0, 0 }, OK },
    { HYPERCALL_sc_info, { A + 1 }, OK },
    { HYPERCALL_delegate, { FIXTURE_SEL_PD, PAYER, A, 1 }, OK },   /* filled in: one unit, into a leaf that is there */
};

static void what_is_free(void **state)
{
    struct scene *s = *state;
    struct fixture *const f = s->f;
    payer_make(s);
    assert_int_equal(fixture_call(f, s->a, HYPERCALL_vcpu_create, PAYER, VCPU, 0, UTCB), OK);
    assert_int_equal(fixture_call(f, s->a, HYPERCALL_sm_create, PAYER, SM, 0), OK);
    assert_int_equal(space_obj_reserve(&s->payer->objects, 1, &(struct cap_slot *){ NULL }), OK);
    struct quota *const quotas[] = { &s->payer->quota, &f->pd->quota, &f->k->quota };
    u64 limit[array_size(quotas)];
    for (u32 i = 0; i < array_size(quotas); i++) {
        limit[i] = atomic_load(&quotas[i]->limit);
        atomic_store(&quotas[i]->limit, atomic_load(&quotas[i]->used));
    }
    for (u32 i = 0; i < array_size(free_of_charge); i++) {
        u64 args[6] = { 0 };
        for (u32 n = 0; n < 4; n++)
            args[n] = free_of_charge[i].args[n];
        args[4] = free_of_charge[i].number == HYPERCALL_delegate ? GIVE(SPACE_OBJECT, SPACE_OBJECT, PERM_ALL) : 0;
        sim_unit_fail(f->sim, 1);
        assert_int_equal(fixture_call_(f, s->a, free_of_charge[i].number, args, 6), free_of_charge[i].answer);
        sim_unit_fail(f->sim, 0);
    }
    fixture_call(f, s->a, HYPERCALL_call, PORTAL, MTR(512, 0));
    fixture_call(f, s->server, HYPERCALL_reply, MTR(512, 0));
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    for (u32 i = 0; i < array_size(quotas); i++)
        atomic_store(&quotas[i]->limit, limit[i]);
    payer_end(s);
}

/* Every hypercall is in one of the two tables; shutdown ends the machine, reply was made above. */
static void no_hypercall_is_left_out(void **state)
{
    bool seen[HYPERCALL_COUNT] = { [HYPERCALL_reply] = true, [HYPERCALL_shutdown] = true };
    for (u32 i = 0; i < array_size(rows); i++)
        seen[rows[i].number] = true;
    for (u32 i = 0; i < array_size(free_of_charge); i++)
        seen[free_of_charge[i].number] = true;
    for (u32 i = 0; i < HYPERCALL_COUNT; i++)
        assert_true(seen[i]);
}

/* ---- Neighbours ---- */

static u64 semaphores_until_refused(struct scene *s, u64 pd)
{
    u64 made = 0;
    while (fixture_call(s->f, s->a, HYPERCALL_sm_create, pd, 2000 + made, 0) == OK)
        made++;
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_QUOTA);
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, 2000, made, true), OK);
    fixture_settle(s->f);
    return made;
}

/* What one gets does not depend on what its neighbour has taken; pd_info tells how much that is. */
static void a_neighbour_that_takes_all(void **state)
{
    enum { GREEDY = 130, MODEST = 131, SMALL = 1 << 16, COUNT = 1000 };
    struct scene *s = *state;
    for (u64 i = 0; i < COUNT; i += OBJ_LEAF_SLOTS)
        assert_int_equal(space_obj_reserve(&s->f->pd->objects, 2000 + i, &(struct cap_slot *){ NULL }), OK);
    struct pd *const greedy = fixture_pd(s->f, QUOTA / 4, GREEDY), *const modest = fixture_pd(s->f, SMALL, MODEST);
    const u64 alone = semaphores_until_refused(s, MODEST), limit = atomic_load(&modest->quota.limit);
    const u64 left = atomic_load(&s->f->pd->quota.limit) - atomic_load(&s->f->pd->quota.used);
    assert_in_range(alone, 2, COUNT);
    for (u64 i = 0; fixture_call(s->f, s->a, HYPERCALL_ec_create, GREEDY, 400 + i, UTCB + i * 0x4000, 0, 0, 0) == OK; i++)
        assert_true(i < 500);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_QUOTA);
    assert_int_equal(semaphores_until_refused(s, MODEST), alone);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_info, MODEST), OK);
    assert_int_equal(s->a->resume.gpr[RDX], limit);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_info, GREEDY), OK);
    assert_int_equal(s->a->resume.gpr[RSI], atomic_load(&greedy->quota.used));
    assert_int_equal(s->a->resume.gpr[RDX], QUOTA / 4);
    assert_in_range(s->a->resume.gpr[RSI], QUOTA / 4 - sizeof(struct ec) - sizeof(struct utcb) - 2 * PAGE_SIZE, QUOTA / 4);
    assert_int_equal(atomic_load(&s->f->pd->quota.limit) - atomic_load(&s->f->pd->quota.used), left);
}

#define T(test, vendor) { #test "_" #vendor, test, setup, teardown, (void *)(u64)SIM_##vendor }
TEST_GROUP(hypercall_quota, T(each_row, VMX), T(each_row, SVM), T(what_is_free, VMX), T(what_is_free, SVM), T(a_neighbour_that_takes_all, VMX),
           cmocka_unit_test(no_hypercall_is_left_out));
