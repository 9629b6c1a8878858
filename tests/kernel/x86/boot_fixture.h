/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of boot input share: a machine that nobody boots, a cursor that appends little-endian values to its RAM, garbage that is
 * the same in every run. RAM ends at a guard page: a read beyond a structure that stands at its very end is fatal. */
#pragma once
#include "unit.h"
#include <string.h>
#include "boot.h"
#include "machine.h"
#include "sim.h"

#define BOOT_RAM (16ul << 20)
#define BOOT_AT  0x9000ul          /* where structures are built */

static inline int boot_setup(void **state)
{
    *state = sim_unit(4, BOOT_RAM, SIM_NONE);
    return *state ? 0 : -1;
}

static inline int boot_teardown(void **state)
{
    sim_destroy(*state);
    return 0;
}

static inline u8 *boot_ram(u64 phys)
{
    return (u8 *)mach_phys_to_virt(0) + phys;
}

struct boot_writer {
    u64 start, next;               /* physical */
};

static inline struct boot_writer boot_writer(u64 phys)
{
    return (struct boot_writer){ phys, phys };
}

static inline void boot_put(struct boot_writer *w, u64 value, u32 bytes)
{
    memcpy(boot_ram(w->next), &value, bytes);
    w->next += bytes;
}

static inline void boot_put_text(struct boot_writer *w, const char *text)
{
    memcpy(boot_ram(w->next), text, strlen(text));
    w->next += strlen(text);
}

static inline void boot_align(struct boot_writer *w, u64 alignment)
{
    w->next = align_up(w->next, alignment);
}

/* The byte that makes the sum of [phys, phys + bytes) zero goes to phys + at. */
static inline void boot_checksum(u64 phys, u32 bytes, u32 at)
{
    u8 sum = 0;
    *boot_ram(phys + at) = 0;
    for (u32 i = 0; i < bytes; i++)
        sum = (u8)(sum + *boot_ram(phys + i));
    *boot_ram(phys + at) = (u8)-sum;
}

/* xorshift64: garbage, but reproducible. */
static inline u64 boot_garbage(u64 *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* What must hold of any result, whatever the input was. */
static inline void boot_assert_sane(const struct boot_info *b)
{
    assert_true(b->range_count <= BOOT_RANGES);
    for (u32 i = 0; i < b->range_count; i++) {
        assert_true(b->range[i].start < b->range[i].end && b->range[i].end <= bit(52));
        assert_false((b->range[i].start | b->range[i].end) & PAGE_MASK);
        assert_true(i == 0 || b->range[i - 1].end < b->range[i].start);
    }
    assert_true(b->bundle_bytes <= BOOT_RAM && b->bundle <= BOOT_RAM - b->bundle_bytes);
    assert_false(b->bundle & PAGE_MASK);
}

static inline void boot_assert_range(const struct boot_info *b, u32 index, u64 start, u64 end)
{
    assert_true(index < b->range_count);
    assert_int_equal(b->range[index].start, start);
    assert_int_equal(b->range[index].end, end);
}
