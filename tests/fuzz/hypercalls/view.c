/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking into the kernel. Page tables are walked here once more, as only so it shows what is in them that nobody asked for. */
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

void *view_slot(struct pd *pd, u64 selector, u32 *perms)
{
    u32 type;
    struct object *o = NULL;
    if (space_obj_peek(&pd->objects, selector, &type, perms) && space_obj_lookup(&pd->objects, selector, type, 0, &o) != OK)
        return NULL;
    return o;
}

bool view_leaf(const struct pd *pd, u32 index)
{
    return atomic_load(&pd->objects.leaf[index]);
}

bool view_page(struct space_mem *s, u64 page, u64 *frame, u32 *held, u32 *entered)
{
    u64 mapped;
    if (!space_mem_lookup(s, page, frame, held))
        return false;
    if (!ptab_lookup(&s->ptab, page, &mapped, entered) || mapped != *frame)
        *entered = 0;
    return true;
}

static void walk_table(const struct ptab *p, u64 phys, u32 level, struct view_space *out)
{
    const u64 *const word = mach_phys_to_virt(phys);
    const u32 end = level == PTAB_LEVELS - 1 ? p->format->machine_first : PTAB_ENTRIES;
    out->tables++;
    for (u32 i = 0; i < end; i++) {
        if (!p->format->is_present(word[i]))
            continue;
        if (ptab_is_leaf(word[i], level))
            out->mapped += PTAB_SPAN(level);
        else
            walk_table(p, word[i] & PTAB_ADDRESS, level - 1, out);   /* depth: levels */
    }
}

static void walk_ranges(const struct mem_range *r, struct view_space *out)
{
    if (!r)
        return;
    out->ranges++;
    out->pages += r->count;
    walk_ranges(r->child[0], out);   /* depth: a balanced tree */
    walk_ranges(r->child[1], out);
}

void view_space(const struct space_mem *s, struct view_space *out)
{
    *out = (struct view_space){ 0 };
    if (!s->ptab.root)
        return;
    walk_ranges(s->index, out);
    walk_table(&s->ptab, s->ptab.root, PTAB_LEVELS - 1, out);
}
