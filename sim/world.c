/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds: see world.h and world_run.h. A world's setup runs on the caller's stack as in unit tests; then the machine is marked, and each run
 * begins every program anew on its CPU's own stack. Time in a world is each CPU's own: reading the clock is no step anybody else could notice. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "irq.h"
#include "memory.h"
#include "race.h"
#include "snapshot.h"
#include "start.h"
#include "store_buffer.h"
#include "translations.h"
#include "world_model.h"
#include "world_run.h"

#define WORLD_RAM   (16ul << 20)
#define WORLD_HEAP  0x200000ul
#define STEPS       100000ul
#define LABELS      256u
#define LABEL_BYTES 48u

struct label {
    u64 object, bytes;
    char name[LABEL_BYTES];
};

struct world {
    const struct world_test *test;
    struct sim *sim;
    u64 heap;                     /* next free physical address */
    u64 done;                     /* CPUs whose program has returned */
    bool ready, checking, keep_whole;
    u32 owed, paid;
    struct engine *engine;        /* of user mode; may be NULL */
    struct label label[LABELS];
    u32 labels;
};

static _Thread_local struct world *world_here;

/* ---- For tests ---- */

struct sim *world_sim(void)
{
    return world_here->sim;
}

void *world_alloc(u64 bytes)
{
    struct world *w = world_here;
    if (w->ready)
        world_fail("world_alloc outside setup");
    void *p = sim_phys(w->sim, w->heap, bytes);
    if (!p)
        world_fail("world_alloc: no RAM left for %lu bytes", bytes);
    w->heap = align_up(w->heap + bytes, 64);
    return p;
}

void world_cpu(u32 cpu)
{
    sim_unit_cpu(world_here->sim, cpu);
}

void world_label(const void *p, u64 bytes, const char *format, ...)
{
    struct world *w = world_here;
    if (w->labels == LABELS)
        world_fail("more than %u labels", LABELS);
    struct label *l = &w->label[w->labels++];
    *l = (struct label){ .object = sim_object(w->sim, p), .bytes = bytes };
    va_list args;
    va_start(args, format);
    vsnprintf(l->name, sizeof(l->name), format, args);
    va_end(args);
}

void world_region(void *p, u64 bytes)
{
    if (!snapshot_region(world_here->sim, p, bytes))
        world_fail("world_region: no memory");
}

void world_engine(struct engine *user, struct engine *guest)
{
    world_here->engine = world_here->sim->config.user = user;
    world_here->sim->config.guest = guest;
}

void world_owe(u32 things)
{
    world_here->owed += things;
}

void world_paid(void)
{
    struct world *w = world_here;
    if (w->paid++ == w->owed)
        world_fail("more than %u things done", w->owed);
}

u32 world_id(void)
{
    return sim_this()->id;
}

struct sim_cpu *world_sim_cpu(void)
{
    return sim_this();
}

static void world_interrupt(struct sim_cpu *cpu)
{
    const struct world_test *t = world_here->test;
    cpu->turn_outside = true;
    const u32 vector = sim_irq_accept(cpu);
    if (!t->interrupt)
        world_fail("CPU %u: interrupt 0x%x, and the test has no handler", cpu->id, vector);
    t->interrupt(vector);
}

bool world_poll(void)
{
    struct sim_cpu *cpu = sim_this();
    sim_look(cpu, __builtin_return_address(0));
    cpu->turn_polled = true;
    if (!sim_irq_pending(cpu))
        return false;
    world_interrupt(cpu);
    return true;
}

void world_wait(void)
{
    struct sim_cpu *cpu = sim_this();
    for (;;) {
        sim_look(cpu, __builtin_return_address(0));
        if (sim_irq_pending(cpu))
            break;
        irq_held(cpu) ? sim_yield(cpu) : sim_wait(cpu);
    }
    world_interrupt(cpu);
}

void world_run(struct resume *r)
{
    struct sim_cpu *cpu = sim_this();
    world_here->done |= bit(cpu->id);   /* a kernel never returns: what must have happened by the end, .end says */
    start_run(cpu, r);
}

