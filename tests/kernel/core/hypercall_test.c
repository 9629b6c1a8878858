/* SPDX-License-Identifier: BSD-2-Clause */
/* Does each hypercall answer each wrong argument with the status the manual names, before it changes anything? */
#include "kernel_fixture.h"
#include "portal.h"
#include "sm.h"

/* Selectors of the fixture: an object of each kind, with all permissions at the base, with none at base + NONE. */
enum { EC = 100, SC = 101, HANDLER = 104, PORTAL = 105, SM = 110, PD = 112, SPARE = 113, REMOTE_EC = 114, REMOTE_SC = 115, REMOTE_HANDLER = 116,
       REMOTE_PORTAL = 117, NEW = 140, NONE = 100 };

struct scene {
    struct fixture *f;
    struct ec *ec;
};

static int setup(void **state)
{
    static struct scene s;
    u64 done;
    s.f = fixture_open(2, SIM_VMX);
    s.ec = fixture_thread(s.f, 0, s.f->pd, 10, EC);
    fixture_thread(s.f, 1, s.f->pd, 10, REMOTE_EC);
    fixture_handler(s.f, 0, s.f->pd, HANDLER);
    fixture_handler(s.f, 1, s.f->pd, REMOTE_HANDLER);
    fixture_pd(s.f, 1 << 20, PD);
    fixture_run(s.f, 1);
    fixture_run(s.f, 0);
    if (fixture_call(s.f, s.ec, HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0) != OK)
        return -1;
    struct space_obj *o = &s.f->pd->objects;
    if (space_obj_delegate(o, FIXTURE_SEL_PD, o, FIXTURE_SEL_PD + NONE + 1, 1, 0, &done) != OK)
        return -1;
    for (u64 i = EC; i <= PD; i++) {
        u32 type, perms;
        if (space_obj_peek(o, i, &type, &perms) && space_obj_delegate(o, i, o, i + NONE, 1, 0, &done) != OK)
            return -1;
    }
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

#define NO_PD (FIXTURE_SEL_PD + NONE + 1)   /* a PD capability without permissions */

struct row {
    u64 number, args[6];
    u64 status;
};

static void run_rows(void **state, const struct row *rows, u32 count)
{
    struct scene *s = *state;
    const struct fixture_books before = fixture_books(s->f);
    for (u32 i = 0; i < count; i++) {
        const u64 status = fixture_call_(s->f, s->ec, rows[i].number, rows[i].args, 6);
        if (status != rows[i].status)
            fail_msg("row %u: hypercall %lu: status %lu, not %lu", i, rows[i].number, status, rows[i].status);
        if (s->f->k->cpu[0]->current != s->ec)
            fail_msg("row %u: hypercall %lu: the caller does not go on", i, rows[i].number);
    }
    fixture_balanced(s->f, before);
}
#define ROWS(...)                                                                  \
    static const struct row rows[] = { __VA_ARGS__ };                              \
    run_rows(state, rows, array_size(rows))

static void null_and_unknown(void **state)
{
    ROWS({ HYPERCALL_null, { 0 }, OK }, { HYPERCALL_COUNT, { 0 }, STATUS_HYPERCALL }, { ~0ul, { 0 }, STATUS_HYPERCALL },
         { 1ul << 32, { 0 }, STATUS_HYPERCALL });
}

static void call_statuses(void **state)
{
    ROWS({ HYPERCALL_call, { 500, 0 }, STATUS_CAP }, { HYPERCALL_call, { SEL_NULL, 0 }, STATUS_CAP }, { HYPERCALL_call, { EC, 0 }, STATUS_CAP },
         { HYPERCALL_call, { ~0ul, 0 }, STATUS_CAP }, { HYPERCALL_call, { PORTAL + NONE, 0 }, STATUS_PERM },
         { HYPERCALL_call, { PORTAL, MTR(UTCB_WORDS + 1, 0) }, STATUS_ARG }, { HYPERCALL_call, { PORTAL, MTR(0, UTCB_ITEMS + 1) }, STATUS_ARG },
         { HYPERCALL_call, { PORTAL, 1ul << 32 }, STATUS_ARG }, { HYPERCALL_call, { REMOTE_PORTAL, 0 }, STATUS_CPU });
}

static void reply_statuses(void **state)
{
    ROWS({ HYPERCALL_reply, { 0 }, STATUS_ARG }, { HYPERCALL_reply, { MTR(UTCB_WORDS + 1, 0) }, STATUS_ARG });
}

static void pd_create_statuses(void **state)
{
    ROWS({ HYPERCALL_pd_create, { 500, NEW, 0x10000, 0 }, STATUS_CAP }, { HYPERCALL_pd_create, { EC, NEW, 0x10000, 0 }, STATUS_CAP },
         { HYPERCALL_pd_create, { NO_PD, NEW, 0x10000, 0 }, STATUS_PERM }, { HYPERCALL_pd_create, { FIXTURE_SEL_PD, SEL_COUNT, 0x10000, 0 }, STATUS_ARG },
         { HYPERCALL_pd_create, { FIXTURE_SEL_PD, SEL_NULL, 0x10000, 0 }, STATUS_ARG }, { HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, 0x10000, 4 }, STATUS_ARG },
         { HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, 0x10000, 1ul << 63 }, STATUS_ARG }, { HYPERCALL_pd_create, { FIXTURE_SEL_PD, EC, 0x10000, 0 }, STATUS_EXISTS },
         { HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, ~0ul, 0 }, STATUS_QUOTA }, { HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, 0, 0 }, STATUS_QUOTA },
         { HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, 4096, 0 }, STATUS_QUOTA });
}

