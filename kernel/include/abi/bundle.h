/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot bundle: one file that every machine loads as its single boot module. Little-endian; every file in it starts on a page.
 *
 *   page 0..    struct bundle, then file_count struct bundle_file, then program_count struct bundle_program
 *   then        the files (ELF programs, guest images), each page-aligned, zero-padded to a page
 *
 * The first file is the root program. Whoever reads a bundle checks it with the rules written at the fields: boot input is not trusted. */
#pragma once
#include "base.h"

#define BUNDLE_MAGIC    0x314259524552524ful   /* "ORRERYB1" */
#define BUNDLE_VERSION  1u
#define BUNDLE_FILES    64u
#define BUNDLE_PROGRAMS 32u

struct bundle {
    u64 magic;
    u32 version;
    u32 file_count;      /* 1 .. BUNDLE_FILES */
    u32 program_count;   /* 0 .. BUNDLE_PROGRAMS */
    u32 cpus;            /* CPUs the scenario needs */
    u64 bytes;           /* of the whole bundle, a multiple of the page size */
    u64 reserved[4];
};

struct bundle_file {
    char name[40];       /* NUL-terminated */
    u64 offset;          /* from the start of the bundle; page-aligned, inside it */
    u64 bytes;           /* offset + bytes <= bundle bytes */
    u64 reserved;
};

/* What root starts. */
struct bundle_program {
    char name[32];       /* instance, NUL-terminated, printed before its death notice */
    char args[128];      /* NUL-terminated, handed to the program */
    u32 file;            /* index of its ELF file */
    u32 cpu;
    u32 priority;
    u32 flags;           /* BUNDLE_PROGRAM_* */
    u64 quota_bytes;     /* kernel memory */
    u64 memory_bytes;    /* user memory beside its image, mapped at PROGRAM_MEMORY */
    u64 guest_file;      /* index + 1 of a guest image for a VMM, mapped read-only at PROGRAM_GUEST; 0: none */
    u64 reserved[5];
};
#define BUNDLE_PROGRAM_MAY_DIE 0x1u   /* its death by an exception is expected */

static_assert(sizeof(struct bundle) == 64 && sizeof(struct bundle_file) == 64 && sizeof(struct bundle_program) == 240, "file format");
