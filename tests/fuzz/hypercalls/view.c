/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking into the kernel. Slots, ranges and page tables are read as they lie there: so it shows what is in them that nobody asked for, and no time passes. */
#include "view.h"
#include "fpu.h"
#include "portal.h"
#include "sc.h"
#include "sm.h"
#include "vcpu.h"

u64 view_bytes(enum object_type type, bool fpu)
{
    const u64 image = mem_charge(fpu_image_bytes());
    switch (type) {
    case OBJ_PD:
        return mem_charge(sizeof(struct pd));
    case OBJ_EC:
        return mem_charge(sizeof(struct ec)) + mem_charge(sizeof(struct utcb)) + (fpu ? image : 0);
    case OBJ_SC:
        return mem_charge(sizeof(struct sc));
    case OBJ_PORTAL:
        return mem_charge(sizeof(struct portal));
    case OBJ_SM:
        return mem_charge(sizeof(struct sm));
    default:   /* with its VMCS or VMCB */
        return mem_charge(sizeof(struct vcpu)) + 2 * mem_charge(sizeof(struct vcpu_state)) + image + PAGE_SIZE;
    }
}

u64 view_range_bytes(void)
{
    return mem_charge(sizeof(struct mem_range));
}

void *view_slot(const struct pd *pd, u64 selector, u32 *perms)
{
    const struct cap_slot *const leaf = selector < SEL_COUNT ? (void *)pd->objects.leaf[selector / OBJ_LEAF_SLOTS].v : NULL;
    const u64 word = leaf ? leaf[selector % OBJ_LEAF_SLOTS].word.v : 0;
    *perms = word & OBJ_PERM_MASK;
    return (void *)(word & ~OBJ_PERM_MASK);
}

bool view_leaf(const struct pd *pd, u32 index)
{
    return pd->objects.leaf[index].v;
}

bool view_page(struct space_mem *s, u64 page, u64 *frame, u32 *rights)
{
    return space_mem_lookup(s, page, frame, rights);
}

static void run(const struct view_space *v, const struct view_run *r)
{
    if (v->run)
        v->run(v->arg, r);
}

/* page: the first that the table translates. */
static void walk_table(const struct ptab *p, u64 phys, u32 level, u64 page, struct view_space *v)
{
    const u64 *const word = mach_phys_to_virt(phys);
    const u32 end = level == PTAB_LEVELS - 1 ? p->format->machine_first : PTAB_ENTRIES;
    v->tables++;
    for (u32 i = 0; i < end; i++, page += PTAB_SPAN(level)) {
        if (!ptab_is_present(p->format, word[i]))
            continue;
        if (!ptab_is_leaf(word[i], level)) {
            walk_table(p, word[i] & PTAB_ADDRESS, level - 1, page, v);   /* depth: levels */
            continue;
        }
        const u64 frame = align_down((word[i] & PTAB_ADDRESS) >> PAGE_BITS, PTAB_SPAN(level));   /* EPT and NPT: bit 12 of a large page is none of it */
        run(v, &(struct view_run){ page, frame, PTAB_SPAN(level), p->format->rights(word[i]), true });
    }
}

static void walk_ranges(const struct mem_range *r, struct view_space *v)
{
    if (!r)
        return;
    v->ranges++;
    run(v, &(struct view_run){ r->page, r->frame, r->count, r->rights, false });
    walk_ranges(r->child[0], v);   /* depth: a balanced tree */
    walk_ranges(r->child[1], v);
}

void view_space(const struct space_mem *s, struct view_space *v)
{
    v->ranges = v->tables = 0;
    if (!s->ptab.root)
        return;
    walk_ranges(s->index, v);
    walk_table(&s->ptab, s->ptab.root, PTAB_LEVELS - 1, 0, v);
}