static void pd_flags_are_inherited_only(void **state)
{
    struct scene *s = *state;
    s->f->pd->flags = PD_FLAG_CONSOLE;
    ROWS({ HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, 0x10000, PD_FLAG_SHUTDOWN }, STATUS_PERM }, { HYPERCALL_shutdown, { 0 }, STATUS_PERM });
    s->f->pd->flags = 0;
    static const struct row more[] = { { HYPERCALL_console, { 0, 0, 0, 0, 0 }, STATUS_PERM } };
    run_rows(state, more, 1);
}

#define UTCB 0x20000000ul
#define LAST (USER_END - 2 * PAGE_SIZE)
static void ec_create_statuses(void **state)
{
    ROWS({ HYPERCALL_ec_create, { 500, NEW, UTCB, 0, 0, 0 }, STATUS_CAP }, { HYPERCALL_ec_create, { NO_PD, NEW, UTCB, 0, 0, 0 }, STATUS_PERM },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, SEL_COUNT, UTCB, 0, 0, 0 }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB + 8, 0, 0, 0 }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, LAST + PAGE_SIZE, 0, 0, 0 }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, ~PAGE_MASK, 0, 0, 0 }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, USER_END, 0, 0 }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, 0, 0, EC_CONFIG(0, 4, 0) }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, 0, 0, EC_CONFIG(0, 0, SEL_COUNT - EC_EVENTS + 1) }, STATUS_ARG },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, 0, 0, EC_CONFIG(2, 0, 0) }, STATUS_CPU },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, 0, 0, EC_CONFIG(255, 0, 0) }, STATUS_CPU },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, EC, UTCB, 0, 0, 0 }, STATUS_EXISTS },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, FIXTURE_UTCB, 0, 0, 0 }, STATUS_EXISTS },
         { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, FIXTURE_UTCB - PAGE_SIZE, 0, 0, 0 }, STATUS_EXISTS });
}

static void sc_create_statuses(void **state)
{
    ROWS({ HYPERCALL_sc_create, { 500, NEW, EC, 1, 1 }, STATUS_CAP }, { HYPERCALL_sc_create, { NO_PD, NEW, EC, 1, 1 }, STATUS_PERM },
         { HYPERCALL_sc_create, { FIXTURE_SEL_PD, SEL_COUNT, EC, 1, 1 }, STATUS_ARG }, { HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, SM, 1, 1 }, STATUS_CAP },
         { HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, EC + NONE, 1, 1 }, STATUS_PERM }, { HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, HANDLER, 1, 1 }, STATUS_ARG },
         { HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, EC, PRIORITY_COUNT, 1 }, STATUS_ARG }, { HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, EC, 1, 0 }, STATUS_ARG },
         { HYPERCALL_sc_create, { FIXTURE_SEL_PD, EC, EC, 1, 1 }, STATUS_EXISTS }, { HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, EC, 1, 1 }, STATUS_BUSY });
}

