/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: is every ELF file and bundle that root accepts safe to load, and does it refuse each kind of wrong one by name? Files are in
 * buffers of their exact size, so that a sanitizer sees each read outside. */
#include "unit.h"
#include "abi/hypercall.h"
#include "loader.h"
#include <stdlib.h>
#include <string.h>

/* Offsets in the test file: header, two program headers, then text and data. */
#define AT_TYPE     16
#define AT_MACHINE  18
#define AT_ENTRY    24
#define AT_PHOFF    32
#define AT_PHSIZE   54
#define AT_PHCOUNT  56
#define AT_TEXT     64
#define AT_DATA     (64 + 56)
#define OF_TYPE     0
#define OF_FLAGS    4
#define OF_OFFSET   8
#define OF_ADDRESS  16
#define OF_FILE     32
#define OF_MEMORY   40
#define FILE_BYTES  0x2010ul

static void put(u8 *at, u64 value, u32 bytes)
{
    memcpy(at, &value, bytes);
}

static void segment_put(u8 *p, u32 flags, u64 offset, u64 address, u64 file, u64 memory)
{
    put(p + OF_TYPE, 1, 4);
    put(p + OF_FLAGS, flags, 4);
    put(p + OF_OFFSET, offset, 8);
    put(p + OF_ADDRESS, address, 8);
    put(p + OF_FILE, file, 8);
    put(p + OF_MEMORY, memory, 8);
}

static u8 *file_make(void)
{
    u8 *f = calloc(1, FILE_BYTES);
    static const u8 ident[] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
    memcpy(f, ident, sizeof(ident));
    put(f + AT_TYPE, 2, 2);
    put(f + AT_MACHINE, 62, 2);
    put(f + AT_ENTRY, 0x400010, 8);
    put(f + AT_PHOFF, 64, 8);
    put(f + AT_PHSIZE, 56, 2);
    put(f + AT_PHCOUNT, 2, 2);
    segment_put(f + AT_TEXT, 5, 0x1000, 0x400000, 0x800, 0x800);
    segment_put(f + AT_DATA, 6, 0x2000, 0x402ff8, 0x10, 0x1010);
    return f;
}

static void accepts_a_good_file(void **state)
{
    u8 *f = file_make();
    struct image image;
    assert_null(image_parse(f, FILE_BYTES, &image));
    assert_int_equal(image.entry, 0x400010);
    assert_int_equal(image.count, 2);
    assert_int_equal(image.segment[0].page, 0x400);
    assert_int_equal(image.segment[0].pages, 1);
    assert_int_equal(image.segment[0].rights, RIGHT_R | RIGHT_X);
    assert_int_equal(image.segment[1].page, 0x402);   /* 0x402ff8 .. 0x404008: three pages */
    assert_int_equal(image.segment[1].pages, 3);
    assert_int_equal(image.segment[1].lead, 0xff8);
    assert_int_equal(image.segment[1].bytes, 0x10);
    assert_int_equal(image.segment[1].rights, RIGHT_R | RIGHT_W);
    free(f);
}

struct wrong {
    u32 at, bytes;
    u64 value;
    const char *message;
};

