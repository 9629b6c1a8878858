/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of what root did not make itself: the boot bundle and the ELF files in it. No hypercalls, no state: also built for tests. */
#pragma once
#include "abi/bundle.h"
#include "base.h"
#include "../lib/program.h"   /* by path: the simulator has a header of that name too */

#define IMAGE_SEGMENTS 8u

/* One PT_LOAD. Memory: `pages` pages from `page`; the file's bytes stand `lead` bytes into the first, the rest is zero. */
struct image_segment {
    u64 page, pages;         /* page numbers */
    u64 lead;
    u64 offset, bytes;       /* in the file */
    u32 rights;              /* RIGHT_* */
};

struct image {
    u64 entry;
    u32 count;
    struct image_segment segment[IMAGE_SEGMENTS];
};

/* An ELF64 x86-64 executable that fits below PROGRAM_PAGE, its segments on pages of their own, none writable and executable, its entry
 * in an executable one. NULL, or what is wrong with it; *out is then undefined. Reads only file[0 .. bytes - 1]. */
const char *image_parse(const void *file, u64 bytes, struct image *out);

/* The bundle by the rules of abi/bundle.h, bytes as mapped. NULL, or what is wrong. */
const char *bundle_check(const struct bundle *bundle, u64 bytes);
const struct bundle_file *bundle_file(const struct bundle *bundle, u64 index);
const struct bundle_program *bundle_program(const struct bundle *bundle, u64 index);