static void portal_create_statuses(void **state)
{
    ROWS({ HYPERCALL_portal_create, { 500, NEW, HANDLER, 0, 0 }, STATUS_CAP }, { HYPERCALL_portal_create, { NO_PD, NEW, HANDLER, 0, 0 }, STATUS_PERM },
         { HYPERCALL_portal_create, { FIXTURE_SEL_PD, SEL_COUNT, HANDLER, 0, 0 }, STATUS_ARG },
         { HYPERCALL_portal_create, { FIXTURE_SEL_PD, NEW, PORTAL, 0, 0 }, STATUS_CAP },
         { HYPERCALL_portal_create, { FIXTURE_SEL_PD, NEW, HANDLER + NONE, 0, 0 }, STATUS_PERM },
         { HYPERCALL_portal_create, { FIXTURE_SEL_PD, NEW, EC, 0, 0 }, STATUS_ARG },
         { HYPERCALL_portal_create, { FIXTURE_SEL_PD, NEW, HANDLER, USER_END, 0 }, STATUS_ARG },
         { HYPERCALL_portal_create, { FIXTURE_SEL_PD, PORTAL, HANDLER, 0, 0 }, STATUS_EXISTS });
}

static void sm_statuses(void **state)
{
    ROWS({ HYPERCALL_sm_create, { 500, NEW, 0 }, STATUS_CAP }, { HYPERCALL_sm_create, { NO_PD, NEW, 0 }, STATUS_PERM },
         { HYPERCALL_sm_create, { FIXTURE_SEL_PD, SEL_COUNT, 0 }, STATUS_ARG }, { HYPERCALL_sm_create, { FIXTURE_SEL_PD, SM, 0 }, STATUS_EXISTS },
         { HYPERCALL_sm_up, { 500 }, STATUS_CAP }, { HYPERCALL_sm_up, { EC }, STATUS_CAP }, { HYPERCALL_sm_up, { SM + NONE }, STATUS_PERM },
         { HYPERCALL_sm_down, { 500 }, STATUS_CAP }, { HYPERCALL_sm_down, { SM + NONE }, STATUS_PERM }, { HYPERCALL_sm_down, { SM, 2, 0 }, STATUS_ARG },
         { HYPERCALL_sm_down, { SM, 0, 1 }, STATUS_TIMEOUT }, { HYPERCALL_sm_up, { SM }, OK }, { HYPERCALL_sm_down, { SM, 0, 1 }, OK });
}

static void vcpu_statuses(void **state)
{
    ROWS({ HYPERCALL_vcpu_create, { 500, NEW, 0, UTCB }, STATUS_CAP }, { HYPERCALL_vcpu_create, { NO_PD, NEW, 0, UTCB }, STATUS_PERM },
         { HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, SEL_COUNT, 0, UTCB }, STATUS_ARG },
         { HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, NEW, 0, UTCB + 1 }, STATUS_ARG }, { HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, NEW, 2, UTCB }, STATUS_CPU },
         { HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, NEW, ~0ul, UTCB }, STATUS_CPU }, { HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, EC, 0, UTCB }, STATUS_EXISTS },
         { HYPERCALL_vcpu_run, { 500 }, STATUS_CAP }, { HYPERCALL_vcpu_kick, { EC }, STATUS_CAP }, { HYPERCALL_vcpu_fetch, { 500, 0 }, STATUS_CAP },
         { HYPERCALL_trace, { 500, 1 << 8 }, STATUS_CAP }, { HYPERCALL_trace, { EC, 0 }, STATUS_CAP }, { HYPERCALL_clock, { 0 }, OK });
}

