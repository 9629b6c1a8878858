/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations. Selectors and pages come from few places, so that operations meet; one argument in some is odd.
 * Whoever would wait for ever waits only while another CPU runs somebody who can end it, or with a deadline. */
#include "generate.h"
#include "abi/vcpu.h"
#include "choose.h"

struct source {
    struct fuzz *z;
    u64 *random;
    struct m_object *ec, *pd;   /* who calls; its PD */
    struct op op;
};

static u64 below(struct source *s, u64 n)
{
    return (choose_next(s->random) >> 16) % n;
}

static bool once_in(struct source *s, u64 n)
{
    return !below(s, n);
}

#define PICK(s, ...) ({ const u64 pick_[] = { __VA_ARGS__ }; pick_[below(s, array_size(pick_))]; })

/* ---- Arguments ---- */

static u64 odd_selector(struct source *s)
{
    return PICK(s, SEL_NULL, ~0ul, SEL_COUNT, SEL_COUNT - 1, 0, below(s, 200), bit(32) + below(s, 100), SEL_COUNT - 1 - below(s, 70));
}

/* A selector of pd that holds the type; of several any; OBJ_NONE: any type. */
static u64 held(struct source *s, const struct m_object *pd, enum object_type type)
{
    u64 found = odd_selector(s), count = 0;
    for (u64 i = 0; i < SEL_COUNT; i++) {
        const struct m_slot *const slot = m_slot_at(pd, i);
        if (!slot)
            i |= M_LEAF_SLOTS - 1;
        else if (slot->object && (type == OBJ_NONE || slot->object->type == type) && once_in(s, ++count))
            found = i;
    }
    return found;
}

static u64 selector(struct source *s, enum object_type type)
{
    if (once_in(s, 25))
        return odd_selector(s);
    return held(s, s->pd, once_in(s, 25) ? OBJ_NONE : type);
}

static struct m_object *named(struct source *s, u64 selector, enum object_type type)
{
    struct m_slot *const slot = m_slot_at(s->pd, selector);
    return slot && slot->object && slot->object->type == type ? slot->object : s->pd;
}

/* Mostly one that lives on the caller's CPU. */
static u64 selector_here(struct source *s, enum object_type type)
{
    u64 found = selector(s, type);
    for (u32 i = 0; i < 6 && named(s, found, type)->cpu != s->op.cpu; i++)
        found = selector(s, type);
    return found;
}

static u64 slot(struct source *s)
{
    return once_in(s, 12) ? odd_selector(s) : once_in(s, 6) ? held(s, s->pd, OBJ_NONE) : 10 + below(s, 150);
}

static u64 odd_page(struct source *s)
{
    return PICK(s, 0, 1, (USER_END >> PAGE_BITS) - 1 - below(s, 4), USER_END >> PAGE_BITS, bit(35), bit(36), bit(36) - 1, ~0ul, bit(52) + 5, bit(20) - 3);
}

static u64 free_page(struct source *s)
{
    if (once_in(s, 15))
        return odd_page(s);
    return once_in(s, 6) ? 0x80000 + 512 * below(s, 6) : 0x100000 + below(s, 96);
}

static u64 held_page(struct source *s, const struct m_space *space)
{
    u64 found = free_page(s), count = 0;
    if (once_in(s, 15) || !space->count)
        return found;
    for (u32 b = (u32)below(s, M_BUCKETS), n = 0; n < M_BUCKETS && count < 4; n++, b = (b + 1) % M_BUCKETS)
        for (const struct m_page *p = space->bucket[b]; p; p = p->next)
            if (once_in(s, ++count))
                found = p->page;
    return once_in(s, 8) ? align_down(found, 512ul) : found;
}

static u64 units(struct source *s)
{
    if (once_in(s, 25))
        return PICK(s, 0, bit(36), bit(36) + 1, bit(35), bit(44), SEL_COUNT, bit(47));
    if (once_in(s, 12))
        return PICK(s, 512, 511, 513, 64, 65, 600, 128, 1024);
    return 1 + below(s, PICK(s, 1, 1, 2, 4, 12));
}

static u64 rights(struct source *s, u64 type)
{
    if (once_in(s, 20))
        return below(s, 256);
    return type == SPACE_OBJECT ? (once_in(s, 2) ? PERM_ALL : below(s, 32)) : RIGHT_R | below(s, 8);
}

