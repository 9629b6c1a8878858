/* SPDX-License-Identifier: BSD-2-Clause */
/* Schedules and what they are made of, as text. */
#include "schedule.h"
#include <string.h>

const char *const choice_name[CHOICE_KINDS] = {
#define CHOICE_NAME(number, name, text) [number] = #name,
    CHOICE_LIST(CHOICE_NAME)
#undef CHOICE_NAME
};

const char *vendor_name(enum sim_vendor v)
{
    return v == SIM_VMX ? "vmx" : v == SIM_SVM ? "svm" : "none";
}

const char *end_name(enum sim_end end)
{
    static const char *const name[] = {
        [SIM_SHUTDOWN] = "shutdown", [SIM_PANIC] = "panic", [SIM_DEADLOCK] = "deadlock", [SIM_BUDGET] = "livelock",
        [SIM_FINDING] = "finding", [SIM_ENGINE] = "engine", [SIM_STOPPED] = "cut",
    };
    return name[end];
}

void name_clean(char *room, const char *text, u32 bytes)
{
    u32 i = 0;
    for (; i + 1 < bytes && text[i]; i++)
        room[i] = text[i] > 0x20 && text[i] < 0x7f ? text[i] : '_';
    if (!i)
        room[i++] = '-';
    room[i] = 0;
}

void agent_text(u32 agent, char *room, u32 bytes)
{
    snprintf(room, bytes, agent >= SIM_FLUSHER ? "flush %u" : "cpu %u", agent % SIM_FLUSHER);
}

void decision_text(const struct decision *d, char *room, u32 bytes)
{
    char who[16], action[32], visit[16] = "";
    agent_text(d->at.agent, who, sizeof(who));
    if (d->kind == CHOICE_STEP)
        agent_text(d->value, action, sizeof(action));
    else
        snprintf(action, sizeof(action), "%s %u", choice_name[d->kind], d->value);
    if (d->at.visit != 1)
        snprintf(visit, sizeof(visit), ".%u", d->at.visit);
    snprintf(room, bytes, "%s at %s %s %s #%u%s -> %s", who, d->at.function, sim_op_name[d->at.op], d->at.object, d->at.occurrence, visit, action);
}

void schedule_write(const struct schedule *s, FILE *f)
{
    fprintf(f, "orrery-schedule 1\ntest %s\nmodel %s\nvendor %s\nmutant %s\nseed %lu\nverdict %s: ", s->test, s->sc ? "sc" : "tso", vendor_name(s->vendor),
            s->mutant, s->seed, end_name(s->end));
    for (const char *c = s->message; *c; c++)
        fputc((u8)*c < 0x20 || *c == 0x7f ? ' ' : *c, f);
    fprintf(f, "\nhash %016lx\n\n", s->hash);
    for (u32 i = 0; i < s->count; i++) {
        char text[4 * NAME_ROOM];
        decision_text(&s->decision[i], text, sizeof(text));
        fprintf(f, "step %u: %s%s\n", s->decision[i].step, s->decision[i].critical ? "critical: " : "", text);
    }
}
