/* SPDX-License-Identifier: BSD-2-Clause */
/* Which CPUs are there? And can a damaged table make the kernel read outside it, or believe in CPUs and registers that are not? */
#include "boot_fixture.h"
#include "apic.h"
#include "machine_model.h"

#define AT_RSDP 0xe0000ul
#define AT_ROOT 0xe0100ul
#define AT_MADT 0xe0200ul
#define OWN_ID  0u            /* APIC id of CPU 0 of the machine */

enum { RSDP_CHECKSUM = 8, RSDP_REVISION = 15, RSDP_RSDT = 16, RSDP_BYTES = 20, RSDP_XSDT = 24, RSDP_CHECKSUM_ALL = 32, TABLE_BYTES = 4,
       TABLE_CHECKSUM = 9, TABLE_HEADER = 36, MADT_HEADER = 44 };

static void set(u64 phys, u64 value, u32 bytes)
{
    memcpy(boot_ram(phys), &value, bytes);
}

static struct boot_writer table_begin(u64 phys, const char *signature)
{
    struct boot_writer w = boot_writer(phys);
    memset(boot_ram(phys), 0, TABLE_HEADER);
    boot_put_text(&w, signature);
    w.next = phys + TABLE_HEADER;
    return w;
}

static void table_end(const struct boot_writer *w)
{
    set(w->start + TABLE_BYTES, w->next - w->start, 4);
    boot_checksum(w->start, (u32)(w->next - w->start), TABLE_CHECKSUM);
}

static void rsdp_put(u64 phys, u32 revision, u64 root)
{
    memset(boot_ram(phys), 0, 36);
    memcpy(boot_ram(phys), "RSD PTR ", 8);
    set(phys + RSDP_REVISION, revision, 1);
    set(phys + (revision ? RSDP_XSDT : RSDP_RSDT), root, revision ? 8 : 4);
    set(phys + RSDP_BYTES, 36, 4);
    boot_checksum(phys, 20, RSDP_CHECKSUM);
    boot_checksum(phys, 36, RSDP_CHECKSUM_ALL);
}

static void root_put(u32 revision, u64 madt)
{
    struct boot_writer w = table_begin(AT_ROOT, revision ? "XSDT" : "RSDT");
    boot_put(&w, 0xdead0000, revision ? 8 : 4);   /* a table nobody can read comes first */
    boot_put(&w, madt, revision ? 8 : 4);
    table_end(&w);
}

static struct boot_writer madt_begin(u64 phys)
{
    struct boot_writer w = table_begin(phys, "APIC");
    boot_put(&w, 0xfee00000, 4);
    boot_put(&w, 1, 4);
    return w;
}

static void cpu_put(struct boot_writer *w, u8 id, u32 flags)
{
    boot_put(w, 0, 1);
    boot_put(w, 8, 1);
    boot_put(w, 0, 1);
    boot_put(w, id, 1);
    boot_put(w, flags, 4);
}

static void cpu_x2_put(struct boot_writer *w, u32 id, u32 flags)
{
    boot_put(w, 9, 1);
    boot_put(w, 16, 1);
    boot_put(w, 0, 2);
    boot_put(w, id, 4);
    boot_put(w, flags, 4);
    boot_put(w, 0, 4);
}

/* CPUs 0, 2, 4, 6, of which 4 is disabled. */
static void tables_put(u32 revision)
{
    rsdp_put(AT_RSDP, revision, AT_ROOT);
    root_put(revision, AT_MADT);
    struct boot_writer w = madt_begin(AT_MADT);
    cpu_put(&w, 2, 1);
    cpu_put(&w, OWN_ID, 1);
    cpu_put(&w, 4, 0);
    cpu_put(&w, 6, 1);
    table_end(&w);
}

static const char *parse(struct boot_info *b, u64 rsdp)
{
    memset(b, 0, sizeof(*b));
    b->rsdp = rsdp;
    return acpi_parse(b);
}

