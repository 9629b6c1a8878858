/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of translations that are no matter of freed memory: a right that was taken, a tag that is used again. */
#include "rule_test.h"
#include "translation.h"

static void taken(bool flushed)
{
    struct sim *s = sim_here;
    mach_cr3_write(TABLE(0, 3));
    map_set(0, HOST, FRAME | HOST);
    poke(entry(0, 0, VA), FRAME | (HOST & ~PTE_W));
    if (flushed)
        mach_invlpg(VA);
    sim_unreachable(s, bit(0), FRAME, PAGE_SIZE, RIGHT_W);
    sim_unreachable(s, bit(1), FRAME, PAGE_SIZE, RIGHT_R);   /* it has other tables */
}

static void right_taken(struct rule_scene *x)   { taken(false); }
static void right_flushed(struct rule_scene *x) { taken(true); }

static void vpid_of(u64 guest, u32 vpid)
{
    const struct walk_root root = { .kind = WALK_EPT, .tag = TABLE(1, 3), .root = TABLE(1, 3) | EPTP };
    translations_enter(sim_this(), &root, vpid, guest);
    translations_leave(sim_this(), vpid);
}

static void vpid_again(struct rule_scene *x)
{
    vpid_of(0x9000, 5);
    vpid_of(0xa000, 5);
}

static void vpid_flushed(struct rule_scene *x)
{
    vpid_of(0x9000, 5);
    sim_tlb_flush_vpid(sim_this(), false, 5);
    vpid_of(0xa000, 5);
}

RULE_TABLE(rule_tlb, SCENE_UNIT(SIM_VMX), { RULE_TLB_RIGHT, right_taken, right_flushed }, { RULE_TLB_TAG, vpid_again, vpid_flushed });
