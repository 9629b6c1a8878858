/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations of lifetime.h: what is asked, of which subjects, with which answer, and what becomes of the subject. */
#include "lifetime_ops.h"
#include "ec.h"

#define X SUBJECT
#define NAMES(text, call, wanted, ...) .name = text, .number = HYPERCALL_##call, .names = wanted, .args = { __VA_ARGS__ }
#define OBJECT(text, call, does, ...)  .name = text, .number = HYPERCALL_##call, .names = LIFE_TYPES, .on = ON_OBJECT, .effect = does, .args = { __VA_ARGS__ }
#define MEMORY(text, call, does, ...)  .name = text, .number = HYPERCALL_##call, .names = LIFE_TYPES, .on = ON_MEMORY, .effect = does, .args = { __VA_ARGS__ }
#define ANY(text, call, does, ...)     .name = text, .number = HYPERCALL_##call, .names = LIFE_TYPES, .on = ON_ALL, .effect = does, .args = { __VA_ARGS__ }
#define ONE(type)                      DELEGATE(1, PERM_ALL, type, type)
#define PAGES(count, type)             DELEGATE(count, RIGHT_R, SPACE_MEMORY, type)

const struct life_op life_ops[] = {
    { NAMES("call", call, LIFE_PORTAL, X, 0), .answer = A_CALL, .home = true },
    { NAMES("portal_ctrl", portal_ctrl, LIFE_PORTAL, X, 7), .answer = ANSWERS },
    { NAMES("pd_create in it", pd_create, LIFE_PD, X, SEL_NEW, 0x8000, 0), .answer = ANSWERS },
    { NAMES("ec_create in it", ec_create, LIFE_PD, X, SEL_NEW, 0x70000000, 0, 0, 0), .answer = ANSWERS },
    { NAMES("sc_create in it", sc_create, LIFE_PD, X, SEL_NEW, SEL_SPARE, 1, 1000), .answer = ANSWERS },
    { NAMES("portal_create in it", portal_create, LIFE_PD, X, SEL_NEW, SEL_HANDLER, 0x1000, 1), .answer = ANSWERS },
    { NAMES("sm_create in it", sm_create, LIFE_PD, X, SEL_NEW, 1), .answer = ANSWERS },
    { NAMES("vcpu_create in it", vcpu_create, LIFE_PD, X, SEL_NEW, 0, 0x78000000), .answer = ANSWERS },
    { NAMES("delegate from it", delegate, LIFE_PD, X, SEL_ROOT, 0x12345, 0x12345, ONE(SPACE_MEMORY) & ~0xf800ul), .status = STATUS_RANGE, .answer = ANSWERS },
    { NAMES("delegate to it", delegate, LIFE_PD, SEL_ROOT, X, SEL_SPARE, 300, ONE(SPACE_OBJECT)), .answer = ANSWERS },
    { NAMES("revoke in it", revoke, LIFE_PD, X, 300, REVOKE(1, SPACE_OBJECT), 0), .answer = ANSWERS },
    { NAMES("lookup in it", lookup, LIFE_PD, X, SPACE_OBJECT, 300), .answer = ANSWERS },
    { NAMES("pd_info", pd_info, LIFE_PD, X), .answer = ANSWERS },
    { NAMES("sc_create of it", sc_create, LIFE_EC, SEL_ROOT, SEL_NEW, X, 1, 1000), .answer = A_SC },
    { NAMES("portal_create of it", portal_create, LIFE_EC, SEL_ROOT, SEL_NEW, X, 0x1000, 1), .answer = A_PORTAL },
    { NAMES("sc_info", sc_info, LIFE_SC, X), .answer = ANSWERS, .home = true },
    { NAMES("sm_up", sm_up, LIFE_SM, X), .answer = A_UP },
    { NAMES("sm_down", sm_down, LIFE_SM, X, 0, 0), .answer = A_DOWN },
    { NAMES("sm_down to zero", sm_down, LIFE_SM, X, SM_DOWN_ZERO, 0), .answer = A_DOWN },
    { NAMES("sm_down until", sm_down, LIFE_SM, X, 0, 1ul << 60), .answer = A_DOWN },
    { NAMES("sm_down not at all", sm_down, LIFE_SM, X, 0, 1), .answer = A_DOWN, .blocked = STATUS_TIMEOUT },
    { NAMES("vcpu_run", vcpu_run, LIFE_VCPU, X), .answer = A_RUN, .home = true },
    { NAMES("vcpu_kick", vcpu_kick, LIFE_VCPU, X), .answer = ANSWERS },
    { NAMES("vcpu_fetch", vcpu_fetch, LIFE_VCPU, X, VCPU_GROUP_RIP), .answer = A_FETCH, .home = true },
    { NAMES("trace", trace, LIFE_VCPU, X, 1 << 8 | 8, 0x1000), .answer = ANSWERS },

    { OBJECT("lookup", lookup, KEEPS, SEL_ROOT, SPACE_OBJECT, X), .answer = ANSWERS },
    { OBJECT("copy", delegate, KEEPS, SEL_ROOT, SEL_PARENT, X, X, ONE(SPACE_OBJECT)), .answer = ANSWERS },
    { OBJECT("copy onto it", delegate, KEEPS, SEL_ROOT, SEL_OWNER, SEL_SPARE, X, ONE(SPACE_OBJECT)), .status = STATUS_EXISTS, .answer = ANSWERS },
    { OBJECT("revoke what is derived", revoke, LOSES, SEL_OWNER, X, REVOKE(1, SPACE_OBJECT), 0), .answer = ANSWERS },
    { OBJECT("drop the copy", revoke, LOSES, SEL_ROOT, X, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), .answer = ANSWERS },
    { OBJECT("revoke", revoke, ENDS, SEL_OWNER, X, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), .answer = ANSWERS },
    { OBJECT("revoke its companion", revoke, KEEPS, SEL_OWNER, X + 1, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), .needs = S_COMPANION, .answer = ANSWERS },
    { ANY("revoke all of it", revoke, ENDS_ALL, SEL_OWNER, X, REVOKE(SUBJECT_COUNT, SPACE_OBJECT), REVOKE_SELF), .answer = ANSWERS },
    { ANY("revoke the owner", revoke, ENDS_OWNER, SEL_PARENT, SEL_OWNER, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), .answer = ANSWERS },
    { ANY("revoke the parent", revoke, ENDS_OWNER, SEL_ROOT, SEL_PARENT, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), .answer = ANSWERS },
    { ANY("revoke its partners", revoke, KEEPS, SEL_ROOT, PARTNER, REVOKE(SEL_EVENTS - PARTNER, SPACE_OBJECT), REVOKE_SELF), .partners = true, .answer = ANSWERS },
    { .name = "time passes", .happens = life_time_passes, .on = ON_ALL, .names = LIFE_TYPES, .effect = KEEPS, .answer = ANSWERS },
    { .name = "its thread faults", .happens = life_faults, .on = ON_ALL, .names = LIFE_TYPES, .needs = S_SELF, .effect = KEEPS, .answer = ANSWERS },

    { MEMORY("lookup", lookup, KEEPS, SEL_OWNER, SPACE_MEMORY, LIFE_PAGE), .answer = ANSWERS },
    { MEMORY("pass on", delegate, KEEPS, SEL_OWNER, SEL_PARENT, LIFE_PAGE, 0x61000, PAGES(1, SPACE_MEMORY)), .answer = ANSWERS },
    { MEMORY("pass to a guest", delegate, KEEPS, SEL_OWNER, SEL_OWNER, LIFE_PAGE, 9, PAGES(1, SPACE_GUEST)), .answer = ANSWERS },
    { MEMORY("map onto it", delegate, KEEPS, SEL_ROOT, SEL_OWNER, LIFE_SOURCE + 20, LIFE_PAGE, PAGES(1, SPACE_MEMORY)), .answer = A_MAP },
    { MEMORY("ec_create onto it", ec_create, KEEPS, SEL_OWNER, SEL_NEW, LIFE_PAGE << PAGE_BITS, 0, 0, 0), .answer = A_MAP },
    { MEMORY("revoke what is derived", revoke, KEEPS, SEL_OWNER, LIFE_PAGE, REVOKE(1, SPACE_MEMORY), 0), .answer = ANSWERS },
    { MEMORY("revoke", revoke, ENDS, SEL_OWNER, LIFE_PAGE, REVOKE(1, SPACE_MEMORY), REVOKE_SELF), .answer = ANSWERS },
    { MEMORY("revoke the source", revoke, ENDS, SEL_ROOT, LIFE_SOURCE, REVOKE(8, SPACE_MEMORY), 0), .excludes = S_HELD, .answer = ANSWERS },
    { MEMORY("revoke guest memory", revoke, KEEPS, SEL_OWNER, 0, REVOKE(1, SPACE_GUEST), REVOKE_SELF), .answer = ANSWERS },
};
const u32 life_op_count = array_size(life_ops);