static void assert_cpus(const struct boot_info *b, u32 count, const u32 *id)
{
    assert_int_equal(b->cpu_count, count);
    for (u32 i = 0; i < count; i++)
        assert_int_equal(b->apic_id[i], id[i]);
    assert_int_equal(b->apic_base, 0xfee00000);
}

static void finds_cpus_through_both_roots(void **state)
{
    for (u32 revision = 0; revision <= 2; revision += 2) {
        struct boot_info b;
        tables_put(revision);
        assert_null(parse(&b, AT_RSDP));
        assert_cpus(&b, 3, (const u32[]){ OWN_ID, 2, 6 });
    }
}

static void finds_the_rsdp_by_itself(void **state)
{
    struct boot_info b;
    tables_put(2);
    memset(boot_ram(AT_RSDP), 0, 36);
    memset(boot_ram(0x40e), 0, 2);
    rsdp_put(0xffff0 - 0x20, 2, AT_ROOT);   /* almost the last place */
    assert_null(parse(&b, 0));
    assert_int_equal(b.rsdp, 0xfffd0);
    assert_int_equal(b.cpu_count, 3);
    memset(boot_ram(0xfffd0), 0, 36);
    set(0x40e, 0x9fc0, 2);
    rsdp_put(0x9fc00 + 1024 - 48, 0, AT_ROOT);
    root_put(0, AT_MADT);
    assert_null(parse(&b, 0));
    assert_int_equal(b.rsdp, 0x9fc00 + 1024 - 48);
    assert_int_equal(b.cpu_count, 3);
}

static void without_tables_there_is_one_cpu(void **state)
{
    struct boot_info b;
    memset(boot_ram(0xe0000), 0, 0x20000);
    memset(boot_ram(0x40e), 0, 2);
    assert_null(parse(&b, 0));
    assert_cpus(&b, 1, (const u32[]){ OWN_ID });
    tables_put(2);
    memcpy(boot_ram(AT_MADT), "APIX", 4);
    boot_checksum(AT_MADT, 76, TABLE_CHECKSUM);
    assert_null(parse(&b, AT_RSDP));
    assert_cpus(&b, 1, (const u32[]){ OWN_ID });
}

static void one_cpu_in_two_forms_is_one_cpu(void **state)
{
    struct boot_info b;
    tables_put(2);
    struct boot_writer w = madt_begin(AT_MADT);
    cpu_put(&w, 2, 1);
    cpu_x2_put(&w, 2, 1);
    cpu_x2_put(&w, 300, 1);
    cpu_x2_put(&w, ~0u, 1);
    cpu_put(&w, 255, 1);
    cpu_x2_put(&w, 301, 0);
    table_end(&w);
    assert_null(parse(&b, AT_RSDP));
    assert_cpus(&b, 3, (const u32[]){ OWN_ID, 2, 300 });
}

/* An xAPIC reaches ids below 255 only. */
static void without_x2apic_large_ids_cannot_be_started(void **state)
{
    struct sim *const s = *state;
    struct boot_info b;
    s->profile.x2apic = false;
    tables_put(2);
    struct boot_writer w = madt_begin(AT_MADT);
    cpu_x2_put(&w, 254, 1);
    cpu_x2_put(&w, 255, 1);
    cpu_x2_put(&w, 300, 1);
    table_end(&w);
    assert_null(parse(&b, AT_RSDP));
    assert_cpus(&b, 2, (const u32[]){ OWN_ID, 254 });
}

/* An RSDP of revision 0 ends after 20 bytes. */
static void an_old_rsdp_has_no_xsdt(void **state)
{
    struct boot_info b;
    tables_put(0);
    struct boot_writer w = table_begin(0xe1000, "XSDT");
    table_end(&w);
    set(AT_RSDP + RSDP_XSDT, 0xe1000, 8);
    assert_null(parse(&b, AT_RSDP));
    assert_int_equal(b.cpu_count, 3);
}

