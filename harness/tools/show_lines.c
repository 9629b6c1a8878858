/* SPDX-License-Identifier: BSD-2-Clause */
/* One line per exit:
 *
 *   17 vcpu 0 cpu 0 tsc 98123456  IO out port 0x3f8 size 1 value 0x48 | rip=0x7c12 rax=0x48 | took memory 0x7c12 4 | answer rip=0x7c13
 *
 * What the exit changed in the vCPU, what the VMM took from outside while it handled it, what it changed and injects. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace/details.h"
#include "tools/show.h"
#include "tools/tools.h"
#include "trace/vcpu_field.h"

bool show_lines_begin(struct show_lines *l, const struct trace *t)
{
    *l = (struct show_lines){ .line = calloc(t->vcpus + 1ul, sizeof(char *)), .vcpus = t->vcpus };
    return l->line || tool_refuse("trace", "no memory") == 0;
}

static u32 changes(FILE *out, const struct walk *k)
{
    u32 count = 0;
    for (u32 i = 0; i < vcpu_field_count; i++) {
        const struct vcpu_field *const f = &vcpu_field[i];
        const u64 now = vcpu_field_word(f, k->words->word);
        if (now != vcpu_field_word(f, k->before) && ++count)
            fprintf(out, " %s=0x%lx", f->name, now);
    }
    return count;
}

static void instruction_write(FILE *out, const u8 instruction[16])
{
    const u32 count = min(instruction[15], (u8)15);
    if (count)
        fprintf(out, " bytes ");
    for (u32 i = 0; i < count; i++)
        fprintf(out, "%02x", instruction[i]);
}

static void exit_write(FILE *out, const struct walk *k)
{
    char event[EVENT_TEXT_BYTES];
    const u64 pending = k->words->word[TRACE_WORD_pending];
    fprintf(out, "%ld vcpu %u cpu %u tsc %lu  ", k->exit, k->vcpu, k->item->cpu, k->item->tsc);
    if (!k->known) {
        fprintf(out, "? (no state of this vCPU so far)");
        return;
    }
    details_write(out, k->words);
    event_text(pending, event);
    if (pending & VCPU_EVENT_VALID)
        fprintf(out, " pending %s", event);
    instruction_write(out, (const u8 *)&k->words->word[TRACE_WORD_instruction0]);
    fprintf(out, " |");
    (void)changes(out, k);
}

static void value_write(FILE *out, const struct walk *k)
{
    const struct trace_value *const v = (const struct trace_value *)k->item->raw;
    fprintf(out, " | took %s", trace_value_name(v->kind));
    if (v->kind != TRACE_VALUE_clock)
        fprintf(out, " 0x%lx", v->address);
    fprintf(out, " %u", trace_tail(k->item->raw).bytes);
}

static void entry_write(FILE *out, const struct walk *k)
{
    char event[EVENT_TEXT_BYTES];
    const u64 inject = k->words->word[TRACE_WORD_inject];
    const u32 dirty = trace_dirty(k->words);
    fprintf(out, " | answer");
    if (!k->known || !changes(out, k))
        fprintf(out, " -");
    event_text(inject, event);
    if (dirty & VCPU_GROUP_INJECT && inject & VCPU_EVENT_VALID)
        fprintf(out, " inject %s", event);
}

/* The line with one piece more. */
static void append(struct show_lines *l, const struct walk *k, void (*piece)(FILE *out, const struct walk *k))
{
    char **const line = &l->line[k->vcpu], *longer = NULL;
    size_t bytes;
    FILE *const out = open_memstream(&longer, &bytes);
    if (!out)
        return;
    if (*line)
        fputs(*line, out);
    else if (piece != exit_write)   /* a trace that begins in the VMM */
        fprintf(out, "- vcpu %u cpu %u", k->vcpu, k->item->cpu);
    piece(out, k);
    fclose(out);
    free(*line);
    *line = longer;
}

static void finish(char **line)
{
    if (*line)
        puts(*line);
    free(*line);
    *line = NULL;
}

void show_lines_next(struct show_lines *l, const struct walk *k)
{
    switch (k->item->raw->id) {
    case TRACE_exit:
        finish(&l->line[k->vcpu]);
        append(l, k, exit_write);
        break;
    case TRACE_value:
        if (k->vcpu != TRACE_NO_VCPU)
            append(l, k, value_write);
        break;
    case TRACE_entry:
        append(l, k, entry_write);
        finish(&l->line[k->vcpu]);
        break;
    }
}

void show_lines_end(struct show_lines *l)
{
    for (u32 i = 0; l->line && i < l->vcpus; i++)
        finish(&l->line[i]);
    free(l->line);
}