static u64 address(struct source *s)
{
    return once_in(s, 20) ? PICK(s, ~0ul, USER_END, USER_END - PAGE_SIZE, USER_END - 2 * PAGE_SIZE, 1, bit(63)) : (0x20000 + 2 * below(s, 48)) << PAGE_BITS;
}

/* ---- Hypercalls ---- */

static void create(struct source *s)
{
    struct op *const o = &s->op;
    o->args[0] = selector(s, OBJ_PD);
    o->args[1] = slot(s);
    switch (o->number) {
    case HYPERCALL_pd_create:
        o->args[2] = once_in(s, 12) ? PICK(s, 0, 4096, 8191, 8192, ~0ul, bit(40)) : PICK(s, 10, 16, 40, 100, 200, 400) * PAGE_SIZE;
        o->args[3] = once_in(s, 4) ? below(s, 8) : 0;
        break;
    case HYPERCALL_ec_create:
        o->args[2] = address(s) + (once_in(s, 30) ? 8 : 0);
        o->args[3] = once_in(s, 20) ? ~0ul : 0x400000;
        o->args[4] = 0x7fff0000;
        o->args[5] = EC_CONFIG(once_in(s, 20) ? below(s, 256) : below(s, s->z->m.cpus), once_in(s, 20) ? below(s, 256) : (u64)!once_in(s, 4) | 2 * below(s, 2),
                               once_in(s, 30) ? SEL_COUNT - 31 : 1024);
        break;
    case HYPERCALL_sc_create:
        o->args[2] = selector(s, OBJ_EC);
        o->args[3] = once_in(s, 30) ? PRIORITY_COUNT : below(s, PRIORITY_COUNT - 2);
        o->args[4] = once_in(s, 30) ? 0 : PICK(s, 1000000000, bit(40), ~0ul);
        break;
    case HYPERCALL_portal_create:
        o->args[2] = selector(s, OBJ_EC);
        o->args[3] = once_in(s, 30) ? USER_END : 0x500000 + below(s, 1000);
        o->args[4] = choose_next(s->random);
        break;
    case HYPERCALL_sm_create:
        o->args[2] = PICK(s, 0, 0, 1, 2, ~0ul - 1, ~0ul);
        break;
    default:
        o->args[2] = once_in(s, 15) ? PICK(s, 64, 65, 3, bit(32), ~0ul) : below(s, s->z->m.cpus);
        o->args[3] = address(s);
    }
}

static void space(struct source *s)
{
    struct op *const o = &s->op;
    const u64 type = once_in(s, 20) ? below(s, 16) : below(s, 3);
    o->args[0] = selector(s, OBJ_PD);
    const struct m_object *const pd = named(s, o->args[0], OBJ_PD);
    const u64 base = type == SPACE_OBJECT ? held(s, pd, OBJ_NONE) : held_page(s, &pd->space[type == SPACE_GUEST && o->number != HYPERCALL_delegate]);
    if (o->number == HYPERCALL_lookup) {
        o->args[1] = type;
        o->args[2] = base;
    } else if (o->number == HYPERCALL_revoke) {
        const bool self = once_in(s, 3);
        /* What root lives on is rarely taken: without it there is little left to do. */
        const bool vital = self && type == SPACE_OBJECT && pd == s->z->m.root && base <= FIXTURE_SEL_PD && !once_in(s, 20);
        o->args[1] = vital ? 10 + below(s, 150) : base;
        o->args[2] = REVOKE(self && type == SPACE_OBJECT && !once_in(s, 4) ? 1 : units(s), type);
        o->args[3] = once_in(s, 30) ? below(s, 4) : self;
        if (once_in(s, 40)) {
            o->args[3] |= bit(63);
            o->args[5] = once_in(s, 3) ? ~0ul : below(s, 5);
        }
    } else {
        o->args[1] = selector(s, OBJ_PD);
        o->args[2] = base;
        o->args[3] = type == SPACE_OBJECT ? slot(s) : free_page(s);
        if (type != SPACE_OBJECT && base % 512 == 0 && once_in(s, 2))
            o->args[3] = align_down(o->args[3], 512ul);
        o->args[4] = DELEGATE(units(s), rights(s, type), once_in(s, 30) ? below(s, 4) : type == SPACE_GUEST ? 1 : type, type);
        if (once_in(s, 40)) {
            o->args[4] |= bit(63);
            o->args[5] = once_in(s, 3) ? ~0ul : below(s, 5);
        }
    }
}