static void takes_no_more_cpus_than_it_can(void **state)
{
    struct boot_info b;
    tables_put(2);
    struct boot_writer w = madt_begin(AT_MADT);
    for (u32 i = 0; i < 200; i++)
        cpu_put(&w, (u8)(i + 1), 1);
    table_end(&w);
    assert_null(parse(&b, AT_RSDP));
    assert_int_equal(b.cpu_count, BOOT_CPUS);
    assert_int_equal(b.apic_id[BOOT_CPUS - 1], BOOT_CPUS - 1);
}

static void the_local_apic_may_be_moved_but_not_anywhere(void **state)
{
    static const struct {
        u64 base;
        bool good;
    } rows[] = { { 0xfec01000, true }, { 0xfefff000, true }, { 0xff000000, false }, { 0xfebff000, false }, { 0x200000, false },
                 { 0xfee00800, false }, { 0xfee00000ul | bit(32), false } };
    for (u32 i = 0; i < array_size(rows); i++) {
        struct boot_info b;
        tables_put(2);
        struct boot_writer w = madt_begin(AT_MADT);
        boot_put(&w, 5, 1);
        boot_put(&w, 12, 1);
        boot_put(&w, 0, 2);
        boot_put(&w, rows[i].base, 8);
        table_end(&w);
        const char *const message = parse(&b, AT_RSDP);
        assert_int_equal(message == NULL, rows[i].good);
        assert_int_equal(b.apic_base, rows[i].good ? rows[i].base : 0xfee00000);
    }
}

static void damage_is_named(void **state)
{
    struct boot_info b;
    tables_put(2);
    assert_string_equal(parse(&b, BOOT_RAM - 19), "acpi: damaged RSDP");
    assert_string_equal(parse(&b, ~0ul), "acpi: damaged RSDP");
    *boot_ram(AT_RSDP + 1) ^= 1;
    boot_checksum(AT_RSDP, 20, RSDP_CHECKSUM);
    assert_string_equal(parse(&b, AT_RSDP), "acpi: damaged RSDP");
    tables_put(2);
    *boot_ram(AT_RSDP + 9) ^= 1;
    assert_string_equal(parse(&b, AT_RSDP), "acpi: damaged RSDP");

    tables_put(2);
    *boot_ram(AT_ROOT + 20) ^= 1;
    assert_string_equal(parse(&b, AT_RSDP), "acpi: neither XSDT nor RSDT");
    tables_put(2);
    set(AT_ROOT + TABLE_BYTES, 0xffffffff, 4);
    assert_string_equal(parse(&b, AT_RSDP), "acpi: neither XSDT nor RSDT");
    tables_put(2);
    set(AT_ROOT + TABLE_BYTES, 35, 4);
    boot_checksum(AT_ROOT, 35, TABLE_CHECKSUM);
    assert_string_equal(parse(&b, AT_RSDP), "acpi: neither XSDT nor RSDT");

    tables_put(2);
    *boot_ram(AT_MADT + 70) ^= 1;
    assert_string_equal(parse(&b, AT_RSDP), "acpi: damaged MADT");
    tables_put(2);
    set(AT_MADT + TABLE_BYTES, MADT_HEADER - 1, 4);
    boot_checksum(AT_MADT, MADT_HEADER - 1, TABLE_CHECKSUM);
    assert_string_equal(parse(&b, AT_RSDP), "acpi: damaged MADT");
}

