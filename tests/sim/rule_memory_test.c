/* SPDX-License-Identifier: BSD-2-Clause */
/* Is memory that a kernel must not touch, free or name found out? Rules MEM, TAB, TLB, SPIN, and of the answerer. */
#include "rule_test.h"

#define AT     0x300000ul
#define VA     0x40201000ul   /* index 1 at each level below the top, where it is 0 */
#define LEVELS 4u

void __tsan_read8(void *a);
void __tsan_write8(void *a);

static void *at(u64 phys)
{
    return mach_phys_to_virt(phys);
}

static void in_state(enum mem_state state)
{
    mach_mem_state(at(AT), PAGE_SIZE, state);
}

static void load_free(struct rule_scene *x) { in_state(MEM_FREE); atomic_load(at(AT)); }
static void load_epoch(struct rule_scene *x) { in_state(MEM_EPOCH); atomic_load(at(AT)); }
static void copy_free(struct rule_scene *x) { in_state(MEM_FREE); mach_copy(at(AT - 64), at(AT + PAGE_SIZE - 8), 8); }
static void copy_behind(struct rule_scene *x) { in_state(MEM_FREE); mach_copy(at(AT - 64), at(AT + PAGE_SIZE), 8); }
static void zero_into_free(struct rule_scene *x) { in_state(MEM_FREE); mach_zero(at(AT - 64), 128); }
static void zero_before(struct rule_scene *x) { in_state(MEM_FREE); mach_zero(at(AT - 64), 64); }
static void plain_free(struct rule_scene *x) { in_state(MEM_FREE); __tsan_read8(at(AT)); }
static void plain_live(struct rule_scene *x) { in_state(MEM_FREE); in_state(MEM_LIVE); __tsan_read8(at(AT)); }
static void store_redzone(struct rule_scene *x) { in_state(MEM_REDZONE); atomic_store(at(AT), 1); }
static void store_behind(struct rule_scene *x) { in_state(MEM_REDZONE); atomic_store(at(AT + PAGE_SIZE), 1); }
static void phys_beyond(struct rule_scene *x) { at(MICRO_RAM + 1); }
static void phys_end(struct rule_scene *x) { at(MICRO_RAM); }
static void virt_outside(struct rule_scene *x) { mach_virt_to_phys((u8 *)at(0) - 1); }
static void virt_inside(struct rule_scene *x) { mach_virt_to_phys(at(0)); }
static void state_beyond(struct rule_scene *x) { mach_mem_state(at(MICRO_RAM - 64), 128, MEM_FREE); }
static void state_to_end(struct rule_scene *x) { mach_mem_state(at(MICRO_RAM - 64), 64, MEM_FREE); }
static void plain_guard(struct rule_scene *x) { __tsan_write8((u8 *)at(0) - 8); }
static void plain_own(struct rule_scene *x) { u64 local; __tsan_write8(&local); }
static void copy_over(struct rule_scene *x) { mach_copy(at(AT), at(AT + 7), 8); }
static void copy_beside(struct rule_scene *x) { mach_copy(at(AT), at(AT + 8), 8); }

static void spin(struct rule_scene *x)
{
    for (;;)
        mach_relax();
}

static void spin_for_a_while(struct rule_scene *x)
{
    for (u32 i = 0; i < 1000; i++)
        mach_relax();
}

/* ---- Tables: AT is the top-level one, the next pages those below, then the frame ---- */

static u64 *word(u32 level)
{
    return (u64 *)at(AT + level * PAGE_SIZE) + (level ? 1 : 0);
}