static void items(struct source *s, const struct m_object *to)
{
    struct op *const o = &s->op;
    o->items = once_in(s, 2) ? 0 : 1 + below(s, OP_ITEMS);
    o->window[0] = (struct utcb_window){ once_in(s, 15) ? odd_selector(s) : 10 + below(s, 150), once_in(s, 10) ? PICK(s, 0, ~0ul, 1) : 2 + below(s, 30) };
    o->window[1] = (struct utcb_window){ free_page(s), once_in(s, 10) ? PICK(s, 0, ~0ul, 1) : 2 + below(s, 600) };
    for (u32 i = 0; i < o->items; i++) {
        const u16 type = (u16)(once_in(s, 30) ? below(s, 5) : below(s, 2));
        const u64 base = type ? held_page(s, &s->pd->space[0]) : held(s, s->pd, OBJ_NONE);
        o->item[i] = (struct utcb_item){ .base = base, .count = units(s), .rights = (u32)rights(s, type), .type = type };
    }
    if (!to || !once_in(s, 2))
        return;
    o->rewrite = (struct op_rewrite){ 1 + below(s, once_in(s, 2) ? 6 : 40), below(s, WORD_STATE), 0 };
    if (o->rewrite.where == WORD_WINDOW_BASE || o->rewrite.where == WORD_WINDOW_COUNT)
        o->items = min(o->items, 1ul);   /* the first item tells which window it was */
    const u64 type = o->item[0].type == SPACE_MEMORY;
    const u64 value[] = { type ? held_page(s, &s->pd->space[0]) : held(s, s->pd, OBJ_NONE), units(s), rights(s, type), below(s, 3),
                          type ? free_page(s) : 10 + below(s, 150), below(s, 20), choose_next(s->random) };
    o->rewrite.value = value[o->rewrite.where];
}

static void ipc(struct source *s)
{
    struct op *const o = &s->op;
    const bool call = o->number == HYPERCALL_call;
    o->args[0] = call ? selector_here(s, OBJ_PORTAL) : 0;
    const struct m_object *const portal = call ? named(s, o->args[0], OBJ_PORTAL) : NULL;
    const struct m_object *const to = call ? portal->ec : s->ec->caller;
    items(s, to);
    u64 mtr = MTR(PICK(s, 0, 1, 2, 8, 64, 511, 512), o->items);
    if (once_in(s, 25))
        mtr = PICK(s, MTR(513, 0), MTR(0, 33), bit(32), ~0ul, mtr | bit(63), MTR(3, 32));
    o->args[call] = mtr;
}

static void semaphore(struct source *s)
{
    struct op *const o = &s->op;
    bool other = false;
    o->args[0] = selector(s, OBJ_SM);
    if (o->number == HYPERCALL_sm_up)
        return;
    for (u32 i = 0; i < s->z->m.cpus; i++)
        other |= i != o->cpu && fuzz_current(s->z, i);
    o->args[1] = once_in(s, 6) ? below(s, 3) : 0;
    o->args[2] = other && once_in(s, 2) ? 0 : PICK(s, 1, 100000, 1000000);
    o->relative = o->args[2] > 1;
}

static void vcpu(struct source *s)
{
    struct op *const o = &s->op;
    o->args[0] = selector_here(s, OBJ_VCPU);
    if (o->number == HYPERCALL_vcpu_fetch)
        o->args[1] = once_in(s, 10) ? choose_next(s->random) : choose_next(s->random) & VCPU_GROUP_ALL & ~s->z->m.groups_missing;
    if (o->number == HYPERCALL_trace)
        o->args[1] = once_in(s, 4) ? choose_next(s->random) >> below(s, 64) : below(s, 10) << 8 | below(s, 27);
    if (o->number != HYPERCALL_vcpu_run)
        return;
    o->dirty = choose_next(s->random) & choose_next(s->random) & (once_in(s, 10) ? ~0ul : ~0xfffffffful | (VCPU_GROUP_ALL & ~s->z->m.groups_missing));
    if (once_in(s, 2))
        o->rewrite = (struct op_rewrite){ 1 + below(s, once_in(s, 2) ? 6 : 60), WORD_STATE + (once_in(s, 2) ? below(s, 4) : below(s, 1024)), choose_next(s->random) };
}

