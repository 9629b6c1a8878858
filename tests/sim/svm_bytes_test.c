/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the SVM model tell the bytes of the instruction that made a data fault, and of no other exit? */
#include <string.h>
#include "abi/hypercall.h"
#include "unit.h"
#include "virt_fixture.h"

static const struct {
    struct engine_event e;
    bool tells;
} rows[] = {
    { { .kind = EVENT_NESTED_FAULT, .gpa = GPA_ABSENT, .access = RIGHT_R }, true },
    { { .kind = EVENT_NESTED_FAULT, .gpa = GPA_READ_ONLY, .access = RIGHT_W }, true },
    { { .kind = EVENT_NESTED_FAULT, .gpa = GPA_ABSENT, .access = RIGHT_R, .info = 1 }, true },
    { { .kind = EVENT_NESTED_FAULT, .gpa = GPA_ABSENT, .access = RIGHT_X }, false },
    { { .kind = EVENT_EXCEPTION, .vector = VECTOR_PF, .error = PF_WRITE, .error_valid = true }, true },
    { { .kind = EVENT_EXCEPTION, .vector = VECTOR_PF, .error = PF_FETCH, .error_valid = true }, false },
    { { .kind = EVENT_EXCEPTION, .vector = VECTOR_GP, .error = 0x58, .error_valid = true }, false },
    { { .kind = EVENT_CPUID }, false },
    { { .kind = EVENT_HLT }, false },
};
static const u8 fetched[15] = { 0x48, 0x8b, 0x03, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

/* More than fit are cut; what an exit does not tell stays as software left it, but for the count (15.8.4). */
static void told(struct world *w, struct engine_event e, u32 count, u32 expected, const struct svm_profile *profile)
{
    struct vmcb *const b = world_vmcb(w);
    world_good(w, BASE_LONG);
    svm_of(w->cpu)->profile = profile;
    b->intercept_exceptions = ~0u;
    b->fetched_bytes = 9;
    memset(b->insn_bytes, 0xee, sizeof(b->insn_bytes));
    memcpy(e.fetched, fetched, sizeof(fetched));
    e.fetched_bytes = (u8)count;
    world_event(w, &e);
    world_enter(w);
    assert_null(w->finding);
    assert_int_equal(b->fetched_bytes, expected);
    assert_memory_equal(b->insn_bytes, fetched, expected);
    for (u32 i = expected; i < sizeof(b->insn_bytes); i++)
        assert_int_equal(b->insn_bytes[i], 0xee);
}

static void bytes_of_data_faults(void **state)
{
    struct world *w = world_create(SIM_SVM);
    for (size_t i = 0; i < array_size(rows); i++)
        for (u32 count = 0; count <= 16; count++) {
            told(w, rows[i].e, count, rows[i].tells ? min(count, 15u) : 0, &svm_full);
            told(w, rows[i].e, count, 0, &svm_plain);
        }
    world_destroy(w);
}

TEST_GROUP(sim_svm_bytes, cmocka_unit_test(bytes_of_data_faults));
