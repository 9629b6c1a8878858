/* SPDX-License-Identifier: BSD-2-Clause */
/* What does a replay say of a VMM that does what it did, and of one that does not? The VMM is a program of one thread: it answers CPUIDs with the time or
 * with the exit's number, notes what it read, kicks its vCPU. Recorded and replayed on both vendors. What the file cannot have: guest memory, several CPUs. */
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "abi/hypercall.h"
#include "abi/info.h"
#include "abi/status.h"
#include "program.h"
#include "replay/replay.h"

#define STATE    0x20000000ul
#define SEL_VCPU ROOT_SEL_FREE
#define TURNS    20u
#define NEVER    ~0u

/* What a VMM does; at_x: in which turn. */
struct habits {
    u64 spends;                  /* before all else: its clock differs */
    u32 wrong_at, wrong_again_at, kicks_at, notes_other_at, notes_nothing_at, injects_at;
};
static const struct habits good = {.wrong_at = NEVER, .wrong_again_at = NEVER, .kicks_at = NEVER, .notes_other_at = NEVER, .notes_nothing_at = NEVER,
                                   .injects_at = NEVER};

static struct {
    const struct habits *habits;
    struct engine *user;
    struct replay *replay;       /* NULL: recording */
    struct sim *sim;
    u8 *bytes;
    u64 count;
    u32 seen, exit;              /* differences, and the first one */
    struct difference first;
} scene;

/* ---- The VMM ---- */

static u64 must(u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
    assert_int_equal(program_hypercall(number, a0, a1, a2, a3, a4, 0), OK);
    return program_registers()[RSI];
}

static void answer(u32 turn)
{
    const struct habits *const h = scene.habits;
    const u64 rip = user_load64(STATE + offset_of(struct vcpu_state, rip));
    const u64 event = turn == h->injects_at ? VCPU_EVENT_EXCEPTION(6) : 0;
    u64 rax = turn, rdx = 0;
    if (turn % 4 == 1) {
        must(HYPERCALL_clock, 0, 0, 0, 0, 0);
        rdx = program_registers()[RSI];
    }
    if (turn % 4 == 2 && turn != h->notes_nothing_at)
        must(HYPERCALL_trace, SEL_VCPU, TRACE_KIND_BYTES(TRACE_VALUE_memory, 8), 0x1000, turn == h->notes_other_at ? 1 : 2, 0);
    rax += turn == h->wrong_at || turn == h->wrong_again_at;
    user_store64(STATE + offset_of(struct vcpu_state, gpr), rax);
    user_store64(STATE + offset_of(struct vcpu_state, gpr) + 16, rdx);
    user_store64(STATE + offset_of(struct vcpu_state, rip), rip + 2);
    user_store64(STATE + offset_of(struct vcpu_state, inject), event);
    const u32 dirty = VCPU_GROUP_GPR | VCPU_GROUP_RIP | (event ? VCPU_GROUP_INJECT : 0);
    user_store(STATE + offset_of(struct vcpu_state, dirty), &dirty, sizeof(dirty));
}

static void vmm(void *arg)
{
    program_spend(scene.habits->spends);
    must(HYPERCALL_vcpu_create, ROOT_SEL_PD, SEL_VCPU, 0, STATE, 0);
    must(HYPERCALL_vcpu_run, SEL_VCPU, 0, 0, 0, 0);
    for (u32 turn = 0; turn < TURNS;) {
        if (turn == scene.habits->kicks_at)
            must(HYPERCALL_vcpu_kick, SEL_VCPU, 0, 0, 0, 0);
        must(HYPERCALL_vcpu_run, SEL_VCPU, 0, 0, 0, 0);
        u32 reason;
        user_load(&reason, STATE + offset_of(struct vcpu_state, exit.reason), sizeof(reason));
        if (reason == VCPU_EXIT_CPUID)
            answer(turn++);
        else if (turn == scene.habits->kicks_at)
            must(HYPERCALL_vcpu_run, SEL_VCPU, 0, 0, 0, 0), answer(turn++);
    }
    program_hypercall(HYPERCALL_shutdown, 0, 0, 0, 0, 0, 0);
}

/* ---- The machine ---- */

static bool guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    g->event = 0;
    g->rip += 5;
    g->gpr[RBX]++;
    *out = (struct engine_event){.kind = EVENT_CPUID, .insn_len = 2, .steps = 5};
    return true;
}