static void other(struct source *s)
{
    struct op *const o = &s->op;
    for (u32 i = 0; i < OP_ARGS; i++)
        o->args[i] = choose_next(s->random) >> below(s, 64);
    if (o->number == HYPERCALL_pd_info)
        o->args[0] = selector(s, OBJ_PD);
    if (o->number == HYPERCALL_sc_info)
        o->args[0] = selector(s, OBJ_SC);
    if (o->number == HYPERCALL_portal_ctrl)
        o->args[0] = selector(s, OBJ_PORTAL);
    if (o->number == HYPERCALL_console)
        o->args[4] = below(s, 40);
    if (o->number >= HYPERCALL_COUNT)
        o->number = PICK(s, HYPERCALL_COUNT, HYPERCALL_COUNT + 1, ~0ul, bit(32) + 3, bit(31));
}

/* ---- Which ---- */

struct weighted {
    u32 weight;
    u32 number;
    void (*fill)(struct source *s);
};

static const struct weighted table[] = {
    { 1, HYPERCALL_null, other }, { 14, HYPERCALL_call, ipc }, { 12, HYPERCALL_reply, ipc }, { 4, HYPERCALL_pd_create, create },
    { 7, HYPERCALL_ec_create, create }, { 4, HYPERCALL_sc_create, create }, { 8, HYPERCALL_portal_create, create }, { 5, HYPERCALL_sm_create, create },
    { 4, HYPERCALL_vcpu_create, create }, { 22, HYPERCALL_delegate, space }, { 16, HYPERCALL_revoke, space }, { 4, HYPERCALL_lookup, space },
    { 8, HYPERCALL_sm_up, semaphore }, { 6, HYPERCALL_sm_down, semaphore }, { 4, HYPERCALL_vcpu_run, vcpu }, { 3, HYPERCALL_vcpu_kick, vcpu },
    { 2, HYPERCALL_vcpu_fetch, vcpu }, { 2, HYPERCALL_portal_ctrl, other }, { 2, HYPERCALL_pd_info, other }, { 1, HYPERCALL_console, other },
    { 1, HYPERCALL_shutdown, other }, { 1, HYPERCALL_sc_info, other }, { 1, HYPERCALL_clock, other },
    { 2, HYPERCALL_trace, vcpu }, { 1, HYPERCALL_COUNT, other },
};

static const struct weighted *choose(struct source *s)
{
    u64 sum = 0, at;
    for (u32 i = 0; i < array_size(table); i++)
        sum += table[i].weight;
    at = below(s, sum);
    const struct weighted *w = table;
    while (at >= w->weight)
        at -= w++->weight;
    return w;
}

/* Now and again objects are made; a reply by a thread that serves nobody says little. */
static bool is_dull(struct source *s, const struct weighted *w)
{
    if (w->number == HYPERCALL_reply && !s->ec->local)
        return !once_in(s, 20);
    return s->z->number % 250 < 60 && w->fill != create && w->number != HYPERCALL_delegate && !once_in(s, 4);
}

struct op generate(struct fuzz *z, u64 *random)
{
    struct source s = { .z = z, .random = random };
    const u32 first = (u32)below(&s, z->m.cpus);
    for (u32 i = 0; i < z->m.cpus && !s.ec; i++) {
        s.op.cpu = (first + i) % z->m.cpus;
        s.ec = fuzz_current(z, (u32)s.op.cpu);
    }
    if (!s.ec || once_in(&s, 60))
        return (struct op){ .number = OP_LATER, .args = { PICK(&s, 1000, 200000, 2000000) } };
    s.pd = s.ec->home;
    const struct weighted *w = choose(&s);
    while (is_dull(&s, w))
        w = choose(&s);
    s.op.number = w->number;
    w->fill(&s);
    if (once_in(&s, 20))
        s.op.fail = 1 + below(&s, once_in(&s, 2) ? 3 : 12);
    if (once_in(&s, 6))
        s.op.preempt = 1 + below(&s, 6);
    return s.op;
}
