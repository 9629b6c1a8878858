/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the registers always hold the image of whoever runs, is nobody else's state ever visible, and which images would fault? */
#include "fpu.h"
#include <stdlib.h>
#include <string.h>
#include "arch/x86.h"
#include "cpu.h"
#include "kernel_fixture.h"

struct images {
    struct fixture *f;
    struct cpu *cpu;
    u8 *a, *b;
};

static int setup(void **state)
{
    struct images *i = calloc(1, sizeof(*i));
    void *p;
    i->f = fixture_open(1, SIM_VMX);
    i->cpu = fixture_cpu(i->f, 0);
    assert_int_equal(mem_alloc(i->f->k->mem, &i->f->k->quota, fpu_image_bytes(), &p), OK);
    i->a = p;
    assert_int_equal(mem_alloc(i->f->k->mem, &i->f->k->quota, fpu_image_bytes(), &p), OK);
    i->b = p;
    fpu_image_init(i->a);
    fpu_image_init(i->b);
    *state = i;
    return 0;
}

static int teardown(void **state)
{
    struct images *i = *state;
    fixture_close(i->f);
    free(i);
    return 0;
}

static bool ts_set(void)
{
    return mach_cr0_read() & CR0_TS;
}

static void boot_leaves_no_owner(void **state)
{
    struct images *i = *state;
    assert_true(ts_set());
    assert_null(i->cpu->fpu_owner);
    assert_int_equal(mach_cr0_read() & (CR0_EM | CR0_MP), CR0_MP);
    assert_int_equal(mach_cr4_read() & CR4_OSFXSR, CR4_OSFXSR);
    assert_int_equal(mach_xgetbv(), fpu_xcr0(i->cpu));
    assert_int_equal(fpu_xcr0(i->cpu) & 3, 3);
    assert_true(fpu_image_bytes() >= 576 && fpu_image_bytes() <= PAGE_SIZE);
}

static void without_an_image_ts_is_set(void **state)
{
    struct images *i = *state;
    fpu_switch(i->cpu, i->a);
    assert_false(ts_set());
    fpu_switch(i->cpu, NULL);
    assert_true(ts_set());
    assert_ptr_equal(i->cpu->fpu_owner, i->a);   /* kept: a may come back without a load */
    fpu_switch(i->cpu, i->a);
    assert_false(ts_set());
}

/* Registers go to the old owner's image and come from the new one's. */
static void switching_saves_and_loads(void **state)
{
    struct images *i = *state;
    memset(i->a + 160, 0xaa, 16);
    i->a[512] = 3;
    memset(i->b + 160, 0xbb, 16);
    i->b[512] = 3;
    fpu_switch(i->cpu, i->a);
    memset(i->a + 160, 0, 16);   /* only the registers have it now */
    fpu_switch(i->cpu, i->b);
    assert_int_equal(i->a[160], 0xaa);
    memset(i->b + 160, 0, 16);
    fpu_switch(i->cpu, i->a);
    assert_int_equal(i->b[160], 0xbb);
}

static void flush_writes_the_image_and_nothing_else(void **state)
{
    struct images *i = *state;
    memset(i->a + 160, 0xaa, 16);
    i->a[512] = 3;
    fpu_switch(i->cpu, i->a);
    memset(i->a + 160, 0, 16);
    fpu_flush(i->cpu, i->b);     /* not the owner: nothing */
    assert_int_equal(i->b[160], 0);
    fpu_switch(i->cpu, NULL);
    fpu_flush(i->cpu, i->a);     /* works with TS set, and leaves it set */
    assert_int_equal(i->a[160], 0xaa);
    assert_true(ts_set());
}

static void a_forgotten_image_is_not_written(void **state)
{
    struct images *i = *state;
    fpu_switch(i->cpu, i->a);
    fpu_forget(i->cpu, i->a);
    memset(i->a, 0xcc, fpu_image_bytes());
    fpu_switch(i->cpu, i->b);
    assert_int_equal(i->a[0], 0xcc);
    assert_int_equal(i->a[512], 0xcc);
}

