/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a run load the groups that are dirty and no other, and does a fetch write the groups that were asked for and no other? */
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"

/* The guest moves on: nearly every group is not any more what the VMM once loaded. */
static void moves_on(struct guest *g, struct sim_guest *guest)
{
    guest->gpr[RBX] = 0xb0b;
    guest->gpr[RSP] = 0x5055;
    guest->rip = 0x7123;
    guest->rflags |= RFLAGS_IF;
    guest->seg[VCPU_SEG_DS].selector = 0x18;
    guest->gdtr.limit = 0x77;
    guest->idtr.base = 0x9000;
    guest->cr2 = 0xc2;
    guest->cr3 = 0xc000;
    guest->dr6 = 0xffff0ff2;
    guest->kernel_gs = 0x6000;
}

/* A copy of all groups as they stand. */
static void fetch_all(struct guest *g, struct vcpu_state *out)
{
    guest_fetch(g, g->s->capabilities);
    memcpy(out, g->s, sizeof(*out));
}

static void assert_same(const struct vcpu_state *a, const struct vcpu_state *b, u32 but)
{
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
        const struct vcpu_group_range *const r = &vcpu_group_range[i];
        if (!(but & 1u << i))
            assert_memory_equal((const u8 *)a + r->offset, (const u8 *)b + r->offset, r->bytes);
    }
    assert_memory_equal(a->fpu, b->fpu, 512);
}

static void only_what_is_dirty_is_loaded(void **state)
{
    static struct vcpu_state before, after;
    struct guest *g = guest_open(VENDOR(state));
    const u32 all = g->s->capabilities;
    fetch_all(g, &before);
    g->before = moves_on;
    assert_int_equal(guest_run(g, all), VCPU_EXIT_HYPERCALL);
    g->before = NULL;
    fetch_all(g, &before);
    assert_int_equal(before.gpr[RBX], 0xb0b);
    assert_int_equal(before.cr3, 0xc000);
    assert_int_equal(before.seg[VCPU_SEG_DS].selector, 0x18);
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
        if (!(all & 1u << i))
            continue;
        assert_int_equal(guest_run(g, 1u << i), VCPU_EXIT_HYPERCALL);
        fetch_all(g, &after);
        assert_same(&before, &after, 0);
    }
    guest_close(g);
}

static void only_what_is_asked_for_is_stored(void **state)
{
    static struct vcpu_state pattern;
    struct guest *g = guest_open(VENDOR(state));
    memset(&pattern, 0xa5, sizeof(pattern));
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
        const struct vcpu_group_range *const r = &vcpu_group_range[i];
        if (!(g->s->capabilities & 1u << i))
            continue;
        for (u32 n = 0; n < VCPU_GROUP_COUNT; n++)
            memset((u8 *)g->s + vcpu_group_range[n].offset, 0xa5, vcpu_group_range[n].bytes);
        memset(g->s->fpu, 0xa5, 512);
        guest_fetch(g, 1u << i);
        for (u32 n = 0; n < VCPU_GROUP_COUNT; n++) {
            const struct vcpu_group_range *const other = &vcpu_group_range[n];
            if (n != i)
                assert_memory_equal((u8 *)g->s + other->offset, (u8 *)&pattern + other->offset, other->bytes);
        }
        assert_memory_not_equal((u8 *)g->s + r->offset, (u8 *)&pattern + r->offset, r->bytes);
        if (1u << i != VCPU_GROUP_FPU)
            assert_memory_equal(g->s->fpu, pattern.fpu, 512);
    }
    guest_close(g);
}

GUEST_GROUP(virt_groups, GUEST_TEST(only_what_is_dirty_is_loaded), GUEST_TEST(only_what_is_asked_for_is_stored));
