/* SPDX-License-Identifier: BSD-2-Clause */
/* Is every field of an ELF file that makes no sense refused, with its own message, and is nothing outside the file ever read? The file stands at
 * the end of an allocation of exactly its size, so that the address sanitizer sees a byte too many. */
#include "elf.h"
#include <stdlib.h>
#include <string.h>
#include "abi/hypercall.h"
#include "bundle_fixture.h"
#include "sim.h"
#include "unit.h"

#define PAGE_END (USER_END >> PAGE_BITS)

static struct sim *sim;

static int setup(void **state)
{
    sim = sim_unit(1, 16 << 20, SIM_NONE);
    return sim ? 0 : -1;
}

static int teardown(void **state)
{
    sim_destroy(sim);
    return 0;
}

static const char *parse(const u8 *elf, u64 bytes, struct elf_image *image)
{
    u8 *exact = malloc(bytes ? bytes : 1);
    memcpy(exact, elf, bytes);
    const char *message = elf_parse(exact, bytes, PAGE_END, image);
    free(exact);
    return message;
}

static void a_good_file(void **state)
{
    u8 elf[FIXTURE_ELF_BYTES];
    struct elf_image image;
    bundle_fixture_elf(elf);
    assert_null(parse(elf, sizeof(elf), &image));
    assert_int_equal(image.entry, FIXTURE_ENTRY);
    assert_int_equal(image.count, 2);
    assert_int_equal(image.segment[0].page, FIXTURE_TEXT >> PAGE_BITS);
    assert_int_equal(image.segment[0].pages, 1);
    assert_int_equal(image.segment[0].rights, RIGHT_R | RIGHT_X);
    assert_int_equal(image.segment[1].pages, 2);
    assert_int_equal(image.segment[1].bytes, 0x10);
    assert_int_equal(image.segment[1].offset, 0x2000);
    assert_int_equal(image.segment[1].rights, RIGHT_R | RIGHT_W);
}

#define P0 FIXTURE_PHDR(0)
#define P1 FIXTURE_PHDR(1)
static const struct { u32 at, bytes; u64 value; const char *message; } spoilt[] = {
    { 0, 1, 0, "not an ELF64" },
    { 3, 1, 'f', "not an ELF64" },
    { 4, 1, 1, "not an ELF64" },
    { 5, 1, 2, "not an ELF64" },
    { 6, 1, 0, "not an ELF64" },
    { 16, 2, 3, "static x86-64" },
    { 18, 2, 3, "static x86-64" },
    { 20, 4, 2, "static x86-64" },
    { 54, 2, 55, "unknown size" },
    { 54, 2, 57, "unknown size" },
    { 56, 2, 0, "unknown size" },
    { 56, 2, 65, "unknown size" },
    { 56, 2, 0xffff, "unknown size" },
    { 32, 8, FIXTURE_ELF_BYTES, "headers outside" },
    { 32, 8, FIXTURE_ELF_BYTES + 1, "headers outside" },
    { 32, 8, FIXTURE_ELF_BYTES - 111, "headers outside" },
    { 32, 8, ~0ul, "headers outside" },
    { 32, 8, ~0ul - 63, "headers outside" },
    { P0, 4, 3, "interpreter" },
    { P0 + 4, 4, 7, "without rights" },
    { P0 + 4, 4, 3, "without rights" },
    { P0 + 4, 4, 0, "without rights" },
    { P0 + 4, 4, 4, "entry" },
    { P0 + 8, 8, FIXTURE_ELF_BYTES, "segment outside the file" },
    { P0 + 8, 8, FIXTURE_ELF_BYTES - 0xff, "segment outside the file" },
    { P0 + 8, 8, ~0ul, "segment outside the file" },
    { P0 + 32, 8, 0x101, "larger in the file" },
    { P0 + 32, 8, ~0ul, "larger in the file" },
    { P1 + 40, 8, 0xf, "larger in the file" },
    { P1 + 40, 8, ~0ul, "address space" },
    { P1 + 40, 8, USER_END, "address space" },
    { P1 + 16, 8, USER_END, "address space" },
    { P1 + 16, 8, USER_END - 0x17ff, "address space" },
    { P1 + 16, 8, ~0ul - 0xfff, "address space" },
    { P1 + 16, 8, 1ul << 47, "address space" },
    { P1 + 16, 8, FIXTURE_TEXT, "share a page" },
    { P1 + 16, 8, FIXTURE_TEXT + 0xfff, "share a page" },
    { P1 + 16, 8, FIXTURE_TEXT - 0x1800 + 1, "share a page" },
    { 24, 8, 0, "entry" },
    { 24, 8, ~0ul, "entry" },
    { 24, 8, FIXTURE_TEXT - 1, "entry" },
    { 24, 8, FIXTURE_TEXT + 0x1000, "entry" },
    { 24, 8, FIXTURE_DATA, "entry" },
};