static void map(void)
{
    for (u32 level = 0; level < LEVELS; level++)
        *word(level) = (AT + (level + 1) * PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
    mach_cr3_write(AT);
}

static void walk(u32 access)
{
    struct sim_translation t;
    struct sim_fault f;
    ignore(sim_translate(sim_this(), VA, access, true, &t, &f));
}

static void map_and_free(u32 level)
{
    map();
    walk(RIGHT_R);
    mach_mem_state(at(AT + level * PAGE_SIZE), PAGE_SIZE, MEM_FREE);
}

/* Unmapped and flushed first. */
static void unmap_and_free(u32 level)
{
    map();
    walk(RIGHT_R);
    atomic_store((atomic_u64 *)word(level - 1), 0);
    mach_invlpg(VA);
    mach_mem_state(at(AT + level * PAGE_SIZE), PAGE_SIZE, MEM_FREE);
    walk(RIGHT_R);
}

static void frame_freed(struct rule_scene *x) { map_and_free(LEVELS); }
static void frame_flushed(struct rule_scene *x) { unmap_and_free(LEVELS); }
static void table_freed(struct rule_scene *x) { map_and_free(LEVELS - 1); }
static void table_flushed(struct rule_scene *x) { unmap_and_free(LEVELS - 1); }
static void root_freed(struct rule_scene *x) { map_and_free(0); }

static void root_left(struct rule_scene *x)
{
    map();
    walk(RIGHT_R);
    mach_cr3_write(mach_boot_root());
    mach_mem_state(at(AT), PAGE_SIZE, MEM_FREE);
}

static void walk_freed_table(struct rule_scene *x)
{
    map();
    mach_mem_state(at(AT + PAGE_SIZE), PAGE_SIZE, MEM_FREE);
    walk(RIGHT_R);
}

static void walk_outside_ram(struct rule_scene *x)
{
    map();
    *word(1) = MICRO_RAM | PTE_P | PTE_U;
    walk(RIGHT_R);
}

static void walk_absent_in_ram(struct rule_scene *x)
{
    map();
    *word(1) = (AT + 2 * PAGE_SIZE) | PTE_W | PTE_U;
    walk(RIGHT_R);
}

static void walk_not_present(struct rule_scene *x)
{
    map();
    *word(1) = MICRO_RAM;
    walk(RIGHT_R);
}

static void table_plain_store(struct rule_scene *x)
{
    map();
    walk(RIGHT_R);
    __tsan_write8(word(3));
}

static void table_atomic_store(struct rule_scene *x)
{
    map();
    walk(RIGHT_R);
    atomic_store((atomic_u64 *)word(3), 0);
}

/* ---- Answerers ---- */

/* Others step in front of each locked write of a walk, and change its word. */
static u32 choose_change(struct chooser *self, u32 bound, enum choice_kind kind)
{
    if (kind == CHOICE_DIRTY)
        *word(3) ^= bit(9);   /* a bit of software's own */
    return kind == CHOICE_DIRTY;
}

static u32 choose_bound(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return bound;
}

static u32 choose_last(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return bound - 1;
}

static void ask(struct sim *s, u32 (*choose)(struct chooser *self, u32 bound, enum choice_kind kind))
{
    struct chooser chooser = { choose };
    s->config.chooser = &chooser;
    (void)choice(2, CHOICE_INPUT);
    s->config.chooser = NULL;
}

static void walk_never_ends(struct rule_scene *x)
{
    static struct chooser chooser = { choose_change };
    map();
    x->s->config.chooser = &chooser;
    walk(RIGHT_W);
}

static void answer_beyond(struct rule_scene *x) { ask(x->s, choose_bound); }
static void answer_last(struct rule_scene *x) { ask(x->s, choose_last); }

RULE_TABLE(rule_memory, SCENE_UNIT(SIM_NONE),
    { RULE_MEM_FREE, load_free, load_epoch },
    { RULE_MEM_FREE, copy_free, copy_behind },
    { RULE_MEM_FREE, zero_into_free, zero_before },
    { RULE_MEM_FREE, plain_free, plain_live },
    { RULE_MEM_REDZONE, store_redzone, store_behind },
    { RULE_MEM_BOUNDS, phys_beyond, phys_end },
    { RULE_MEM_BOUNDS, virt_outside, virt_inside },
    { RULE_MEM_BOUNDS, state_beyond, state_to_end },
    { RULE_MEM_BOUNDS, plain_guard, plain_own },
    { RULE_MEM_OVERLAP, copy_over, copy_beside },
    { RULE_SPIN_FOREVER, spin, spin_for_a_while },
    { RULE_TAB_PLAIN, table_plain_store, table_atomic_store },
    { RULE_TAB_ABSENT, walk_absent_in_ram, walk_not_present },
    { RULE_TAB_RAM, walk_outside_ram, walk_not_present },
    { RULE_TLB_FREED, frame_freed, frame_flushed },
    { RULE_TLB_TABLE, table_freed, table_flushed },
    { RULE_TLB_TABLE, walk_freed_table, NULL },
    { RULE_TLB_ROOT, root_freed, root_left },
    { RULE_MACHINE_WALK, walk_never_ends, NULL },
    { RULE_CHOICE_BOUND, answer_beyond, answer_last });
