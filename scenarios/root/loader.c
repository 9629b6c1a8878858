/* SPDX-License-Identifier: BSD-2-Clause */
/* See loader.h. Every sum of values from a file is preceded by the check that makes it safe. */
#include "loader.h"
#include "abi/hypercall.h"

struct elf_header {   /* ELF-64 Object File Format 1.5, figure 2 */
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, program_offset, section_offset;
    u32 flags;
    u16 header_bytes, program_entry_bytes, program_count;
    u16 section_entry_bytes, section_count, section_names;
};
static_assert(sizeof(struct elf_header) == 64, "file format");

struct elf_program {   /* figure 6 */
    u32 type, flags;
    u64 offset, address, physical, file_bytes, memory_bytes, align;
};
static_assert(sizeof(struct elf_program) == 56, "file format");

#define ELF_EXECUTABLE 2u
#define ELF_X86_64     62u
#define ELF_LOAD       1u
#define ELF_X          1u
#define ELF_W          2u
#define ELF_R          4u
#define ELF_PROGRAMS   64u

/* Headers may stand at odd addresses. */
static void copy(void *to, const void *from, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        ((u8 *)to)[i] = ((const u8 *)from)[i];
}

static const char *header_check(const struct elf_header *h, u64 bytes)
{
    static const u8 ident[7] = { 0x7f, 'E', 'L', 'F', 2 /* 64 bit */, 1 /* little-endian */, 1 };
    for (u32 i = 0; i < sizeof(ident); i++)
        if (h->ident[i] != ident[i])
            return "not an ELF64 file";
    if (h->type != ELF_EXECUTABLE || h->machine != ELF_X86_64)
        return "not an x86-64 executable";
    if (h->program_entry_bytes != sizeof(struct elf_program) || h->program_count > ELF_PROGRAMS)
        return "program header table of unknown form";
    if (h->program_offset > bytes || bytes - h->program_offset < (u64)h->program_count * sizeof(struct elf_program))
        return "program headers outside the file";
    return NULL;
}

static u32 rights_of(u32 flags)
{
    return (flags & ELF_R ? RIGHT_R : 0) | (flags & ELF_W ? RIGHT_W : 0) | (flags & ELF_X ? RIGHT_X : 0);
}

static const char *segment_parse(const struct elf_program *p, u64 bytes, struct image_segment *s)
{
    if (p->file_bytes > p->memory_bytes)
        return "segment with more file than memory";
    if (p->offset > bytes || p->file_bytes > bytes - p->offset)
        return "segment outside the file";
    if (p->address < PAGE_SIZE || p->address >= PROGRAM_PAGE || p->memory_bytes > PROGRAM_PAGE - p->address)
        return "segment outside the image area";
    s->rights = rights_of(p->flags);
    if (!(s->rights & RIGHT_R))
        return "segment that cannot be read";
    if ((s->rights & RIGHT_W) && (s->rights & RIGHT_X))
        return "segment both writable and executable";
    s->page = p->address >> PAGE_BITS;
    s->lead = p->address & PAGE_MASK;
    s->pages = align_up(s->lead + p->memory_bytes, PAGE_SIZE) >> PAGE_BITS;
    s->offset = p->offset;
    s->bytes = p->file_bytes;
    return NULL;
}

static bool overlaps(const struct image *image, const struct image_segment *s)
{
    for (u32 i = 0; i < image->count; i++) {
        const struct image_segment *o = &image->segment[i];
        if (s->page < o->page + o->pages && o->page < s->page + s->pages)
            return true;
    }
    return false;
}

static bool entry_executable(const struct image *image)
{
    const u64 page = image->entry >> PAGE_BITS;
    for (u32 i = 0; i < image->count; i++) {
        const struct image_segment *s = &image->segment[i];
        if ((s->rights & RIGHT_X) && page >= s->page && page < s->page + s->pages)
            return true;
    }
    return false;
}

const char *image_parse(const void *file, u64 bytes, struct image *out)
{
    struct elf_header h;
    if (bytes < sizeof(h))
        return "shorter than an ELF header";
    copy(&h, file, sizeof(h));
    const char *wrong = header_check(&h, bytes);
    if (wrong)
        return wrong;
    *out = (struct image){ .entry = h.entry };
    for (u32 i = 0; i < h.program_count; i++) {
        struct elf_program p;
        copy(&p, (const u8 *)file + h.program_offset + i * sizeof(p), sizeof(p));
        if (p.type != ELF_LOAD || p.memory_bytes == 0)
            continue;
        struct image_segment s;
        wrong = segment_parse(&p, bytes, &s);
        if (wrong)
            return wrong;
        if (out->count == IMAGE_SEGMENTS)
            return "too many segments";
        if (overlaps(out, &s))
            return "segments share a page";
        out->segment[out->count++] = s;
    }
    return entry_executable(out) ? NULL : "entry outside executable segments";
}

static bool terminated(const char *s, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        if (!s[i])
            return true;
    return false;
}

const struct bundle_file *bundle_file(const struct bundle *bundle, u64 index)
{
    return (const struct bundle_file *)(bundle + 1) + index;
}

const struct bundle_program *bundle_program(const struct bundle *bundle, u64 index)
{
    return (const struct bundle_program *)bundle_file(bundle, bundle->file_count) + index;
}

static const char *file_check(const struct bundle *bundle, const struct bundle_file *f)
{
    if (!terminated(f->name, sizeof(f->name)))
        return "file name without end";
    if ((f->offset & PAGE_MASK) || f->offset > bundle->bytes || f->bytes > bundle->bytes - f->offset)
        return "file outside the bundle";
    return NULL;
}

static const char *program_check(const struct bundle *bundle, const struct bundle_program *p)
{
    if (!terminated(p->name, sizeof(p->name)) || !terminated(p->args, sizeof(p->args)))
        return "program name or arguments without end";
    if (p->file >= bundle->file_count || p->guest_file > bundle->file_count)
        return "program of a file that is not there";
    if (p->priority >= PRIORITY_COUNT)
        return "priority out of range";
    if (p->cpu >= bundle->cpus)
        return "program on a CPU beyond those asked for";
    return NULL;
}

const char *bundle_check(const struct bundle *bundle, u64 bytes)
{
    if (bytes < sizeof(*bundle) || bundle->magic != BUNDLE_MAGIC || bundle->version != BUNDLE_VERSION)
        return "no bundle of this version";
    if (bundle->bytes > bytes || (bundle->bytes & PAGE_MASK))
        return "bundle larger than what was loaded";
    if (bundle->file_count < 1 || bundle->file_count > BUNDLE_FILES || bundle->program_count > BUNDLE_PROGRAMS)
        return "too many files or programs, or none";
    const u64 tables = sizeof(*bundle) + bundle->file_count * sizeof(struct bundle_file) +
                       bundle->program_count * sizeof(struct bundle_program);
    if (tables > bundle->bytes)
        return "tables outside the bundle";
    for (u32 i = 0; i < bundle->file_count; i++) {
        const char *wrong = file_check(bundle, bundle_file(bundle, i));
        if (wrong)
            return wrong;
    }
    for (u32 i = 0; i < bundle->program_count; i++) {
        const char *wrong = program_check(bundle, bundle_program(bundle, i));
        if (wrong)
            return wrong;
    }
    return NULL;
}