u32 world_choose(u32 bound)
{
    return choice(bound, CHOICE_INPUT);
}

void world_fail(const char *format, ...)
{
    char text[sizeof(world_here->sim->message)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sim_end(world_here->sim, SIM_FINDING, "%s", text);
}

u64 world_peek(const void *word)
{
    u64 value;
    memcpy(&value, word, 8);
    return value;
}

/* ---- For the machine ---- */

void world_step(struct sim *s)
{
    struct world *w = s->world;
    if (w->test->check && !w->checking) {
        w->checking = true;   /* a check that steps would come back here */
        race_pause(s, true);
        w->test->check();
        race_pause(s, false);
        w->checking = false;
    }
}

void world_chose(struct sim *s, u32 agent)
{
    if (s->step + 1 == EVENTS_MAX)
        sim_end(s, SIM_BUDGET, "more than %u steps in a run", EVENTS_MAX);
    s->step_agent[++s->step] = (u8)agent;
}

void world_quiet(struct sim *s)
{
    struct world *w = s->world;
    const u64 all = ~0ul >> (64 - s->cpu_count);
    if (w->done != all || s->spinning || w->paid < w->owed) {
        if (s->timer_next != ~0ul)
            return;
        if (w->done == all && !s->spinning)
            sim_end(s, SIM_DEADLOCK, "%u of %u things not done: no interrupt is pending, no timer is armed", w->owed - w->paid, w->owed);
        const u32 cpu = (u32)__builtin_ctzl((~w->done | s->spinning) & all);
        sim_end(s, SIM_DEADLOCK, "CPU %u waits for ever: %s", cpu,
                s->spinning & bit(cpu) ? "it spins on what nobody will change" : "no interrupt is pending, no timer is armed");
    }
    s->current->draining = false;
    race_pause(s, true);
    if (w->test->end)
        w->test->end();
    sim_end(s, SIM_SHUTDOWN, "%s", "");
}

static void world_cpu_main(void *arg)
{
    struct sim_cpu *cpu = arg;
    const struct world_test *t = world_here->test;
    if (t->program[cpu->id])
        t->program[cpu->id]();
    cpu->pending = (struct sim_pending){ .op = OP_END };
    sim_did(cpu, OP_END, EFFECT_NONE, OBJECT_CPU(cpu->id), 0, 0);
    world_here->done |= bit(cpu->id);
    for (;;)
        world_wait();
}

/* ---- For the explorer ---- */

static bool world_legal(const struct world_test *t)
{
    const bool good = t->name && t->cpus >= 1 && t->cpus <= WORLD_CPUS;
    if (!good)
        fprintf(stderr, "world %s: needs a name and 1 to %u CPUs\n", t->name ? t->name : "?", WORLD_CPUS);
    return good;
}

static void setup_call(void *arg)
{
    ((const struct world_test *)arg)->setup();
}

struct world *world_open(const struct world_test *t, bool verify)
{
    if (!world_legal(t))
        return NULL;
    struct world *w = calloc(1, sizeof(*w));
    struct sim *s = w ? sim_unit(t->cpus, t->ram_bytes ? t->ram_bytes : WORLD_RAM, t->vendor) : NULL;
    if (!s) {
        fprintf(stderr, "world %s: no memory\n", t->name);
        free(w);
        return NULL;
    }
    w->test = t;
    w->sim = s;
    w->heap = WORLD_HEAP;
    world_here = w;
    s->events = malloc(EVENTS_MAX * sizeof(*s->events));
    s->step_agent = calloc(EVENTS_MAX, 1);
    sim_unit_cpu(s, 0);
    const char *wrong = t->setup ? sim_unit_expect_panic(s, setup_call, (void *)t) : NULL;
    if (wrong || !s->events || !s->step_agent) {
        fprintf(stderr, "world %s: setup: %s\n", t->name, wrong ? wrong : "no memory");
        world_close(w);
        return NULL;
    }
    world_catch_faults();
    w->ready = true;
    s->unit = false;
    s->world = w;
    s->steppable = 0;
    if (!race_create(s) || !snapshot_region(s, w, sizeof(*w)) || !snapshot_mark(s) || ((verify || !world_instrumented()) && !snapshot_verify_begin(s))) {
        fprintf(stderr, "world %s: no memory for the snapshot\n", t->name);
        world_close(w);
        return NULL;
    }
    if (!world_instrumented())
        snapshot_whole(s);
    translations_mark(s);
    return w;
}

void world_close(struct world *w)
{
    if (w->ready)
        snapshot_restore(w->sim);   /* what a run took away, the race detector, comes back to be freed */
    free(w->sim->events);
    free(w->sim->step_agent);
    sim_destroy(w->sim);
    if (w->engine)
        w->engine->destroy(w->engine);
    free(w);
    world_here = NULL;
}

static void after_call(void *arg)
{
    ((const struct world_test *)arg)->after();
}

/* The machine is as at the end, but CPU 0 acts and nobody chooses; what is done is no part of the run. */
static enum sim_end world_after(struct world *w)
{
    struct sim *s = w->sim;
    s->unit = true;
    s->world = NULL;
    s->race = NULL;   /* one CPU: nothing races; the snapshot has the detector */
    s->config.chooser = NULL;
    sim_unit_cpu(s, 0);
    sim_unit_expect_panic(s, after_call, (void *)w->test);
    return s->result.end;
}

enum sim_end world_run_once(struct world *w, struct chooser *c, bool await_last)
{
    struct sim *s = w->sim;
    const bool keep_whole = w->keep_whole;   /* not of the run, unlike the rest of the structure */
    snapshot_restore(s);
    translations_rollback(s);
    race_reset(s);
    w->keep_whole = keep_whole;
    world_here = w;
    s->config.chooser = c;
    s->await_last = await_last;
    for (u32 i = 0; i < s->cpu_count; i++)
        start_fiber(&s->cpu[i], world_cpu_main);
    s->current = &s->cpu[0];
    s->booted = true;
    enum sim_end end = sim_run(s, w->test->steps ? w->test->steps : STEPS);
    if (end == SIM_BUDGET && !s->message[0])
        snprintf(s->message, sizeof(s->message), "not at an end after %lu steps: CPUs run for ever", w->test->steps ? w->test->steps : STEPS);
    return end == SIM_SHUTDOWN && w->test->after && !keep_whole ? world_after(w) : end;
}

struct sim *world_machine(struct world *w)
{
    return w->sim;
}

void world_take_apart(struct world *w, bool on)
{
    w->keep_whole = !on;
}

u32 world_current(const struct world *w)
{
    return w->sim->current->id;
}

u32 world_steps(const struct world *w)
{
    return w->sim->step;
}

u32 world_awaits(const struct world *w)
{
    return w->sim->awaits;
}

u32 world_race(const struct world *w, u32 side, char *what, u32 bytes, u64 *sites, u32 room)
{
    const struct race_report *r = race_last(w->sim);
    if (!r || !room || side > 1)
        return 0;
    const struct race_side *s = side ? &r->earlier : &r->later;
    snprintf(what, bytes, "%s %s of %lu bytes by CPU %u", s->atomic ? "atomic" : "plain", s->write ? "write" : "read", s->bytes, s->cpu);
    sites[0] = s->site;
    return 1 + race_stack(w->sim, s->node, sites + 1, room - 1);
}

u64 world_verify(struct world *w)
{
    snapshot_restore(w->sim);
    return snapshot_verify(w->sim);
}

const char *world_name(const struct world *w, u64 object, char *room, u32 bytes)
{
    for (u32 i = w->labels; i-- > 0;) {   /* the last one given is the most particular */
        const u64 offset = object - w->label[i].object;
        if (offset >= w->label[i].bytes)
            continue;
        snprintf(room, bytes, offset ? "%s+%lu" : "%s", w->label[i].name, offset);
        return room;
    }
    return "-";
}

u32 world_label_count(const struct world *w) { return w->labels; }

const char *world_label_at(const struct world *w, u32 index, u64 *object, u64 *bytes)
{
    *object = w->label[index].object;
    *bytes = w->label[index].bytes;
    return w->label[index].name;
}
