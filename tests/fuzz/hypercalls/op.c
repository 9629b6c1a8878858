/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations as text, and back. A field that is 0 and no argument is left out; the names of arguments are those of the hypercall table, those
 * it has not are a0 .. a5. */
#include "op.h"
#include <stdlib.h>
#include <string.h>

struct signature {
    const char *name;
    u32 count;
    const char *const *names;
};

#define NAMES(...)         __VA_ARGS__
#define NAME(index, name)  #name,
#define ARGUMENTS(number, name, arguments, results, summary) static const char *const names_##name[] = { HC_EACH(NAME, NAMES arguments) };
HYPERCALL_LIST(ARGUMENTS)
static const struct signature signatures[] = {
#define SIGNATURE(number, name, arguments, results, summary) { #name, array_size(names_##name), names_##name },
    HYPERCALL_LIST(SIGNATURE)
};
static const char *const unnamed[OP_ARGS] = { "a0", "a1", "a2", "a3", "a4", "a5" }, *const later[] = { "ticks" };

const char *op_name(u64 number)
{
    return number < HYPERCALL_COUNT ? signatures[number].name : number == OP_LATER ? "later" : "unknown";
}

u32 op_arguments(u64 number, const char *const **names)
{
    *names = number < HYPERCALL_COUNT ? signatures[number].names : later;
    if (number >= HYPERCALL_COUNT)
        return number == OP_LATER;
    return strcmp((*names)[0], "none") ? signatures[number].count : 0;
}

/* The members that have a name of their own. */
struct field {
    const char *name;
    u16 offset;
};
#define FIELD(name, member) { name, offset_of(struct op, member) }
static const struct field fields[] = {
    FIELD("cpu", cpu), FIELD("number", number), FIELD("relative", relative), FIELD("fail", fail), FIELD("preempt", preempt),
    FIELD("rewrite", rewrite.tick), FIELD("where", rewrite.where), FIELD("value", rewrite.value), FIELD("dirty", dirty),
    FIELD("object_window", window[0].base), FIELD("object_units", window[0].count),
    FIELD("memory_window", window[1].base), FIELD("memory_units", window[1].count),
};

static u64 *field_of(struct op *op, const struct field *f)
{
    return (u64 *)((u8 *)op + f->offset);
}

void op_print(char line[OP_LINE_BYTES], const struct op *op)
{
    const char *const *names;
    const u32 count = op_arguments(op->number, &names);
    char *at = line + sprintf(line, "cpu=%lu %s", op->cpu, op_name(op->number));
    if (op->number >= HYPERCALL_COUNT && op->number != OP_LATER)
        at += sprintf(at, " number=%#lx", op->number);
    for (u32 i = 0; i < count; i++)
        at += sprintf(at, " %s=%#lx", names[i], op->args[i]);
    for (u32 i = count; i < OP_ARGS; i++)
        at += op->args[i] ? sprintf(at, " %s=%#lx", unnamed[i], op->args[i]) : 0;
    for (u32 i = 2; i < array_size(fields); i++)
        if (*field_of((struct op *)op, &fields[i]))
            at += sprintf(at, " %s=%#lx", fields[i].name, *field_of((struct op *)op, &fields[i]));
    for (u32 i = 0; i < op->items; i++)
        at += sprintf(at, " item=%#lx,%#lx,%#x,%#x", op->item[i].base, op->item[i].count, op->item[i].rights, op->item[i].type);
}

static bool number_of(const char *text, u64 *out)
{
    char *end;
    *out = strtoul(text, &end, 0);
    return *text && !*end;
}

static bool verb(struct op *op, const char *word)
{
    for (u64 n = 0; n < HYPERCALL_COUNT; n++)
        if (!strcmp(word, signatures[n].name)) {
            op->number = n;
            return true;
        }
    op->number = !strcmp(word, "later") ? OP_LATER : HYPERCALL_COUNT;
    return op->number == OP_LATER || !strcmp(word, "unknown");
}

/* base,count,rights,type */
static bool item(struct op *op, char *value)
{
    u64 word[4];
    for (u32 i = 0; i < 4; i++) {
        const char *const one = strsep(&value, ",");
        if (!one || !number_of(one, &word[i]))
            return false;
    }
    if (value || op->items == OP_ITEMS)
        return false;
    op->item[op->items++] = (struct utcb_item){ .base = word[0], .count = word[1], .rights = (u32)word[2], .type = (u16)word[3] };
    return true;
}

static bool assign(struct op *op, const char *name, char *value)
{
    const char *const *names;
    const u32 count = op_arguments(op->number, &names);
    if (!strcmp(name, "item"))
        return item(op, value);
    for (u32 i = 0; i < count; i++)
        if (!strcmp(name, names[i]))
            return number_of(value, &op->args[i]);
    for (u32 i = count; i < OP_ARGS; i++)
        if (!strcmp(name, unnamed[i]))
            return number_of(value, &op->args[i]);
    for (u32 i = 0; i < array_size(fields); i++)
        if (!strcmp(name, fields[i].name))
            return number_of(value, field_of(op, &fields[i]));
    return false;
}

const char *op_parse(struct op *op, const char *line)
{
    static char copy[OP_LINE_BYTES];
    char *rest = copy, *word;
    bool any = false;
    *op = (struct op){ 0 };
    if (strlen(line) >= sizeof(copy))
        return "the line is too long";
    strcpy(copy, line);
    while ((word = strsep(&rest, " \t\r\n"))) {
        char *const equals = strchr(word, '=');
        if (!*word)
            continue;
        if (!equals && (any || !verb(op, word)))
            return "no such hypercall";
        any |= !equals;
        if (!equals)
            continue;
        *equals = 0;
        if (!assign(op, word, equals + 1))
            return "no such field, or no number";
    }
    return any ? NULL : "no hypercall";
}
