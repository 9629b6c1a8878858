/* SPDX-License-Identifier: BSD-2-Clause */
/* show --json: one object per line and event, in the order of `sequence`. Keys are only ever added. Values that may be large are strings, "0x..".
 *
 *   every event   {"event":"exit","sequence":12,"tsc":98123456,"cpu":0, ...}
 *   machine       "version" "vendor" (0 none, 1 VMX, 2 SVM) "cpu_count" "groups":"0x.." "tsc_khz"
 *   state         "n" (the exit that follows) "vcpu" "changes"
 *   exit          "n" (0, 1, ... per vCPU) "vcpu" "reason":"IO" "length" (of the instruction, 0: unknown)
 *                 "details":{"direction":"out","port":"0x3f8","size":1,...} as details.c has them for the reason
 *                 "raw_reason" "raw_info1" "raw_info2" "pending" "valid" "known": "0x.."
 *                 "instruction":"b0ff.." if the machine gave its bytes
 *                 "changes":{"rip":"0x1004",...}: fields of struct vcpu_state that are not as they were, with their new values
 *   entry         "n" (the exit it answers, -1: none) "vcpu" "dirty" "want":"0x.." "changes"
 *                 "inject":"0x.." "inject_text":"interrupt 0x20" if the VMM injects
 *   value         "n" "vcpu" (65535: of none) "kind":"port_in" "address":"0x.." "data":"616263"
 *   others        every field of their row in abi/trace.h: numbers, or "0x.." for x32 and x64
 *   hypercall     besides: "name":"sm_up" "result":"OK"; ipc: "name":"call"
 *
 * state, exit and entry before the first state of their vCPU (a trace that begins in the middle) have "unknown":true and no changes. */
#include <stdio.h>
#include "trace/details.h"
#include "tools/show.h"
#include "trace/rows.h"
#include "trace/vcpu_field.h"

static void changes(const struct walk *k)
{
    const char *comma = "";
    if (!k->known) {
        printf(",\"unknown\":true");
        return;
    }
    printf(",\"changes\":{");
    for (u32 i = 0; i < vcpu_field_count; i++) {
        const struct vcpu_field *const f = &vcpu_field[i];
        const u64 now = vcpu_field_word(f, k->words->word);
        if (now == vcpu_field_word(f, k->before))
            continue;
        printf("%s\"%s\":\"0x%lx\"", comma, f->name, now);
        comma = ",";
    }
    printf("}");
}

static void hex_bytes(const char *key, const u8 *bytes, u32 count)
{
    printf(",\"%s\":\"", key);
    for (u32 i = 0; i < count; i++)
        printf("%02x", bytes[i]);
    printf("\"");
}

static void exit_show(const struct walk *k)
{
    const u64 *const word = k->words->word;
    const struct vcpu_exit *const x = trace_words_exit(k->words);
    const u8 *const instruction = (const u8 *)&word[TRACE_WORD_instruction0];
    struct detail d[DETAILS_MAX];
    if (k->known) {
        printf(",\"reason\":\"%s\",\"length\":%u,\"details\":{", trace_reason_name(x->reason), x->insn_len);
        for (u32 i = 0, count = details(k->words, d); i < count; i++) {
            printf("%s\"%s\":", i ? "," : "", d[i].name);
            if (d[i].text)
                printf("\"%s\"", d[i].text);
            else
                printf(d[i].hex ? "\"0x%lx\"" : "%lu", d[i].value);
        }
        printf("},\"raw_reason\":\"0x%lx\",\"raw_info1\":\"0x%lx\",\"raw_info2\":\"0x%lx\"", x->raw_reason, x->raw_info1, x->raw_info2);
        printf(",\"pending\":\"0x%lx\",\"valid\":\"0x%x\",\"known\":\"0x%x\"", word[TRACE_WORD_pending], trace_valid(k->words), trace_known(k->words));
        if (instruction[15])
            hex_bytes("instruction", instruction, min(instruction[15], (u8)15));
    }
    changes(k);
}

static void entry_show(const struct walk *k)
{
    const u64 inject = k->words->word[TRACE_WORD_inject];
    const u32 dirty = trace_dirty(k->words);
    char text[EVENT_TEXT_BYTES];
    if (k->known)
        printf(",\"dirty\":\"0x%x\",\"want\":\"0x%x\"", dirty, trace_want(k->words));
    changes(k);
    event_text(inject, text);
    if (k->known && dirty & VCPU_GROUP_INJECT && inject & VCPU_EVENT_VALID)
        printf(",\"inject\":\"0x%lx\",\"inject_text\":\"%s\"", inject, text);
}

static void fields_show(const struct trace_event *e, const struct trace_row *row)
{
    u32 at = sizeof(*e);
    for (u32 i = 0; i < row->fields; at += row->field[i++].bytes)
        printf(row->field[i].type[0] == 'x' ? ",\"%s\":\"0x%lx\"" : ",\"%s\":%lu", row->field[i].name, trace_field_get(e, at, row->field[i].bytes));
}

static void names_show(const struct trace_event *e)
{
    char text[NAME_TEXT_BYTES];
    if (e->id == TRACE_hypercall) {
        printf(",\"name\":\"%s\"", hypercall_text(((const struct trace_hypercall *)e)->number, text));
        printf(",\"result\":\"%s\"", status_text(((const struct trace_hypercall *)e)->status, text));
    } else if (e->id == TRACE_ipc) {
        printf(",\"name\":\"%s\"", ipc_text(((const struct trace_ipc *)e)->kind, text));
    }
}

void show_json(const struct walk *k)
{
    const struct trace_event *const e = k->item->raw;
    const struct trace_value *const v = (const struct trace_value *)e;
    const struct trace_tail tail = trace_tail(e);
    printf("{\"event\":\"%s\",\"sequence\":%lu,\"tsc\":%lu,\"cpu\":%u", trace_event_name(e->id), k->item->sequence, k->item->tsc, k->item->cpu);
    if (k->vcpu != TRACE_NO_VCPU || e->id == TRACE_value)
        printf(",\"n\":%ld,\"vcpu\":%u", k->exit, k->vcpu);
    switch (e->id) {
    case TRACE_state: changes(k); break;
    case TRACE_exit: exit_show(k); break;
    case TRACE_entry: entry_show(k); break;
    case TRACE_value:
        printf(",\"kind\":\"%s\",\"address\":\"0x%lx\"", trace_value_name(v->kind), v->address);
        hex_bytes("data", tail.data, tail.bytes);
        break;
    default:
        fields_show(e, trace_row(e->id));
        names_show(e);
    }
    printf("}\n");
}
