/* SPDX-License-Identifier: BSD-2-Clause */
/* What agents do: see event.h. Recorded in worlds only; elsewhere a point is a step and nothing more. */
#include "machine_model.h"

const char *const sim_op_name[OP_COUNT] = {
    "-", "load", "store", "flush", "rmw", "rmw-same", "add", "fence", "walk", "walk-mark", "ipi", "look",
    "accept", "invalidate", "state", "machine", "relax", "end",
};

extern u8 __executable_start[];   /* the linker's: where the image begins */

u64 sim_object(const struct sim *s, const void *address)
{
    const u64 phys = (u64)address - (u64)s->ram;
    return phys < s->ram_bytes ? OBJECT_RAM(phys) : OBJECT_HOST((u64)address - (u64)__executable_start);
}

const void *sim_object_memory(const struct sim *s, u64 object)
{
    const u64 at = OBJECT_ADDRESS(object);
    if (OBJECT_CLASS(object) == OBJECT_CLASS(OBJECT_RAM(0)))
        return s->ram + at;
    return OBJECT_CLASS(object) == OBJECT_CLASS(OBJECT_HOST(0)) ? __executable_start + at : NULL;
}

/* What a turn of a spin loop has read: it sleeps until one of these changes. */
static void turn_note(struct sim_cpu *cpu, enum sim_effect effect, u64 object, u64 value)
{
    if (effect >= EFFECT_ADD) {
        cpu->turn_wrote = true;
        cpu->turn_again = false;
        cpu->turn_words = 0;
        return;
    }
    cpu->turn_last = object;
    for (u32 i = 0; i < min(cpu->turn_words, TURN_WORDS); i++) {
        if (cpu->turn_word[i].object == object) {
            cpu->turn_word[i].value = value;
            cpu->turn_word[i].bytes = cpu->pending.bytes;
            return;
        }
    }
    if (cpu->turn_words < TURN_WORDS) {
        cpu->turn_word[cpu->turn_words].object = object;
        cpu->turn_word[cpu->turn_words].value = value;
        cpu->turn_word[cpu->turn_words].bytes = cpu->pending.bytes;
    }
    if (cpu->turn_words <= TURN_WORDS)
        cpu->turn_words++;
}

static struct sim_event *event_new(struct sim *s)
{
    if (s->event_count == EVENTS_MAX)
        sim_end(s, SIM_BUDGET, "more than %u events in a run", EVENTS_MAX);
    return &s->events[s->event_count++];
}

void sim_note(struct sim_cpu *cpu, enum sim_op op, enum sim_effect effect, u64 object, u64 before, u64 after)
{
    struct sim *s = cpu->sim;
    if (s->unit)
        return;
    if (effect != EFFECT_NONE || op == OP_LOAD)   /* its own store may wait in the buffer: who waits for that word to change sleeps, too */
        turn_note(cpu, effect, object, after);
    if (!s->world)
        return;
    *event_new(s) = (struct sim_event){
        .object = object, .before = before, .after = after, .site = cpu->pending.site, .step = s->step, .bytes = cpu->pending.bytes,
        .agent = (u8)cpu->id, .op = (u8)op, .effect = (u8)effect,
    };
}

void sim_ordered(struct sim *s, enum sim_op op, enum sim_effect effect, u64 object)
{
    if (s->unit || !s->world)
        return;
    *event_new(s) = (struct sim_event){
        .object = object, .site = s->current->pending.site, .step = s->step, .agent = s->step_agent[s->step], .op = (u8)op, .effect = (u8)effect,
    };
}

void sim_flushed(struct sim_cpu *cpu, const struct sim_pending *p, u64 before, u64 after)
{
    struct sim *s = cpu->sim;
    if (!s->world)
        return;
    *event_new(s) = (struct sim_event){
        .object = p->object, .before = before, .after = after, .site = p->site, .step = s->step, .bytes = p->bytes,
        .agent = (u8)(SIM_FLUSHER + cpu->id), .op = OP_FLUSH, .effect = EFFECT_WRITE,
    };
}

const struct sim_agents *sim_agents(const struct sim *s)
{
    return &s->agents;
}

const struct sim_pending *sim_pending(const struct sim *s, u32 agent)
{
    const struct sim_cpu *cpu = &s->cpu[agent % SIM_FLUSHER];
    return agent < SIM_FLUSHER ? &cpu->pending : &cpu->flushing;
}

u32 sim_step_agent(const struct sim *s, u32 step)
{
    return s->step_agent[step];
}

const struct sim_event *sim_events(const struct sim *s, u32 *count)
{
    *count = s->event_count;
    return s->events;
}
