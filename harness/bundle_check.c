/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of abi/bundle.h, each with the name of its field. */
#include <string.h>
#include "input.h"

#define CPUS_MAX       64u
#define PRIORITY_COUNT 128u

static bool terminated(const char *text, u64 room)
{
    return memchr(text, 0, room) != NULL;
}

static bool zero(const u64 *words, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (words[i])
            return false;
    return true;
}

static bool check_head(const struct input *in, const struct bundle *b)
{
    if (b->magic != BUNDLE_MAGIC)
        return input_refuse(in, "magic", offset_of(struct bundle, magic), "not a boot bundle");
    if (b->version != BUNDLE_VERSION)
        return input_refuse(in, "version", offset_of(struct bundle, version), "not version 1");
    if (!b->file_count || b->file_count > BUNDLE_FILES)
        return input_refuse(in, "file_count", offset_of(struct bundle, file_count), "must be 1 to 64");
    if (b->program_count > BUNDLE_PROGRAMS)
        return input_refuse(in, "program_count", offset_of(struct bundle, program_count), "must be at most 32");
    if (!b->cpus || b->cpus > CPUS_MAX)
        return input_refuse(in, "cpus", offset_of(struct bundle, cpus), "must be 1 to 64");
    if (b->bytes != in->count || b->bytes & PAGE_MASK)
        return input_refuse(in, "bytes", offset_of(struct bundle, bytes), "must be the size of the file, whole pages");
    if (!zero(b->reserved, array_size(b->reserved)))
        return input_refuse(in, "reserved", offset_of(struct bundle, reserved), "must be zero");
    const u64 tables = sizeof(*b) + b->file_count * sizeof(struct bundle_file) + b->program_count * sizeof(struct bundle_program);
    return tables <= in->count || input_refuse(in, "file_count", offset_of(struct bundle, file_count), "the tables do not fit into the file");
}

static bool check_file(const struct input *in, const struct bundle_file *f, u64 at)
{
    if (!terminated(f->name, sizeof(f->name)))
        return input_refuse(in, "file.name", at, "not terminated");
    if (f->offset & PAGE_MASK || f->offset > in->count)
        return input_refuse(in, "file.offset", at + offset_of(struct bundle_file, offset), "not a page inside the bundle");
    if (f->bytes > in->count - f->offset)
        return input_refuse(in, "file.bytes", at + offset_of(struct bundle_file, bytes), "ends outside the bundle");
    return !f->reserved || input_refuse(in, "file.reserved", at + offset_of(struct bundle_file, reserved), "must be zero");
}

static bool check_program(const struct input *in, const struct bundle *b, const struct bundle_program *p, u64 at)
{
    if (!terminated(p->name, sizeof(p->name)))
        return input_refuse(in, "program.name", at, "not terminated");
    if (!terminated(p->args, sizeof(p->args)))
        return input_refuse(in, "program.args", at + offset_of(struct bundle_program, args), "not terminated");
    if (p->file >= b->file_count)
        return input_refuse(in, "program.file", at + offset_of(struct bundle_program, file), "there is no such file");
    if (p->cpu >= b->cpus)
        return input_refuse(in, "program.cpu", at + offset_of(struct bundle_program, cpu), "the scenario has no such CPU");
    if (p->priority >= PRIORITY_COUNT)
        return input_refuse(in, "program.priority", at + offset_of(struct bundle_program, priority), "must be below 128");
    if (p->flags & ~BUNDLE_PROGRAM_MAY_DIE)
        return input_refuse(in, "program.flags", at + offset_of(struct bundle_program, flags), "unknown flags");
    if (p->guest_file > b->file_count)
        return input_refuse(in, "program.guest_file", at + offset_of(struct bundle_program, guest_file), "there is no such file");
    return zero(p->reserved, array_size(p->reserved)) ||
           input_refuse(in, "program.reserved", at + offset_of(struct bundle_program, reserved), "must be zero");
}

bool bundle_check(const struct input *in)
{
    struct bundle b;
    if (in->count < sizeof(b))
        return input_refuse(in, "header", in->count, "truncated");
    memcpy(&b, in->bytes, sizeof(b));
    if (!check_head(in, &b))
        return false;
    u64 at = sizeof(b);
    for (u32 i = 0; i < b.file_count; i++, at += sizeof(struct bundle_file))
        if (!check_file(in, (const struct bundle_file *)(in->bytes + at), at))
            return false;
    for (u32 i = 0; i < b.program_count; i++, at += sizeof(struct bundle_program))
        if (!check_program(in, &b, (const struct bundle_program *)(in->bytes + at), at))
            return false;
    return true;
}
