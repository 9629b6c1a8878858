/* SPDX-License-Identifier: BSD-2-Clause */
/* See walk.h. Intel SDM 3A chapter 4. The four modes differ in: number of levels, index bits per level, entry size, which levels can map
 * a large page. */
#include "walk.h"

#define CR0_PG   bit(31)
#define CR4_PSE  bit(4)
#define CR4_PAE  bit(5)
#define EFER_LMA bit(10)

#define ENTRY_PRESENT 0x1ul
#define ENTRY_LARGE   0x80ul
#define ENTRY_ADDRESS 0x000ffffffffff000ul

struct mode {
    u32 levels, index_bits, entry_bytes;
    u32 large_levels;   /* bit n: an entry of level n may map a page; level 1 is the last */
    u64 root_mask;
};

static const struct mode mode_long = { 4, 9, 8, 0xc, ENTRY_ADDRESS };
static const struct mode mode_pae = { 3, 9, 8, 0x4, 0xffffffe0ul };   /* the top table has four entries */
static const struct mode mode_32 = { 2, 10, 4, 0x4, 0xfffff000ul };

static u64 large_address(const struct mode *m, u64 entry, u64 offset, u64 offset_mask)
{
    if (m->entry_bytes == 4)   /* PSE-36: bits 20:13 of the entry are address bits 39:32 (SDM 3A 4.3) */
        return (entry & 0xffc00000ul) | (entry >> 13 & 0xff) << 32 | offset;
    return (entry & ENTRY_ADDRESS & ~offset_mask) | offset;
}

static bool walk_tables(const struct vcpu_state *s, const struct mode *m, u64 linear, walk_read read, void *arg, u64 *gpa)
{
    const u64 address_mask = m->entry_bytes == 4 ? 0xfffff000ul : ENTRY_ADDRESS;
    u64 table = s->cr3 & m->root_mask;
    for (u32 level = m->levels; level > 0; level--) {
        const u32 shift = PAGE_BITS + (level - 1) * m->index_bits;
        const u64 index = linear >> shift & (bit(m->index_bits) - 1);
        u64 entry = 0;
        if (!read(arg, table + index * m->entry_bytes, m->entry_bytes, &entry) || !(entry & ENTRY_PRESENT))
            return false;
        const bool large = (entry & ENTRY_LARGE) && (m->large_levels & bit(level)) &&
                           (m->entry_bytes == 8 || (s->cr4 & CR4_PSE));
        const u64 offset_mask = bit(shift) - 1;
        if (large) {
            *gpa = large_address(m, entry, linear & offset_mask, offset_mask);
            return true;
        }
        table = entry & address_mask;
    }
    *gpa = table | (linear & PAGE_MASK);
    return true;
}

bool walk(const struct vcpu_state *s, u64 linear, walk_read read, void *arg, u64 *gpa)
{
    if (s->cr0 & CR0_PG && s->efer & EFER_LMA)
        return walk_tables(s, &mode_long, linear, read, arg, gpa);
    linear &= 0xfffffffful;
    if (!(s->cr0 & CR0_PG)) {
        *gpa = linear;
        return true;
    }
    return walk_tables(s, s->cr4 & CR4_PAE ? &mode_pae : &mode_32, linear, read, arg, gpa);
}
