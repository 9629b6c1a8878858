/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the VMM translate guest-linear addresses as the guest's CPU would, in each paging mode, with small and large pages, and
 * does it stop at what is not there? */
#include "unit.h"
#include "walk.h"
#include <string.h>

#define CR0_PG   bit(31)
#define CR4_PSE  bit(4)
#define CR4_PAE  bit(5)
#define EFER_LMA bit(10)
#define RAM      0x10000ul

struct ram {
    u8 bytes[RAM];
    u32 reads;
};

static bool read_ram(void *arg, u64 gpa, u32 bytes, u64 *value)
{
    struct ram *r = arg;
    r->reads++;
    if (gpa >= RAM || bytes > RAM - gpa)
        return false;
    *value = 0;
    memcpy(value, r->bytes + gpa, bytes);
    return true;
}

static void put(struct ram *r, u64 gpa, u32 bytes, u64 value)
{
    memcpy(r->bytes + gpa, &value, bytes);
}

static void expect(struct ram *r, const struct vcpu_state *s, u64 linear, u64 gpa)
{
    u64 out = ~0ul;
    assert_true(walk(s, linear, read_ram, r, &out));
    assert_int_equal(out, gpa);
}

static void expect_nothing(struct ram *r, const struct vcpu_state *s, u64 linear)
{
    u64 out;
    assert_false(walk(s, linear, read_ram, r, &out));
}

static void no_paging(void **state)
{
    static struct ram r;
    static struct vcpu_state s;
    expect(&r, &s, 0x12345678, 0x12345678);
    expect(&r, &s, 0x1ffffffful + 0x100000000ul, 0x1fffffff);   /* wraps at 4 GiB */
    assert_int_equal(r.reads, 0);
}

static void long_mode(void **state)
{
    static struct ram r;
    static struct vcpu_state s = { .cr0 = CR0_PG, .cr4 = CR4_PAE, .efer = EFER_LMA, .cr3 = 0x1018 };
    const u64 linear = 0xffff812345678abcul;
    put(&r, 0x1000 + (linear >> 39 & 511) * 8, 8, 0x2003);
    put(&r, 0x2000 + (linear >> 30 & 511) * 8, 8, 0x3003);
    put(&r, 0x3000 + (linear >> 21 & 511) * 8, 8, 0x4003);
    put(&r, 0x4000 + (linear >> 12 & 511) * 8, 8, bit(63) | 0xabcdef0000ul | 0x3);
    expect(&r, &s, linear, 0xabcdef0000ul + 0xabc);
    assert_int_equal(r.reads, 4);
    expect_nothing(&r, &s, linear + PAGE_SIZE);
    put(&r, 0x3000 + (linear >> 21 & 511) * 8, 8, 0x80001083);   /* bit 12 is PAT, no address bit */
    expect(&r, &s, linear, 0x80000000ul + (linear & 0x1fffff));
    put(&r, 0x2000 + (linear >> 30 & 511) * 8, 8, 0x4000000083);
    expect(&r, &s, linear, 0x4000000000ul + (linear & 0x3fffffff));
    put(&r, 0x2000 + (linear >> 30 & 511) * 8, 8, 0x3000);
    expect_nothing(&r, &s, linear);
    put(&r, 0x1000 + (linear >> 39 & 511) * 8, 8, RAM | 3);   /* table outside RAM */
    expect_nothing(&r, &s, linear);
}

/* Bit 7 in the top level is reserved, not a large page. */
static void no_large_page_at_the_top(void **state)
{
    static struct ram r;
    static struct vcpu_state s = { .cr0 = CR0_PG, .cr4 = CR4_PAE, .efer = EFER_LMA, .cr3 = 0x1000 };
    put(&r, 0x1000, 8, 0x2083);
    expect_nothing(&r, &s, 0x5000);
    assert_int_equal(r.reads, 2);
}

static void pae(void **state)
{
    static struct ram r;
    static struct vcpu_state s = { .cr0 = CR0_PG, .cr4 = CR4_PAE, .cr3 = 0x1020 };   /* 32-byte aligned top table */
    const u64 linear = 0xc0201234;
    put(&r, 0x1020 + 3 * 8, 8, 0x2001);
    put(&r, 0x2000 + 1 * 8, 8, 0x3003);
    put(&r, 0x3000 + 1 * 8, 8, 0x7654321000ul | 3);
    expect(&r, &s, linear, 0x7654321000ul + 0x234);
    expect(&r, &s, linear + 0x100000000ul, 0x7654321000ul + 0x234);
    assert_int_equal(r.reads, 6);
    put(&r, 0x2000 + 1 * 8, 8, 0x40000083);
    expect(&r, &s, linear, 0x40001234);
}

static void legacy(void **state)
{
    static struct ram r;
    static struct vcpu_state s = { .cr0 = CR0_PG, .cr4 = CR4_PSE, .cr3 = 0x1000 };
    const u64 linear = 0x80c05678;
    put(&r, 0x1000 + (linear >> 22) * 4, 4, 0x2003);
    put(&r, 0x2000 + (linear >> 12 & 1023) * 4, 4, 0x33333003);
    expect(&r, &s, linear, 0x33333678);
    put(&r, 0x1000 + (linear >> 22) * 4, 4, 0x40000083 | 0x5a << 13);   /* PSE-36 */
    expect(&r, &s, linear, 0x5a40005678ul);
    s.cr4 = 0;   /* without PSE, bit 7 means nothing: a table */
    put(&r, 0x1000 + (linear >> 22) * 4, 4, 0x2083);
    expect(&r, &s, linear, 0x33333678);
}

TEST_GROUP(walk, cmocka_unit_test(no_paging), cmocka_unit_test(long_mode), cmocka_unit_test(no_large_page_at_the_top),
           cmocka_unit_test(pae), cmocka_unit_test(legacy));
