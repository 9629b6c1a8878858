/* SPDX-License-Identifier: BSD-2-Clause */
/* When a shootdown is complete, can a CPU that had the space loaded still use what was revoked? And is a table freed while one may walk through it?
 * The machine judges every free by what each CPU may have cached, whether or not anything was accessed. */
#include "space_mem_fixture.h"
#include "tlb.h"
#include "translations.h"

static bool reaches(struct fixture *f)
{
    u32 cpu;
    u64 address;
    return translations_reach(f->w->sim, F0 << PAGE_BITS, 16 * PAGE_SIZE, RIGHT_R, &cpu, &address);
}

static void load(struct fixture *f, struct space_mem *s)
{
    for (u32 n = 3; n-- > 0;)
        tlb_load(core_cpu(f->w, n), s);
}

static void revoked_memory_is_out_of_reach_when_all_have_answered(void **state)
{
    struct fixture *f = *state;
    u64 g;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 16, RW), OK);
    load(f, &f->s[A]);
    assert_true(reaches(f));
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[A], 0x100, 16, true, &g), OK);
    for (u32 n = 1; n < 3; n++) {
        assert_false(tlb_complete(g));
        assert_true(reaches(f));             /* the CPUs that have not answered */
        tlb_handle(core_cpu(f->w, n));
    }
    core_cpu(f->w, 0);
    assert_true(tlb_complete(g));
    assert_false(reaches(f));
    core_settle(f->w);                      /* frees the tables: judged there */
    load(f, NULL);
}

/* The tables must not go before the last answer, in whichever order the CPUs see the end of the epoch. */
static void tables_go_after_the_last_answer(void **state)
{
    struct fixture *f = *state;
    for (u32 late = 1; late < 3; late++) {
        u64 g;
        assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 16, RW), OK);
        load(f, &f->s[A]);
        const u64 free = mem_free_bytes(f->w->kern->mem);
        assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[A], 0x100, 16, true, &g), OK);
        for (u32 round = 0; round < 4; round++)
            for (u32 n = 0; n < CORE_CPUS; n++) {
                if (n != late)
                    tlb_handle(core_cpu(f->w, n));
                epoch_quiesce(core_cpu(f->w, n));
            }
        core_cpu(f->w, 0);
        assert_true(reaches(f));
        core_settle(f->w);
        assert_false(reaches(f));
        assert_true(mem_free_bytes(f->w->kern->mem) > free);   /* they did go */
        load(f, NULL);
    }
}

TEST_GROUP(tlb_judge, T(revoked_memory_is_out_of_reach_when_all_have_answered), T(tables_go_after_the_last_answer));