static void refuses_each_wrong_field(void **state)
{
    static const struct wrong table[] = {
        { 0, 1, 0x7e, "not an ELF64 file" },
        { 4, 1, 1, "not an ELF64 file" },
        { AT_TYPE, 2, 3, "not an x86-64 executable" },
        { AT_MACHINE, 2, 3, "not an x86-64 executable" },
        { AT_PHSIZE, 2, 32, "program header table of unknown form" },
        { AT_PHCOUNT, 2, 65, "program header table of unknown form" },
        { AT_PHOFF, 8, FILE_BYTES - 111, "program headers outside the file" },
        { AT_PHOFF, 8, ~0ul, "program headers outside the file" },
        { AT_ENTRY, 8, 0x402ff8, "entry outside executable segments" },
        { AT_ENTRY, 8, 0x401000, "entry outside executable segments" },
        { AT_TEXT + OF_FLAGS, 4, 7, "segment both writable and executable" },
        { AT_TEXT + OF_FLAGS, 4, 1, "segment that cannot be read" },
        { AT_TEXT + OF_FILE, 8, 0x801, "segment with more file than memory" },
        { AT_TEXT + OF_OFFSET, 8, FILE_BYTES - 0x7ff, "segment outside the file" },
        { AT_TEXT + OF_OFFSET, 8, ~0ul, "segment outside the file" },
        { AT_TEXT + OF_ADDRESS, 8, 0xfff, "segment outside the image area" },
        { AT_TEXT + OF_ADDRESS, 8, PROGRAM_PAGE - 0x7ff, "segment outside the image area" },
        { AT_TEXT + OF_ADDRESS, 8, ~0ul, "segment outside the image area" },
        { AT_DATA + OF_MEMORY, 8, ~0ul, "segment outside the image area" },
        { AT_DATA + OF_ADDRESS, 8, 0x4007f0, "segments share a page" },
    };
    for (u32 i = 0; i < array_size(table); i++) {
        u8 *f = file_make();
        struct image image;
        put(f + table[i].at, table[i].value, table[i].bytes);
        const char *message = image_parse(f, FILE_BYTES, &image);
        free(f);
        assert_non_null(message);
        assert_string_equal(message, table[i].message);
    }
}

/* Sums that wrap around must not look small. */
static void refuses_sizes_that_wrap(void **state)
{
    u8 *f = file_make();
    struct image image;
    segment_put(f + AT_TEXT, 5, 0x1000, 0x400000, ~0xffful, ~0xffful);
    assert_string_equal(image_parse(f, FILE_BYTES, &image), "segment outside the file");
    free(f);
}

static void refuses_more_segments_than_it_holds(void **state)
{
    u8 *f = file_make();
    struct image image;
    put(f + AT_PHCOUNT, IMAGE_SEGMENTS + 1, 2);
    for (u32 i = 0; i <= IMAGE_SEGMENTS; i++)
        segment_put(f + AT_TEXT + 56 * i, 5, 0, 0x400000 + i * PAGE_SIZE, 0, 1);
    assert_string_equal(image_parse(f, FILE_BYTES, &image), "too many segments");
    put(f + AT_PHCOUNT, IMAGE_SEGMENTS, 2);
    assert_null(image_parse(f, FILE_BYTES, &image));
    free(f);
}

/* What image_parse promises to the code that copies and maps. */
static void accepted_is_safe(const struct image *image, u64 bytes)
{
    assert_true(image->count <= IMAGE_SEGMENTS);
    for (u32 i = 0; i < image->count; i++) {
        const struct image_segment *s = &image->segment[i];
        assert_true(s->offset <= bytes && s->bytes <= bytes - s->offset);
        assert_true(s->lead < PAGE_SIZE && s->lead + s->bytes <= s->pages << PAGE_BITS);
        assert_true(s->page >= 1 && s->page + s->pages <= PROGRAM_PAGE >> PAGE_BITS);
        assert_true((s->rights & (RIGHT_W | RIGHT_X)) != (RIGHT_W | RIGHT_X));
        for (u32 j = 0; j < i; j++)
            assert_true(s->page >= image->segment[j].page + image->segment[j].pages ||
                        image->segment[j].page >= s->page + s->pages);
    }
}

static void every_cut_file(void **state)
{
    u8 *whole = file_make();
    for (u64 n = 0; n < FILE_BYTES; n += n < 0x200 ? 1 : 0x101) {
        u8 *cut = malloc(n + !n);
        struct image image;
        memcpy(cut, whole, n);
        const char *message = image_parse(cut, n, &image);
        free(cut);
        assert_non_null(message);   /* the data segment ends with the file */
    }
    free(whole);
}

/* Every byte of the headers set to each of several values: what is accepted is safe. */
static void every_byte_changed(void **state)
{
    static const u8 values[] = { 0, 1, 2, 5, 7, 0x40, 0x7f, 0x80, 0xff };
    u8 *f = file_make();
    u64 good = 0;
    for (u32 at = 0; at < AT_DATA + 56; at++)
        for (u32 v = 0; v < array_size(values); v++) {
            const u8 before = f[at];
            struct image image;
            f[at] = values[v];
            if (!image_parse(f, FILE_BYTES, &image)) {
                accepted_is_safe(&image, FILE_BYTES);
                good++;
            }
            f[at] = before;
        }
    free(f);
    assert_true(good > 100);
}

