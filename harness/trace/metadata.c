/* SPDX-License-Identifier: BSD-2-Clause */
/* The CTF description of abi/trace.h (CTF 1.8, 7 and appendix C): what babeltrace2 and other viewers read the streams by. Every integer is aligned to a
 * byte, so structures are as packed as ours. */
#include <inttypes.h>
#include <string.h>
#include "abi/hypercall.h"
#include "abi/status.h"
#include "trace/rows.h"
#include "trace/writer.h"

static const char head[] =
    "typealias integer { size = 8; align = 8; signed = false; } := u8;\n"
    "typealias integer { size = 16; align = 8; signed = false; } := u16;\n"
    "typealias integer { size = 32; align = 8; signed = false; } := u32;\n"
    "typealias integer { size = 64; align = 8; signed = false; } := u64;\n"
    "typealias integer { size = 32; align = 8; signed = false; base = 16; } := x32;\n"
    "typealias integer { size = 64; align = 8; signed = false; base = 16; } := x64;\n"
    "\n"
    "trace {\n"
    "    major = 1;\n"
    "    minor = 8;\n"
    "    byte_order = le;\n"
    "    uuid = \"%s\";\n"
    "    packet.header := struct { u32 magic; u8 uuid[16]; u32 stream_id; };\n"
    "};\n\n";
static const char clock_and_stream[] =
    "clock {\n"
    "    name = tsc;\n"
    "    description = \"the time stamp counter\";\n"
    "    freq = %" PRIu64 ";\n"
    "};\n"
    "typealias integer { size = 32; align = 8; signed = false; map = clock.tsc.value; } := tsc32;\n"
    "typealias integer { size = 64; align = 8; signed = false; map = clock.tsc.value; } := tsc64;\n"
    "\n"
    "stream {\n"
    "    id = 0;\n"
    "    packet.context := struct {\n"
    "        tsc64 timestamp_begin; tsc64 timestamp_end; u64 content_size; u64 packet_size; u64 events_discarded;\n"
    "        u64 first_sequence;\n"
    "        u32 cpu_id;\n"
    "    };\n"
    "    event.header := struct { u16 id; tsc32 timestamp; };\n"
    "    event.context := struct { u16 bytes; u32 sequence; };\n"
    "};\n\n";

/* Names are quoted: some are words of the language. */
#define NAME(number, name, ...) { #name, number },
struct name {
    const char *name;
    u32 number;
};
static const struct name words[] = { TRACE_WORD_LIST(NAME) };
static const struct name kinds[] = { TRACE_VALUE_LIST(NAME) };
static const struct name hypercalls[] = { HYPERCALL_LIST(NAME) };
static const struct name states[] = { STATUS_LIST(NAME) };
static const struct name messages[] = { { "call", TRACE_IPC_call }, { "reply", TRACE_IPC_reply }, { "exception", TRACE_IPC_exception } };
static const struct name vendors[] = { { "none", 0 }, { "VMX", 1 }, { "SVM", 2 } };

/* A field whose numbers have names; its type is called as its field. */
static const struct {
    u32 id;
    const char *field, *type;
    const struct name *name;
    u32 count;
} enums[] = {
    { 0, "word", "u8", words, array_size(words) },
    { TRACE_machine, "vendor", "u32", vendors, array_size(vendors) },
    { TRACE_value, "kind", "u8", kinds, array_size(kinds) },
    { TRACE_hypercall, "number", "u8", hypercalls, array_size(hypercalls) },
    { TRACE_hypercall, "status", "u8", states, array_size(states) },
    { TRACE_ipc, "kind", "u8", messages, array_size(messages) },
};

static void enums_write(FILE *out)
{
    for (u32 i = 0; i < array_size(enums); i++) {
        fprintf(out, "enum %s_%s : %s {", enums[i].id ? trace_event_name(enums[i].id) : "vcpu", enums[i].field, enums[i].type);
        for (u32 k = 0; k < enums[i].count; k++)
            fprintf(out, "%s\n    \"%s\" = %u", k ? "," : "", enums[i].name[k].name, enums[i].name[k].number);
        fprintf(out, "\n};\n");
    }
    fprintf(out, "struct small { enum vcpu_word word; u32 value; };\nstruct large { enum vcpu_word word; x64 value; };\n\n");
}

static void field_write(FILE *out, u32 id, const struct trace_field *f)
{
    for (u32 i = 0; i < array_size(enums); i++)
        if (enums[i].id == id && strcmp(enums[i].field, f->name) == 0) {
            fprintf(out, " enum %s_%s %s;", trace_event_name(id), f->name, f->name);
            return;
        }
    fprintf(out, " %s %s;", f->type, f->name);
}

static void event_write(FILE *out, u32 id, const struct trace_row *row)
{
    static const char *const tails[] = {
        [TRACE_TAIL_NONE] = "",
        [TRACE_TAIL_DELTA] = " u8 small_count; u8 large_count; struct small small[small_count]; struct large large[large_count];",
        [TRACE_TAIL_BYTES] = " u8 count; u8 data[count];",
    };
    fprintf(out, "/* %s */\nevent {\n    name = \"%s\";\n    id = %u;\n    stream_id = 0;\n    fields := struct {", row->text, row->name, id);
    for (u32 i = 0; i < row->fields; i++)
        field_write(out, id, &row->field[i]);
    fprintf(out, "%s };\n};\n", tails[row->tail]);
}

static void env_write(FILE *out, const struct trace_env *env)
{
    fprintf(out, "env {\n    format = \"orrery\";\n    format_version = %u;\n", TRACE_VERSION);
    for (; env && env->key; env++) {
        const u64 length = strlen(env->value);
        fprintf(out, "    %s = ", env->key);
        if (length && length < 19 && strspn(env->value, "0123456789") == length && (length == 1 || env->value[0] != '0')) {
            fprintf(out, "%s;\n", env->value);
            continue;
        }
        fputc('"', out);
        for (const char *c = env->value; *c; c++)
            if ((u8)*c >= ' ')   /* no line may end in a string */
                fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        fprintf(out, "\";\n");
    }
    fprintf(out, "};\n\n");
}

void trace_metadata(FILE *out, u64 tsc_khz, const struct trace_env *env)
{
    static const u8 uuid[16] = TRACE_UUID;
    char text[37], *at = text;
    for (u32 i = 0; i < 16; i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    fprintf(out, "/* CTF 1.8 */\n\n");
    fprintf(out, head, text);
    env_write(out, env);
    fprintf(out, clock_and_stream, (tsc_khz ? tsc_khz : 1000000ul) * 1000);
    enums_write(out);
    for (u32 id = 0; id < TRACE_ID_COUNT; id++)
        if (trace_row(id))
            event_write(out, id, trace_row(id));
}