static void vcpu_needs_hardware(void **state)
{
    struct scene *s = *state;
    s->f->k->virt = NULL;
    ROWS({ HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, NEW, 0, UTCB }, STATUS_FEATURE },
         { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, FIXTURE_MEMORY >> PAGE_BITS, 0, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_GUEST) }, STATUS_FEATURE },
         { HYPERCALL_revoke, { PD, 0, REVOKE(1, SPACE_GUEST), 0 }, OK });
}

static void information_statuses(void **state)
{
    ROWS({ HYPERCALL_portal_ctrl, { 500, 0 }, STATUS_CAP }, { HYPERCALL_portal_ctrl, { PORTAL + NONE, 0 }, STATUS_PERM },
         { HYPERCALL_pd_info, { 500 }, STATUS_CAP }, { HYPERCALL_pd_info, { NO_PD }, STATUS_PERM }, { HYPERCALL_pd_info, { PD }, OK },
         { HYPERCALL_sc_info, { 500 }, STATUS_CAP }, { HYPERCALL_sc_info, { SC + NONE }, STATUS_PERM }, { HYPERCALL_sc_info, { REMOTE_SC }, STATUS_CPU },
         { HYPERCALL_sc_info, { SC }, OK }, { HYPERCALL_console, { 0, 0, 0, 0, 33 }, STATUS_ARG }, { HYPERCALL_console, { 0, 0, 0, 0, ~0ul }, STATUS_ARG });
}

static void space_statuses(void **state)
{
    const u64 page = FIXTURE_MEMORY >> PAGE_BITS;
    const struct row rows[] = {
        { HYPERCALL_delegate, { 500, PD, 0, 0, DELEGATE(1, 1, 0, 0) }, STATUS_CAP },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, 500, 0, 0, DELEGATE(1, 1, 0, 0) }, STATUS_CAP },
        { HYPERCALL_delegate, { NO_PD, PD, 0, 0, DELEGATE(1, 1, 0, 0) }, STATUS_PERM },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD + NONE, 0, 0, DELEGATE(1, 1, 0, 0) }, STATUS_PERM },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(0, 1, 0, 0) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(1, 0x20, 0, 0) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(1, 1, 0, 1) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(1, 1, 2, 2) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(1, 1, 0, 2) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(1, 1, 3, 3) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, 0, DELEGATE(DELEGATE_COUNT_MAX + 1, 1, 0, 0) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, ~0ul, 0, DELEGATE(2, 1, 1, 1) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, EC, SEL_COUNT, DELEGATE(1, 1, 0, 0) }, STATUS_ARG },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, 500, 0, DELEGATE(1, 1, 0, 0) }, STATUS_RANGE },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, FIXTURE_SEL_PD, EC, SC, DELEGATE(1, 1, 0, 0) }, STATUS_EXISTS },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, PD, page, 0, DELEGATE(FIXTURE_PAGES + 1, 1, 1, 1) }, STATUS_RANGE },
        { HYPERCALL_delegate, { FIXTURE_SEL_PD, FIXTURE_SEL_PD, page, page + 1, DELEGATE(1, 1, 1, 1) }, STATUS_EXISTS },
        { HYPERCALL_revoke, { 500, 0, REVOKE(1, 0), 0 }, STATUS_CAP },
        { HYPERCALL_revoke, { NO_PD, 0, REVOKE(1, 0), 0 }, STATUS_PERM },
        { HYPERCALL_revoke, { PD, 0, REVOKE(1, 3), 0 }, STATUS_ARG },
        { HYPERCALL_revoke, { PD, 0, REVOKE(0, 0), 0 }, STATUS_ARG },
        { HYPERCALL_revoke, { PD, 0, REVOKE(1, 0), 2 }, STATUS_ARG },
        { HYPERCALL_revoke, { PD, ~0ul, REVOKE(2, 1), 0 }, STATUS_ARG },
        { HYPERCALL_revoke, { PD, SEL_COUNT, REVOKE(1, 0), 0 }, STATUS_ARG },
        { HYPERCALL_revoke, { PD, 0, REVOKE(1, 0), 0 }, OK },
        { HYPERCALL_lookup, { 500, 0, 0 }, STATUS_CAP },
        { HYPERCALL_lookup, { NO_PD, 0, 0 }, STATUS_PERM },
        { HYPERCALL_lookup, { PD, 3, 0 }, STATUS_ARG },
        { HYPERCALL_lookup, { PD, 0, SEL_COUNT }, STATUS_ARG },
    };
    run_rows(state, rows, array_size(rows));
}

