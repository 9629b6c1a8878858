/* SPDX-License-Identifier: BSD-2-Clause */
/* Can every object be destroyed, and named, in every state it can be in, by whom ever? The table of lifetime.h, all cells, on VMX and on SVM. One
 * test per state. A cell is a state made anew and one operation; hypercalls that want another type of object change nothing and share one. After
 * what ends the subject, and after what takes root's capability away, every hypercall is asked once more: nobody may be found. */
#include "lifetime.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lifetime_ops.h"

static const struct {
    const struct life_state *states;
    const u32 *count;
} parts[] = {
    { life_thread_states, &life_thread_count },   { life_handler_states, &life_handler_count }, { life_time_states, &life_time_count },
    { life_passive_states, &life_passive_count }, { life_space_states, &life_space_count },
};

static struct life *shared;   /* of this group's vendor */
static u32 cells, after, void_cells;

static const char *who_text(enum life_by by)
{
    return by == HERE ? "CPU 0" : by == THERE ? "CPU 1" : "itself";
}

static void name_cell(const struct life_state *s, const char *op, enum life_by by)
{
    static char text[160];
    snprintf(text, sizeof(text), "%s, %s, by %s", s->name, op, who_text(by));
    life_cell = text;
}

static u64 ask(struct life *l, const struct life_op *op)
{
    return life_call_(l, l->act, op->number, op->args, 6);
}

static void answered(struct life *l, const struct life_op *op, u64 got, u64 wanted)
{
    if (got == BLOCKED && l->act->state == EC_WAIT_TLB && wanted == OK) {   /* it will be, once the other CPU has flushed */
        l->partner[PARTNERS - 1] = (struct life_partner){ .ec = l->act, .waits = true };
        return;
    }
    life_assert(got == wanted, "%s: answered %lu, not %lu", op->name, got, wanted);
}

/* Hypercalls that want another type. */
static void strangers(struct life *l)
{
    u32 asked = 0;
    for (u32 i = 0; i < life_op_count; i++) {
        const struct life_op *const op = &life_ops[i];
        if (!life_applies(l->state, op, l->by) || life_matches(l->state, op))
            continue;
        if (l->state->flags & S_BRIEF && asked++) {   /* the state is over */
            void_cells++;
            continue;
        }
        answered(l, op, ask(l, op), STATUS_CAP);
        cells++;
    }
}

static bool held(struct life *l, struct pd *pd, u64 selector)
{
    u32 type, perms;
    return space_obj_peek(&pd->objects, selector, &type, &perms);
}

/* Nobody finds it any more. */
static void nobody(struct life *l)
{
    life_actor(l, l->by == THERE ? THERE : HERE);
    for (u32 i = 0; i < life_op_count; i++) {
        const struct life_op *const op = &life_ops[i];
        if (op->names == LIFE_TYPES)
            continue;
        answered(l, op, ask(l, op), STATUS_CAP);
        after++;
    }
    life_rest(l);
}

static bool is_over(const struct life *l, const struct life_op *op)
{
    const bool held_up = l->state->flags & S_HELD;
    if (l->state->type == LIFE_MEMORY)
        return op->effect == ENDS || op->effect == ENDS_OWNER || (op->effect == ENDS_ALL && held_up);
    return op->effect > ENDS || (op->effect == ENDS && !held_up);
}

/* Who is told: partners of what has ended; a portal alone ends no call. */
static bool all_told(const struct life *l, const struct life_op *op)
{
    return is_over(l, op) && (op->effect > ENDS || l->state->type != LIFE_PORTAL);
}

static void object_after(struct life *l, const struct life_op *op)
{
    const bool gone = op->effect > KEEPS;
    life_assert(held(l, l->f->pd, SUBJECT) == !gone, "root's capability is %s", gone ? "still there" : "gone");
    if (op->effect < ENDS_OWNER)
        life_assert(held(l, l->owner, SUBJECT) == (op->effect < ENDS), "the owner's capability");
    if (gone)
        nobody(l);
}

static void memory_after(struct life *l, const struct life_op *op)
{
    u64 frame;
    u32 rights;
    if (op->effect == ENDS_OWNER)
        return;
    life_assert(space_mem_lookup(&l->owner->memory, LIFE_PAGE, &frame, &rights) == !is_over(l, op), "the page is held, or not, against all rules");
}

