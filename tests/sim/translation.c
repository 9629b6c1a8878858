/* SPDX-License-Identifier: BSD-2-Clause */
/* See translation.h. */
#include "translation.h"

static u32 ask(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct asker *a = container_of(self, struct asker, chooser);
    if (kind != CHOICE_TRANSLATION)
        return 0;
    a->bound = bound;
    return a->answer < bound ? a->answer : 0;
}

struct asker asker = { .chooser = { ask } };
struct sim_translation out;
struct sim_fault fault;
struct sim_nested_fault nested_fault;

u64 *entry(u32 set, u32 level, u64 address)
{
    return (u64 *)mach_phys_to_virt(walk_slot(TABLE(set, level), address, level));
}

void poke(u64 *at, u64 value)
{
    translations_wrote(sim_here, at, *at, value);
    *at = value;
}

void map_set(u32 set, u64 table_bits, u64 leaf)
{
    for (u32 level = 3; level; level--)
        poke(entry(set, level, VA), TABLE(set, level - 1) | table_bits);
    poke(entry(set, 0, VA), leaf);
}

static int open(void **state, enum sim_vendor vendor)
{
    struct sim *s = sim_unit(2, 16ul << 20, vendor);
    *state = s;
    asker.answer = 0;
    s->config.chooser = &asker.chooser;
    map_set(0, HOST, FRAME | HOST);
    mach_cr3_write(TABLE(0, 3));
    return 0;
}

int translation_setup(void **state)
{
    return open(state, SIM_VMX);
}

int translation_setup_svm(void **state)
{
    return open(state, SIM_SVM);
}

int translation_teardown(void **state)
{
    sim_destroy(*state);
    return 0;
}

bool read_as_user(void)
{
    asker.bound = 1;
    return sim_translate(sim_this(), VA, RIGHT_R, true, &out, &fault);
}

/* Takes a stale answer if there is one: a fresh walk that faults would drop them all. */
u32 stale_count(void)
{
    asker.answer = 1;
    (void)read_as_user();
    asker.answer = 0;
    return asker.bound - 1;
}

bool may_read(u64 frame)
{
    const struct walk_root root = walk_host(sim_this());
    struct walk w;
    struct translation fresh;
    bool found = walk_now(sim_here, &root, VA, &w, &fresh) == WALK_LEAF && fresh.frame == frame >> PAGE_BITS;
    for (u32 n = stale_count(); n; n--) {
        asker.answer = n;
        found = (read_as_user() && out.phys == frame) || found;
    }
    asker.answer = 0;
    return found;
}

static void free_it(void *arg)
{
    mach_mem_state(mach_phys_to_virt(*(u64 *)arg), PAGE_SIZE, MEM_FREE);
}

const char *free_page(struct sim *s, u64 phys)
{
    const char *finding = sim_unit_expect_panic(s, free_it, &phys);
    mach_mem_state(mach_phys_to_virt(phys), PAGE_SIZE, MEM_LIVE);
    return finding;
}
