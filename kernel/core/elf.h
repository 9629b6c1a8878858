/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF64 executables (ELF-64 Object File Format 1.5): what a loader needs of them, from untrusted bytes. */
#pragma once
#include "base.h"

#define ELF_SEGMENTS 16u

struct elf_segment {
    u64 page, pages;               /* where it goes; no two segments share a page */
    u64 address, bytes;            /* what of the file goes where; the rest of the pages is zero */
    u64 offset;                    /* in the file */
    u32 rights;                    /* RIGHT_*; never W and X */
};

struct elf_image {
    u64 entry;                     /* inside an executable segment */
    u32 count;
    struct elf_segment segment[ELF_SEGMENTS];
};

/* NULL, or a message that says what makes no sense. Reads nothing outside [file, file + bytes); every page is below page_end. */
const char *elf_parse(const void *file, u64 bytes, u64 page_end, struct elf_image *out);