static void cell(struct life *l, const struct life_state *s, const struct life_op *op, enum life_by by)
{
    name_cell(s, op->name, by);
    life_begin(l, s, by);
    if (op->happens)
        op->happens(l);
    else
        answered(l, op, ask(l, op), life_answer(l, op));
    cells++;
    life_rest(l);
    if (all_told(l, op))
        life_told(l);
    if (op->effect == ENDS_ALL && s->type != LIFE_MEMORY)
        life_assert(atomic_load(&l->owner->quota.used) == l->owner_used, "the owner still pays");
    (s->type == LIFE_MEMORY ? memory_after : object_after)(l, op);
    life_end(l, op->effect == ENDS_OWNER);
}

static bool partners(struct life *l)
{
    return held(l, l->f->pd, PARTNER_AT(0)) || held(l, l->f->pd, PARTNER_AT(1));
}

/* The state in itself, and whether it has partners. */
static bool state_alone(struct life *l, const struct life_state *s, enum life_by by)
{
    name_cell(s, "hypercalls on other types", by);
    life_begin(l, s, by);
    const bool any = partners(l);
    strangers(l);
    life_rest(l);
    life_end(l, false);
    return any;
}

struct row {
    const struct life_state *state;
    u32 states;                      /* those before it */
    enum sim_vendor vendor;
    struct life *l;
};

static void all_cells(void *arg)
{
    const struct row *const r = arg;
    for (enum life_by by = HERE; by < LIFE_BYS; by++) {
        if (by == SELF && !(r->state->flags & S_SELF)) {
            void_cells += life_op_count;
            continue;
        }
        const bool any = state_alone(r->l, r->state, by);
        for (u32 i = 0; i < life_op_count; i++) {
            const struct life_op *const op = &life_ops[i];
            if (!life_applies(r->state, op, by) || (op->partners && !any))
                void_cells++;
            else if (life_matches(r->state, op))
                cell(r->l, r->state, op, by);
        }
    }
}

static void a_state(void **state)
{
    struct row *const r = *state;
    r->l = shared ? shared : life_open(r->vendor);
    shared = NULL;   /* a kernel in which a cell failed is not used again */
    const char *const message = sim_unit_expect_panic(r->l->f->sim, all_cells, r);
    if (message)
        life_fail("%s", message);
    shared = r->l;
}

static void the_domains_end(void **state)
{
    const struct row *const r = *state;
    if (shared) {
        life_part(shared);
        life_close(shared);
        shared = NULL;
    }
    const u32 all = cells + void_cells, some = cells, ended = after, others = void_cells;
    cells = after = void_cells = 0;
    assert_int_equal(all, r->states * life_op_count * LIFE_BYS);
    printf("# lifetime on %s: %u cells, %u hypercalls on what has ended; %u of the table do not apply\n", r->vendor == SIM_VMX ? "VMX" : "SVM", some,
           ended, others);
}

enum { STATES_MAX = 120 };
struct table {
    struct unit_group group;
    struct CMUnitTest tests[STATES_MAX];
    struct row rows[STATES_MAX];
};

static void table_add(struct table *t, const char *name, CMUnitTestFunction test, const struct life_state *s, enum sim_vendor vendor)
{
    const size_t n = t->group.count++;
    if (n >= STATES_MAX)
        abort();
    t->rows[n] = (struct row){ .state = s, .states = (u32)n, .vendor = vendor };
    t->tests[n] = (struct CMUnitTest){ .name = name, .test_func = test, .initial_state = &t->rows[n] };
}

static void table_register(struct table *t, const char *name, enum sim_vendor vendor)
{
    t->group = (struct unit_group){ .name = name, .tests = t->tests };
    for (u32 p = 0; p < array_size(parts); p++)
        for (u32 i = 0; i < *parts[p].count; i++)
            table_add(t, parts[p].states[i].name, a_state, &parts[p].states[i], vendor);
    table_add(t, "the domains end", the_domains_end, NULL, vendor);
    unit_register(&t->group);
}

#define LIFE_TABLE(name, vendor)                                        \
    __attribute__((constructor)) static void name##_register(void)      \
    {                                                                   \
        static struct table table;                                      \
        table_register(&table, #name, vendor);                          \
    }                                                                   \
    extern int name##_needs_semicolon
LIFE_TABLE(lifetime_svm, SIM_SVM);
LIFE_TABLE(lifetime_vmx, SIM_VMX);