static bool on(const struct life_state *s, const struct life_op *op)
{
    return op->on == ON_ALL || (op->on == ON_MEMORY) == (s->type == LIFE_MEMORY);
}

static bool by(const struct life_state *s, const struct life_op *op, enum life_by who)
{
    if (op->happens)
        return who == (op->needs & S_SELF ? SELF : HERE);
    return who != SELF || s->flags & S_SELF;
}

bool life_applies(const struct life_state *s, const struct life_op *op, enum life_by who)
{
    if (op->names != LIFE_TYPES ? s->type == LIFE_MEMORY : !on(s, op))
        return false;
    return by(s, op, who) && (s->flags & op->needs) == op->needs && !(s->flags & op->excludes);
}

bool life_matches(const struct life_state *s, const struct life_op *op)
{
    return op->names == LIFE_TYPES || op->names == s->type;
}

u64 life_answer(const struct life *l, const struct life_op *op)
{
    const struct life_state *const s = l->state;
    if (!life_matches(s, op))
        return STATUS_CAP;
    if (op->names != LIFE_TYPES && s->flags & S_REDUCED && l->by != SELF)
        return STATUS_PERM;
    if (op->home && l->by == THERE)
        return STATUS_CPU;
    if (op->number == HYPERCALL_call && l->by == SELF)
        return STATUS_BUSY;   /* its own portal */
    const u64 answer = op->answer == ANSWERS ? OK : s->answer[op->answer];
    if (answer == BLOCKED && op->blocked)
        return op->blocked;
    return answer == OK ? op->status : answer;
}

void life_time_passes(struct life *l)
{
    fixture_later(l->f, 2 * FIXTURE_BUDGET);
    fixture_interrupts(l->f);
}

void life_faults(struct life *l)
{
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 6), 0);
}