/* ---- Bundles ---- */

struct test_bundle {
    struct bundle head;
    struct bundle_file file[2];
    struct bundle_program program[1];
    u8 rest[PAGE_SIZE - 64 - 2 * 64 - 240];
    u8 data[PAGE_SIZE];
};

static struct test_bundle *bundle_make(void)
{
    struct test_bundle *b = calloc(1, sizeof(*b));
    b->head = (struct bundle){ .magic = BUNDLE_MAGIC, .version = BUNDLE_VERSION, .file_count = 2, .program_count = 1, .cpus = 1,
                               .bytes = sizeof(*b) };
    b->file[0] = (struct bundle_file){ .name = "root", .offset = PAGE_SIZE, .bytes = PAGE_SIZE };
    b->file[1] = (struct bundle_file){ .name = "hello", .offset = PAGE_SIZE, .bytes = 1 };
    b->program[0] = (struct bundle_program){ .name = "p", .args = "a", .file = 1, .guest_file = 2 };
    return b;
}

static void accepts_a_good_bundle(void **state)
{
    struct test_bundle *b = bundle_make();
    assert_null(bundle_check(&b->head, sizeof(*b)));
    assert_ptr_equal(bundle_file(&b->head, 1), &b->file[1]);
    assert_ptr_equal(bundle_program(&b->head, 0), &b->program[0]);
    free(b);
}

#define REFUSES(message, change)                                                                                       \
    do {                                                                                                               \
        struct test_bundle *b = bundle_make();                                                                         \
        change;                                                                                                        \
        const char *got = bundle_check(&b->head, sizeof(*b));                                                          \
        free(b);                                                                                                       \
        assert_non_null(got);                                                                                          \
        assert_string_equal(got, message);                                                                             \
    } while (0)

static void refuses_each_wrong_bundle(void **state)
{
    REFUSES("no bundle of this version", b->head.magic++);
    REFUSES("no bundle of this version", b->head.version++);
    REFUSES("bundle larger than what was loaded", b->head.bytes += PAGE_SIZE);
    REFUSES("bundle larger than what was loaded", b->head.bytes -= 1);
    REFUSES("too many files or programs, or none", b->head.file_count = 0);
    REFUSES("too many files or programs, or none", b->head.file_count = BUNDLE_FILES + 1);
    REFUSES("too many files or programs, or none", b->head.program_count = BUNDLE_PROGRAMS + 1);
    REFUSES("tables outside the bundle", (b->head.program_count = BUNDLE_PROGRAMS, b->head.bytes = PAGE_SIZE));
    REFUSES("file name without end", memset(b->file[1].name, 'x', sizeof(b->file[1].name)));
    REFUSES("file outside the bundle", b->file[1].offset = 8);
    REFUSES("file outside the bundle", b->file[1].offset = ~PAGE_MASK);
    REFUSES("file outside the bundle", b->file[0].bytes++);
    REFUSES("file outside the bundle", b->file[0].bytes = ~PAGE_MASK);
    REFUSES("program name or arguments without end", memset(b->program[0].name, 'x', sizeof(b->program[0].name)));
    REFUSES("program name or arguments without end", memset(b->program[0].args, 'x', sizeof(b->program[0].args)));
    REFUSES("program of a file that is not there", b->program[0].file = 2);
    REFUSES("program of a file that is not there", b->program[0].guest_file = 3);
    REFUSES("priority out of range", b->program[0].priority = PRIORITY_COUNT);
    REFUSES("program on a CPU beyond those asked for", b->program[0].cpu = 1);
}

TEST_GROUP(loader, cmocka_unit_test(accepts_a_good_file), cmocka_unit_test(refuses_each_wrong_field), cmocka_unit_test(refuses_sizes_that_wrap),
           cmocka_unit_test(refuses_more_segments_than_it_holds), cmocka_unit_test(every_cut_file),
           cmocka_unit_test(every_byte_changed), cmocka_unit_test(accepts_a_good_bundle),
           cmocka_unit_test(refuses_each_wrong_bundle));
