/* SPDX-License-Identifier: BSD-2-Clause */
/* See symbols.h. The file is our own, yet read as if it were not: everything is checked against its size. */
#include "symbols.h"
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 64u   /* longer ones are cut */

struct symbol {
    u64 start, end;
    char name[NAME_BYTES];
};

struct symbols {
    struct symbol *symbol;
    u32 count;
    u64 bias;   /* run-time address - link-time address */
};

struct file {
    const u8 *bytes;
    u64 count;
};

extern u8 __executable_start[];

static const void *part(const struct file *f, u64 offset, u64 bytes)
{
    return offset <= f->count && bytes <= f->count - offset ? f->bytes + offset : NULL;
}

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void table_read(struct symbols *s, const struct file *f, const Elf64_Shdr *table, const Elf64_Shdr *names)
{
    const Elf64_Sym *sym = part(f, table->sh_offset, table->sh_size);
    const char *text = part(f, names->sh_offset, names->sh_size);
    const u64 all = table->sh_size / sizeof(*sym);
    s->symbol = sym && text ? malloc(all * sizeof(*s->symbol)) : NULL;
    for (u64 i = 0; s->symbol && i < all; i++) {
        if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC || sym[i].st_shndx == SHN_UNDEF || sym[i].st_name >= names->sh_size)
            continue;
        struct symbol *out = &s->symbol[s->count++];
        const u64 room = names->sh_size - sym[i].st_name;
        u32 length = 0;
        for (const char *c = text + sym[i].st_name; length < min(room, NAME_BYTES - 1ul) && c[length] && (c[length] != '.' || !length); length++)
            out->name[length] = c[length];
        out->name[length] = 0;
        out->start = sym[i].st_value + s->bias;
        out->end = out->start + sym[i].st_size;
    }
}

static void file_read(struct symbols *s, const struct file *f)
{
    const Elf64_Ehdr *e = part(f, 0, sizeof(*e));
    if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0 || e->e_ident[EI_CLASS] != ELFCLASS64)
        return;
    s->bias = e->e_type == ET_DYN ? (u64)__executable_start : 0;
    const Elf64_Shdr *section = part(f, e->e_shoff, (u64)e->e_shnum * sizeof(*section));
    for (u32 i = 0; section && i < e->e_shnum && !s->symbol; i++)
        if (section[i].sh_type == SHT_SYMTAB && section[i].sh_link < e->e_shnum)
            table_read(s, f, &section[i], &section[section[i].sh_link]);
    if (s->symbol)
        qsort(s->symbol, s->count, sizeof(*s->symbol), compare);
}

struct symbols *symbols_open(void)
{
    struct symbols *s = calloc(1, sizeof(*s));
    struct stat status;
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (s && fd >= 0 && fstat(fd, &status) == 0) {
        struct file f = { .count = (u64)status.st_size };
        void *map = mmap(NULL, f.count, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            f.bytes = map;
            file_read(s, &f);
            munmap(map, f.count);
        }
    }
    if (fd >= 0)
        close(fd);
    return s;
}

void symbols_close(struct symbols *s)
{
    if (s)
        free(s->symbol);
    free(s);
}

const char *symbols_name(const struct symbols *s, u64 site)
{
    u32 low = 0, high = s ? s->count : 0;
    while (low < high) {   /* the first that begins at or after the return address: the one before it may hold the call */
        const u32 middle = low + (high - low) / 2;
        if (s->symbol[middle].start < site)
            low = middle + 1;
        else
            high = middle;
    }
    return low && site - 1 < s->symbol[low - 1].end ? s->symbol[low - 1].name : "-";
}

u64 symbols_link(const struct symbols *s, u64 site)
{
    return site ? site - 1 - (s ? s->bias : 0) : 0;
}