static void sink(void *arg, const void *bytes, u32 count)
{
    if (scene.replay) {
        if (!replay_packet(scene.replay, bytes, count))
            sim_stop(scene.sim);
        return;
    }
    scene.bytes = realloc(scene.bytes, scene.count + count);
    assert_non_null(scene.bytes);
    memcpy(scene.bytes + scene.count, bytes, count);
    scene.count += count;
}

static enum sim_end machine(enum sim_vendor vendor, const struct habits *h, struct engine *user, struct engine *guest_engine)
{
    u64 bytes;
    scene.habits = h;
    void *const bundle = program_bundle(program_entry(scene.user, vmm, NULL), &bytes);
    const struct sim_config config = {.cpus = 1, .ram_bytes = 32ul << 20, .vendor = vendor, .x2apic = true, .bundle = bundle, .bundle_bytes = bytes, .user = user,
                                      .guest = guest_engine, .trace = scene.replay ? MACH_TRACE_LIVE : MACH_TRACE_ON, .trace_sink = sink};
    scene.sim = sim_create(&config);
    assert_non_null(scene.sim);
    free(bundle);
    if (scene.replay)
        scene.replay->sim = scene.sim;
    const enum sim_end end = sim_run(scene.sim, 1ul << 40);
    sim_destroy(scene.sim);
    return end;
}

static void record(enum sim_vendor vendor, const struct habits *h, struct trace *t, struct course *c)
{
    struct engine script = {.name = "script", .guest = guest};
    scene.replay = NULL;
    scene.count = 0;
    scene.user = program_engine();
    assert_int_equal(machine(vendor, h, scene.user, &script), SIM_SHUTDOWN);
    scene.user->destroy(scene.user);
    assert_true(trace_open_bytes("test", scene.bytes, scene.count, t));
    assert_true(trace_whole(t) && course_open(c, t));
    assert_null(replay_refuses(c));
}

static void differs(void *arg, const struct difference *d, u32 exit, u32 vcpu)
{
    if (scene.seen++)
        return;
    scene.first = *d;
    scene.exit = exit;
}

static enum sim_end again(struct replay *r, const struct course *c, enum sim_vendor vendor, const struct habits *h, bool go_on)
{
    const struct replay_options o = {.vendor = vendor, .go_on = go_on, .differs = differs};
    scene.seen = 0;
    scene.replay = r;
    scene.user = program_engine();
    replay_open(r, c, &o, scene.user);
    const enum sim_end end = machine(vendor, h, r->user, &r->engine);
    scene.user->destroy(scene.user);
    assert_int_equal(r->differences, scene.seen);
    return end;
}

/* Record by one VMM, replay another, on all pairs of vendors: what is found. */
static void pair(const struct habits *recorded, const struct habits *live, bool go_on, void (*judge)(const struct replay *r, enum sim_end end))
{
    for (enum sim_vendor from = SIM_VMX; from <= SIM_SVM; from++)
        for (enum sim_vendor to = SIM_VMX; to <= SIM_SVM; to++) {
            struct trace t;
            struct course c;
            struct replay *const r = calloc(1, sizeof(*r));
            record(from, recorded, &t, &c);
            judge(r, again(r, &c, to, live, go_on));
            course_close(&c);
            trace_close(&t);
            free(r);
        }
    free(scene.bytes);
    scene.bytes = NULL;
}

/* ---- Tests ---- */

static void is_same(const struct replay *r, enum sim_end end)
{
    if (scene.seen)
        fail_msg("exit %u: %s %s 0x%lx 0x%lx", scene.exit, scene.first.where, scene.first.field, scene.first.recorded, scene.first.got);
    assert_int_equal(end, SIM_SHUTDOWN);
    assert_int_equal(r->exits, r->course->exits);
    assert_int_equal(r->passed, 0);
}

static void the_same_vmm_does_the_same(void **state)
{
    const struct habits injects = {.wrong_at = NEVER, .wrong_again_at = NEVER, .kicks_at = NEVER, .notes_other_at = NEVER, .notes_nothing_at = NEVER,
                                   .injects_at = 7};
    pair(&good, &good, false, is_same);
    pair(&injects, &injects, false, is_same);
}

static void its_time_is_the_recorded_one(void **state)
{
    struct habits slow = good;
    slow.spends = 123456;
    pair(&good, &slow, false, is_same);
}