static void a_table_ends_in_memory_and_before_the_limit(void **state)
{
    struct boot_info b;
    rsdp_put(AT_RSDP, 2, AT_ROOT);
    root_put(2, BOOT_RAM - MADT_HEADER);
    struct boot_writer w = madt_begin(BOOT_RAM - MADT_HEADER);
    table_end(&w);
    assert_null(parse(&b, AT_RSDP));
    set(w.start + TABLE_BYTES, MADT_HEADER + 1, 4);
    assert_string_equal(parse(&b, AT_RSDP), "acpi: damaged MADT");
    root_put(2, 0x200000);
    for (u32 more = 0; more <= 2; more += 2) {
        w = madt_begin(0x200000);
        while (w.next < 0x240000 + more) {
            boot_put(&w, 77, 1);
            boot_put(&w, 2, 1);
        }
        table_end(&w);
        const char *const message = parse(&b, AT_RSDP);
        assert_true(more ? message && !strcmp(message, "acpi: damaged MADT") : !message);
    }
}

/* Entries of each type and of each length, in a table that ends memory: read whole, not at all, or refused. */
static void entries_stay_inside_the_table(void **state)
{
    static const u8 types[] = { 0, 5, 9, 77 }, whole[] = { 8, 12, 16, 2 };
    for (u32 t = 0; t < array_size(types); t++) {
        for (u32 bytes = 1; bytes <= 20; bytes++) {
            for (u32 stated = 0; stated <= 24; stated++) {
                struct boot_info b;
                const u64 at = BOOT_RAM - MADT_HEADER - bytes;
                rsdp_put(AT_RSDP, 2, AT_ROOT);
                root_put(2, at);
                struct boot_writer w = madt_begin(at);
                for (u32 i = 0; i < bytes; i++)
                    boot_put(&w, i == 0 ? types[t] : i == 1 ? stated : 0xff, 1);
                if (types[t] == 0 && bytes > 3)
                    set(at + MADT_HEADER + 3, 9, 1);   /* an id that can be */
                table_end(&w);
                const char *const message = parse(&b, AT_RSDP);
                if (bytes < 2 || stated < 2 || stated > bytes) {
                    assert_string_equal(message, "acpi: a MADT entry leaves the table");
                    continue;
                }
                const bool read = types[t] == 0 && stated >= whole[t];
                assert_int_equal(b.cpu_count, read ? 2 : 1);
            }
        }
    }
}

static void damaged_tables_do_no_harm(void **state)
{
    u64 seed = 0x6f72726572795f34;
    for (u32 round = 0; round < 10000; round++) {
        struct boot_info b;
        tables_put(round & 2);
        const u64 place[] = { AT_RSDP, AT_ROOT, AT_MADT }, size[] = { 36, 52, 76 }, t = boot_garbage(&seed) % 3;
        const u64 field = place[t] + boot_garbage(&seed) % size[t];
        set(field, boot_garbage(&seed), 1 + boot_garbage(&seed) % 4);
        /* Mended, so that the damage gets further than the checksum. */
        boot_checksum(AT_RSDP, 20, RSDP_CHECKSUM);
        boot_checksum(AT_ROOT, round & 2 ? 52 : 44, TABLE_CHECKSUM);
        boot_checksum(AT_MADT, 76, TABLE_CHECKSUM);
        (void)parse(&b, AT_RSDP);
        assert_true(b.cpu_count >= 1 && b.cpu_count <= BOOT_CPUS);
        assert_int_equal(b.apic_id[0], OWN_ID);
        assert_true(b.apic_base >= 0xfec00000 && b.apic_base < 0xff000000);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_setup, boot_teardown)
TEST_GROUP(x86_acpi, TEST(finds_cpus_through_both_roots), TEST(finds_the_rsdp_by_itself), TEST(without_tables_there_is_one_cpu),
           TEST(one_cpu_in_two_forms_is_one_cpu), TEST(takes_no_more_cpus_than_it_can),
           TEST(without_x2apic_large_ids_cannot_be_started), TEST(an_old_rsdp_has_no_xsdt), TEST(a_table_ends_in_memory_and_before_the_limit), TEST(the_local_apic_may_be_moved_but_not_anywhere),
           TEST(damage_is_named), TEST(entries_stay_inside_the_table), TEST(damaged_tables_do_no_harm));