static void lookup_tells_what_is_held(void **state)
{
    struct scene *s = *state;
    static const struct { u64 pd, type, base, rights; } rows[] = {
        { FIXTURE_SEL_PD, SPACE_OBJECT, EC, PERM_ALL }, { FIXTURE_SEL_PD, SPACE_OBJECT, 500, 0 }, { FIXTURE_SEL_PD, SPACE_OBJECT, EC + NONE, 0 },
        { FIXTURE_SEL_PD, SPACE_MEMORY, FIXTURE_MEMORY >> PAGE_BITS, RIGHT_MEMORY }, { FIXTURE_SEL_PD, SPACE_MEMORY, 0, 0 },
        { FIXTURE_SEL_PD, SPACE_MEMORY, ~0ul, 0 }, { PD, SPACE_GUEST, 0, 0 },
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_lookup, rows[i].pd, rows[i].type, rows[i].base), OK);
        assert_int_equal(s->ec->resume.gpr[RSI], rows[i].base);
        assert_int_equal(s->ec->resume.gpr[RDX], rows[i].rights);
    }
}

static void registers_without_results_are_kept(void **state)
{
    struct scene *s = *state;
    for (u32 r = 0; r < 16; r++)
        s->ec->resume.gpr[r] = 0x1000 + r;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_up, SM), OK);
    for (u32 r = 0; r < 16; r++)
        if (r != RAX && r != RDI && r != RSI)
            assert_int_equal(s->ec->resume.gpr[r], 0x1000 + r);
    assert_int_equal(s->ec->resume.gpr[RSI], SM);
}

static void sm_count_does_not_wrap(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_create, FIXTURE_SEL_PD, NEW, ~0ul), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_up, NEW), STATUS_BUSY);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_down, NEW, SM_DOWN_ZERO, 1), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_down, NEW, 0, 1), STATUS_TIMEOUT);
}

static void pd_info_counts_what_is_charged(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_pd_info, PD), OK);
    const u64 used = s->ec->resume.gpr[RSI];
    assert_int_equal(s->ec->resume.gpr[RDX], 1 << 20);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_create, PD, NEW, 0), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_pd_info, PD), OK);
    assert_int_equal(s->ec->resume.gpr[RSI], used + mem_charge(sizeof(struct sm)));
}

static void sc_info_counts_time(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sc_info, SC), OK);
    const u64 used = s->ec->resume.gpr[RSI];
    fixture_later(s->f, 5000);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sc_info, SC), OK);
    assert_in_range(s->ec->resume.gpr[RSI], used + 5000, used + 5500);
}

static void portal_ctrl_changes_the_id(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_portal_ctrl, PORTAL, 0x1234), OK);
    fixture_call(s->f, s->ec, HYPERCALL_call, PORTAL, 0);
    assert_int_equal(s->f->k->cpu[0]->current->resume.gpr[RDI], 0x1234);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(hypercall, T(null_and_unknown), T(call_statuses), T(reply_statuses), T(pd_create_statuses), T(pd_flags_are_inherited_only),
           T(ec_create_statuses), T(sc_create_statuses), T(portal_create_statuses), T(sm_statuses), T(vcpu_statuses), T(vcpu_needs_hardware),
           T(information_statuses), T(space_statuses), T(lookup_tells_what_is_held), T(registers_without_results_are_kept),
           T(sm_count_does_not_wrap), T(pd_info_counts_what_is_charged), T(sc_info_counts_time), T(portal_ctrl_changes_the_id));