static void each_field_is_checked(void **state)
{
    for (u32 i = 0; i < array_size(spoilt); i++) {
        u8 elf[FIXTURE_ELF_BYTES];
        struct elf_image image;
        bundle_fixture_elf(elf);
        memcpy(elf + spoilt[i].at, &spoilt[i].value, spoilt[i].bytes);
        const char *message = parse(elf, sizeof(elf), &image);
        if (!message || !strstr(message, spoilt[i].message))
            fail_msg("row %u: %s", i, message ? message : "accepted");
    }
}

static void what_just_fits_is_taken(void **state)
{
    static const struct { u32 at; u64 value; } rows[] = {
        { P1 + 16, USER_END - 0x1800 }, { P1 + 16, FIXTURE_TEXT + 0x1000 }, { P1 + 16, FIXTURE_TEXT - 0x1800 }, { P0 + 8, FIXTURE_ELF_BYTES - 0x100 },
        { P1 + 40, 0x10 }, { P1 + 40, 0 }, { 24, FIXTURE_TEXT }, { 24, FIXTURE_TEXT + 0xfff },
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        u8 elf[FIXTURE_ELF_BYTES];
        struct elf_image image;
        bundle_fixture_elf(elf);
        memcpy(elf + rows[i].at, &rows[i].value, 8);
        if (rows[i].at == P1 + 40 && !rows[i].value)
            memset(elf + P1 + 32, 0, 8);
        const char *message = parse(elf, sizeof(elf), &image);
        if (message)
            fail_msg("row %u: %s", i, message);
    }
}

static void too_many_segments(void **state)
{
    static u8 elf[0x4000];
    struct elf_image image;
    bundle_fixture_elf(elf);
    for (u64 n = 0; n < ELF_SEGMENTS + 1; n++) {
        const u64 address = FIXTURE_TEXT + n * 0x1000;
        memcpy(elf + FIXTURE_PHDR(n), elf + FIXTURE_PHDR(0), 56);
        memcpy(elf + FIXTURE_PHDR(n) + 16, &address, 8);
    }
    elf[56] = ELF_SEGMENTS;
    assert_null(parse(elf, sizeof(elf), &image));
    elf[56] = ELF_SEGMENTS + 1;
    assert_non_null(strstr(parse(elf, sizeof(elf), &image), "too many"));
}

/* Cut anywhere: refused or, once all that is needed is there, accepted; never read beyond. */
static void cut_files(void **state)
{
    u8 elf[FIXTURE_ELF_BYTES];
    struct elf_image image;
    bundle_fixture_elf(elf);
    for (u64 bytes = 0; bytes < sizeof(elf); bytes += bytes < 0x200 ? 1 : 13)
        assert_non_null(parse(elf, bytes, &image));
}

/* Every single byte set to every of some values: no crash, and whatever is accepted keeps its promises. */
static void spoilt_bytes_keep_the_promises(void **state)
{
    static const u8 values[] = { 0, 1, 0x7f, 0x80, 0xff };
    for (u32 at = 0; at < FIXTURE_PHDR(2); at++)
        for (u32 v = 0; v < array_size(values); v++) {
            u8 elf[FIXTURE_ELF_BYTES];
            struct elf_image image;
            bundle_fixture_elf(elf);
            elf[at] = values[v];
            if (parse(elf, sizeof(elf), &image))
                continue;
            assert_in_range(image.count, 1, ELF_SEGMENTS);
            for (u32 i = 0; i < image.count; i++) {
                const struct elf_segment *s = &image.segment[i];
                assert_true(s->offset <= sizeof(elf) && s->bytes <= sizeof(elf) - s->offset);
                assert_true(s->page < PAGE_END && s->pages <= PAGE_END - s->page);
                assert_true((s->address & PAGE_MASK) + s->bytes <= s->pages * PAGE_SIZE);
                assert_true((s->rights & (RIGHT_W | RIGHT_X)) != (RIGHT_W | RIGHT_X));
            }
        }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(elf, T(a_good_file), T(each_field_is_checked), T(what_just_fits_is_taken), T(too_many_segments), T(cut_files),
           T(spoilt_bytes_keep_the_promises));