static void initial_state_is_the_reset_state(void **state)
{
    struct images *i = *state;
    u16 fcw;
    u32 mxcsr;
    memcpy(&fcw, i->a, 2);
    memcpy(&mxcsr, i->a + 24, 4);
    assert_int_equal(fcw, 0x37f);
    assert_int_equal(mxcsr, 0x1f80);
    assert_true(fpu_image_legal(i->a, fpu_xcr0(i->cpu)));
}

/* Legal is exactly what the processor loads: each byte of the header and of MXCSR, each bit. */
static void legal_is_what_xrstor_takes(void **state)
{
    struct images *i = *state;
    for (u32 at = 24; at < 576; at++) {
        if (at >= 28 && at < 512)
            continue;
        for (u32 b = 0; b < 8; b++) {
            fpu_image_init(i->a);
            i->a[at] ^= (u8)(1u << b);
            mach_cr0_write(mach_cr0_read() & ~CR0_TS);
            const bool loads = mach_fpu_load_try(i->a, fpu_xcr0(i->cpu));
            mach_cr0_write(mach_cr0_read() | CR0_TS);
            assert_int_equal(fpu_image_legal(i->a, fpu_xcr0(i->cpu)), loads);
        }
    }
}

static void fxsave_images_have_no_header(void **state)
{
    struct images *i = *state;
    i->a[520] = 1;
    assert_true(fpu_image_legal(i->a, 0));
    assert_false(fpu_image_legal(i->a, 3));
    i->a[26] = 1;   /* MXCSR bit 16 */
    assert_false(fpu_image_legal(i->a, 0));
}

/* An image that only this processor refuses: its owner starts afresh, the kernel goes on. */
static void a_refused_image_becomes_the_reset_state(void **state)
{
    struct images *i = *state;
    i->a[513] = 0x80;
    fpu_switch(i->cpu, i->a);
    assert_ptr_equal(i->cpu->fpu_owner, i->a);
    assert_true(fpu_image_legal(i->a, fpu_xcr0(i->cpu)));
}

static void xcr0_values(void **state)
{
    struct images *i = *state;
    i->cpu->xcr0 = 0xe7;
    static const struct {
        u64 xcr0;
        bool legal;
    } rows[] = { { 0, false }, { 1, true }, { 2, false }, { 3, true }, { 5, false }, { 7, true }, { 0xe7, true }, { 0xe3, false },
                 { 0x27, false }, { 0x67, false }, { 0x1e7, false }, { 1ul << 63 | 1, false } };
    for (u32 r = 0; r < array_size(rows); r++)
        assert_int_equal(fpu_xcr0_legal(i->cpu, rows[r].xcr0), rows[r].legal);
    i->cpu->xcr0 = 0;
    assert_true(fpu_xcr0_legal(i->cpu, 1));
    assert_false(fpu_xcr0_legal(i->cpu, 3));
    i->cpu->xcr0 = 3;
}

static void without_xsave(void **state)
{
    struct fixture *f = fixture_open(1, SIM_NONE);
    struct cpu *cpu = fixture_cpu(f, 0);
    void *p;
    assert_int_equal(fpu_xcr0(cpu), 0);
    assert_int_equal(fpu_image_bytes(), 512);
    assert_int_equal(mach_cr4_read() & (CR4_OSFXSR | CR4_OSXSAVE), CR4_OSFXSR);
    assert_int_equal(mem_alloc(f->k->mem, &f->k->quota, 512, &p), OK);
    u8 *image = p;
    fpu_image_init(image);
    memset(image + 160, 0xaa, 16);
    fpu_switch(cpu, image);
    memset(image + 160, 0, 16);
    fpu_flush(cpu, image);
    assert_int_equal(image[160], 0xaa);
    fixture_close(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(fpu, T(boot_leaves_no_owner), T(without_an_image_ts_is_set), T(switching_saves_and_loads), T(flush_writes_the_image_and_nothing_else),
           T(a_forgotten_image_is_not_written), T(initial_state_is_the_reset_state), T(legal_is_what_xrstor_takes),
           T(fxsave_images_have_no_header), T(a_refused_image_becomes_the_reset_state), T(xcr0_values),
           cmocka_unit_test(without_xsave));
