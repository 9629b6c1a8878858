/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF64: static x86-64 executables only. Structures are copied out before they are looked at, so the file needs no alignment; each offset is
 * checked against the size by subtraction, so nothing can wrap. Not handled: relocation, interpreters, TLS. */
#include "elf.h"
#include "abi/hypercall.h"
#include "machine.h"

struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_program {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};
static_assert(sizeof(struct elf_header) == 64 && sizeof(struct elf_program) == 56, "file format");

#define ELF_PROGRAMS 64u
#define PT_LOAD      1u
#define PT_INTERP    3u
#define PF_X         1u
#define PF_W         2u
#define PF_R         4u

static const char *header_check(const struct elf_header *h, u64 bytes)
{
    static const u8 ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};   /* 64 bit, little-endian, version 1 */
    for (u32 i = 0; i < sizeof(ident); i++)
        if (h->ident[i] != ident[i])
            return "elf: not an ELF64 little-endian file";
    if (h->type != 2 || h->machine != 62 || h->version != 1)
        return "elf: not a static x86-64 executable";
    if (h->phentsize != sizeof(struct elf_program) || !h->phnum || h->phnum > ELF_PROGRAMS)
        return "elf: program headers of an unknown size or number";
    if (h->phoff > bytes || bytes - h->phoff < h->phnum * sizeof(struct elf_program))
        return "elf: program headers outside the file";
    return NULL;
}

static u32 program_rights(const struct elf_program *p)
{
    return (p->flags & PF_R ? RIGHT_R : 0) | (p->flags & PF_W ? RIGHT_R | RIGHT_W : 0) | (p->flags & PF_X ? RIGHT_R | RIGHT_X : 0);
}

static const char *program_check(const struct elf_program *p, u64 bytes, u64 page_end)
{
    if (p->filesz > p->memsz)
        return "elf: a segment larger in the file than in memory";
    if (p->offset > bytes || bytes - p->offset < p->filesz)
        return "elf: a segment outside the file";
    const u64 end = page_end << PAGE_BITS;
    if (p->vaddr >= end || end - p->vaddr < p->memsz)
        return "elf: a segment outside the address space";
    if (!program_rights(p) || (p->flags & PF_W && p->flags & PF_X))
        return "elf: a segment without rights, or writable and executable";
    return NULL;
}

static const char *segment_add(struct elf_image *image, const struct elf_program *p)
{
    const u64 page = p->vaddr >> PAGE_BITS, end = (p->vaddr + p->memsz + PAGE_MASK) >> PAGE_BITS;
    if (image->count == ELF_SEGMENTS)
        return "elf: too many segments";
    for (u32 i = 0; i < image->count; i++) {
        const struct elf_segment *const other = &image->segment[i];
        if (page < other->page + other->pages && other->page < end)
            return "elf: two segments share a page";
    }
    image->segment[image->count++] = (struct elf_segment){
            .page = page,
            .pages = end - page,
            .address = p->vaddr,
            .bytes = p->filesz,
            .offset = p->offset,
            .rights = program_rights(p),
    };
    return NULL;
}

static const char *entry_check(const struct elf_image *image)
{
    for (u32 i = 0; i < image->count; i++) {
        const struct elf_segment *const s = &image->segment[i];
        const u64 page = image->entry >> PAGE_BITS;
        if (s->rights & RIGHT_X && page >= s->page && page < s->page + s->pages)
            return NULL;
    }
    return "elf: entry point outside the executable segments";
}

const char *elf_parse(const void *file, u64 bytes, u64 page_end, struct elf_image *out)
{
    struct elf_header h;
    if (bytes < sizeof(h))
        return "elf: shorter than its header";
    mach_copy(&h, file, sizeof(h));
    const char *message = header_check(&h, bytes);
    if (message)
        return message;
    out->entry = h.entry;
    out->count = 0;
    for (u32 i = 0; i < h.phnum; i++) {
        struct elf_program p;
        mach_copy(&p, (const u8 *)file + h.phoff + i * sizeof(p), sizeof(p));
        if (p.type == PT_INTERP)
            return "elf: wants an interpreter";
        if (p.type != PT_LOAD || !p.memsz)
            continue;
        message = program_check(&p, bytes, page_end);
        if (!message)
            message = segment_add(out, &p);
        if (message)
            return message;
    }
    return entry_check(out);
}