static void stopped_at_rax(const struct replay *r, enum sim_end end)
{
    assert_int_equal(end, SIM_STOPPED);
    assert_int_equal(r->differences, 1);
    assert_string_equal(scene.first.where, "answer");
    assert_string_equal(scene.first.field, "rax");
    assert_int_equal(scene.exit, 4);   /* STARTUP is exit 0 */
    assert_int_equal(scene.first.recorded, 3);
    assert_int_equal(scene.first.got, 4);
}

static void another_answer_is_named(void **state)
{
    struct habits wrong = good;
    wrong.wrong_at = 3;
    pair(&good, &wrong, false, stopped_at_rax);
}

static void twice_to_the_end(const struct replay *r, enum sim_end end)
{
    assert_int_equal(end, SIM_SHUTDOWN);
    assert_int_equal(r->differences, 4);   /* each: the answer, and what the guest is resumed with */
    assert_int_equal(r->exits, r->course->exits);
}

static void it_goes_on_if_asked(void **state)
{
    struct habits wrong = good;
    wrong.wrong_at = 3;
    wrong.wrong_again_at = 11;
    pair(&good, &wrong, true, twice_to_the_end);
}

static void injection_is_missing(const struct replay *r, enum sim_end end)
{
    assert_string_equal(scene.first.where, "answer");
    assert_string_equal(scene.first.field, "dirty");
    assert_int_equal(scene.exit, 8);
}

static void an_injection_is_compared(void **state)
{
    struct habits injects = good;
    injects.injects_at = 7;
    pair(&injects, &good, false, injection_is_missing);
}

static void values_differ(const struct replay *r, enum sim_end end)
{
    assert_string_equal(scene.first.where, "values");
    assert_string_equal(scene.first.field, "data");
    assert_int_equal(scene.exit, 7);
    assert_int_equal(scene.first.recorded, 2);
    assert_int_equal(scene.first.got, 1);
}

static void values_are_missing(const struct replay *r, enum sim_end end)
{
    assert_string_equal(scene.first.where, "values");
    assert_string_equal(scene.first.field, "count");
    assert_int_equal(scene.exit, 7);
}

static void values_are_compared(void **state)
{
    struct habits other = good, none = good;
    other.notes_other_at = none.notes_nothing_at = 6;
    pair(&good, &other, false, values_differ);
    pair(&good, &none, false, values_are_missing);
    pair(&none, &good, false, values_are_missing);
}

/* A kick is legal at any time: it and its entry are passed over, whoever has it. */
static void one_kick_is_missing(const struct replay *r, enum sim_end end)
{
    assert_int_equal(scene.seen, 0);
    assert_int_equal(end, SIM_SHUTDOWN);
    assert_int_equal(r->exits + r->passed, r->course->exits);
    assert_int_equal(r->passed, 1);
}

static void kicks_come_when_they_like(void **state)
{
    struct habits kicks = good;
    kicks.kicks_at = 5;
    pair(&kicks, &kicks, false, is_same);
    pair(&good, &kicks, false, is_same);
    pair(&kicks, &good, false, one_kick_is_missing);
}

static void what_cannot_be_replayed_is_refused(void **state)
{
    struct trace t;
    struct course c;
    record(SIM_VMX, &good, &t, &c);
    t.lost = 1;
    assert_string_equal(replay_refuses(&c), "events were lost while it was recorded");
    t.lost = 0;
    t.ended = false;
    assert_string_equal(replay_refuses(&c), "its end is missing");
    t.ended = true;
    c.vcpu[0].turn[3].entry = COURSE_NONE;
    assert_string_equal(replay_refuses(&c), "it does not have the VMM's answers");
    c.vcpu[0].turn++;   /* as if cut */
    c.vcpu[0].count--;
    assert_string_equal(replay_refuses(&c), "it is a part of a trace: a vCPU does not begin with STARTUP");
    c.vcpu[0].turn--;
    t.has_machine = false;
    assert_string_equal(replay_refuses(&c), "it does not say which machine wrote it: its beginning is missing");
    course_close(&c);
    trace_close(&t);
    free(scene.bytes);
    scene.bytes = NULL;
}

#define T cmocka_unit_test
TEST_GROUP(replay_vmm, T(the_same_vmm_does_the_same), T(its_time_is_the_recorded_one), T(another_answer_is_named), T(it_goes_on_if_asked),
           T(an_injection_is_compared), T(values_are_compared), T(kicks_come_when_they_like), T(what_cannot_be_replayed_is_refused));
