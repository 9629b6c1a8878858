/* SPDX-License-Identifier: BSD-2-Clause */
#include "bundle_fixture.h"
#include <string.h>

static void put(u8 *to, u32 at, u64 value, u32 bytes)
{
    memcpy(to + at, &value, bytes);
}

static void program(u8 *elf, u32 n, u64 flags, u64 offset, u64 address, u64 file_bytes, u64 bytes)
{
    const u32 at = FIXTURE_PHDR(n);
    put(elf, at, 1, 4);
    put(elf, at + 4, flags, 4);
    put(elf, at + 8, offset, 8);
    put(elf, at + 16, address, 8);
    put(elf, at + 24, address, 8);
    put(elf, at + 32, file_bytes, 8);
    put(elf, at + 40, bytes, 8);
    put(elf, at + 48, PAGE_SIZE, 8);
}

void bundle_fixture_elf(u8 elf[FIXTURE_ELF_BYTES])
{
    memset(elf, 0, FIXTURE_ELF_BYTES);
    memcpy(elf, "\177ELF\2\1\1", 7);
    put(elf, 16, 2, 2);
    put(elf, 18, 62, 2);
    put(elf, 20, 1, 4);
    put(elf, 24, FIXTURE_ENTRY, 8);
    put(elf, 32, 64, 8);
    put(elf, 54, 56, 2);
    put(elf, 56, 2, 2);
    program(elf, 0, 5, 0x1000, FIXTURE_TEXT, 0x100, 0x100);
    program(elf, 1, 6, 0x2000, FIXTURE_DATA, 0x10, 0x1800);
    memset(elf + 0x1000, 0x90, 0x100);
    memset(elf + 0x2000, 0xda, 0x10);
}

void bundle_fixture(u8 bundle[FIXTURE_BUNDLE])
{
    struct bundle b = { .magic = BUNDLE_MAGIC, .version = BUNDLE_VERSION, .file_count = 1, .cpus = 1, .bytes = FIXTURE_BUNDLE };
    struct bundle_file f = { .name = "root", .offset = PAGE_SIZE, .bytes = FIXTURE_ELF_BYTES };
    memset(bundle, 0, FIXTURE_BUNDLE);
    memcpy(bundle, &b, sizeof(b));
    memcpy(bundle + sizeof(b), &f, sizeof(f));
    bundle_fixture_elf(bundle + PAGE_SIZE);
}
