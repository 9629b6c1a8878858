/* SPDX-License-Identifier: BSD-2-Clause */
/* What if an ELF file is corrupt? The input is the file, in a heap block of its exact size, so that ASan sees one byte too many; what is accepted must
 * keep what elf.h promises. */
#include <stdlib.h>
#include <string.h>
#include "abi/hypercall.h"
#include "elf.h"
#include "sim.h"

#define PAGE_END (USER_END >> PAGE_BITS)

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

static bool is_legal(const struct elf_image *image, size_t bytes)
{
    bool entered = false;
    for (u32 i = 0; i < image->count; i++) {
        const struct elf_segment *s = &image->segment[i];
        if (s->page > PAGE_END || s->pages > PAGE_END - s->page || s->offset > bytes || s->bytes > bytes - s->offset)
            return false;
        if (s->address < s->page << PAGE_BITS || s->bytes > (s->pages << PAGE_BITS) - (s->address - (s->page << PAGE_BITS)))
            return false;
        if ((s->rights & (RIGHT_W | RIGHT_X)) == (RIGHT_W | RIGHT_X))
            return false;
        for (u32 k = 0; k < i; k++)
            if (s->page < image->segment[k].page + image->segment[k].pages && image->segment[k].page < s->page + s->pages)
                return false;
        entered |= s->rights & RIGHT_X && image->entry >> PAGE_BITS >= s->page && image->entry >> PAGE_BITS < s->page + s->pages;
    }
    return entered && image->count <= ELF_SEGMENTS;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    static struct sim *s;
    if (!s)
        s = sim_unit(1, 16ul << 20, SIM_NONE);
    u8 *const copy = malloc(bytes ? bytes : 1);
    struct elf_image image;
    if (!s || !copy)
        return 0;
    memcpy(copy, data, bytes);
    if (!elf_parse(copy, bytes, PAGE_END, &image) && !is_legal(&image, bytes))
        abort();
    free(copy);
    return 0;
}
