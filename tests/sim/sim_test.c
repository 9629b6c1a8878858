/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a machine boot, run, end with the right verdict, and do the same thing twice? */
#include "micro.h"

static u32 word_at(const void *p, u32 offset)
{
    u32 v;
    memcpy(&v, (const u8 *)p + offset, 4);
    return v;
}

/* ---- Boot and ends ---- */

static struct resume *boot_checks(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    const u8 *b = mach_phys_to_virt(info);
    u32 seen = 0;
    for (u32 at = 8; at < word_at(b, 0); at += (word_at(b, at + 4) + 7) & ~7u) {
        seen |= 1u << word_at(b, at);
        if (word_at(b, at) == 3)
            c->last = word_at(b, at + 8);
        if (word_at(b, at) == 0)
            break;
    }
    const bool module = memcmp(mach_phys_to_virt(c->last), "bundle bytes", 12) == 0;
    return micro_shutdown(c, magic == BOOT_MAGIC_MULTIBOOT2 && seen == (1u | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 15) && module ? 42 : 1);
}

static void boots_with_multiboot2(void **state)
{
    struct sim *s = sim_create(&(struct sim_config){ .cpus = 2, .ram_bytes = MICRO_RAM, .bundle = "bundle bytes", .bundle_bytes = 12 });
    s->upcall = (struct sim_upcall){ boot_checks, NULL, micro_nmi };
    assert_int_equal(sim_run(s, 1000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(s)->code, 42);
    assert_int_equal(sim_run(s, 1000), SIM_SHUTDOWN);   /* an ended machine stays ended */
    sim_destroy(s);
}

static void refuses_senseless_configurations(void **state)
{
    const struct sim_config bad[] = {
        { .cpus = 0, .ram_bytes = MICRO_RAM },
        { .cpus = 65, .ram_bytes = MICRO_RAM },
        { .cpus = 1, .ram_bytes = 15ul << 20 },
        { .cpus = 1, .ram_bytes = MICRO_RAM + 4096 },
        { .cpus = 1, .ram_bytes = 65ul << 30 },
        { .cpus = 1, .ram_bytes = MICRO_RAM, .bundle_bytes = 5 },
    };
    for (u32 i = 0; i < array_size(bad); i++)
        assert_null(sim_create(&bad[i]));
}

static void ram_has_a_hole_below_4_gib(void **state)
{
    struct sim *s = sim_unit(1, 4ul << 30, SIM_NONE);
    assert_int_equal(mach_direct_end(), 5ul << 30);
    assert_non_null(sim_phys(s, (3ul << 30) - 8, 8));
    assert_null(sim_phys(s, (3ul << 30) - 8, 9));
    assert_null(sim_phys(s, SIM_APIC_BASE, 4));
    assert_null(sim_phys(s, (4ul << 30) - 1, 1));
    assert_non_null(sim_phys(s, 4ul << 30, 8));
    assert_non_null(sim_phys(s, (5ul << 30) - 8, 8));
    assert_null(sim_phys(s, (5ul << 30) - 8, 9));
    assert_int_equal(mach_dev_read32(SIM_APIC_BASE + APIC_LVT_TIMER), APIC_LVT_MASKED);
    sim_destroy(s);
}

static u8 sum(const u8 *p, u32 bytes)
{
    u8 s = 0;
    while (bytes--)
        s = (u8)(s + *p++);
    return s;
}

static void acpi_tables_add_up(void **state)
{
    struct sim *s = micro_create(3, NULL, NULL, NULL);
    const u8 *rsdp = sim_phys(s, 0xe0000, 36);
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    const u8 *xsdt = sim_phys(s, word_at(rsdp, 24), 44);
    assert_memory_equal(xsdt, "XSDT", 4);
    assert_int_equal(sum(xsdt, word_at(xsdt, 4)), 0);
    const u8 *madt = sim_phys(s, word_at(xsdt, 36), 44 + 3 * 8);
    assert_memory_equal(madt, "APIC", 4);
    assert_int_equal(sum(madt, word_at(madt, 4)), 0);
    assert_int_equal(word_at(madt, 36), SIM_APIC_BASE);
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(madt[44 + 8 * i + 3], s->cpu[i].apic_id);
    sim_destroy(s);
}

static struct resume *boot_panics(u32 magic, u64 info)
{
    mach_panic("cannot go on");
}

static struct resume *boot_idle(u32 magic, u64 info)
{
    return micro_go(micro_boot(magic), RESUME_IDLE);
}

static struct resume *boot_spins(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    while (!atomic_load(&micro()->word))
        mach_relax();
    return micro_go(c, RESUME_IDLE);
}

static struct resume *boot_user(u32 magic, u64 info)
{
    return micro_go(micro_boot(magic), RESUME_USER);
}

static struct resume *boot_high_rip(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    c->resume.rip = 0x7ffffffff001;
    return micro_go(c, RESUME_USER);
}

static struct resume *boot_guest(u32 magic, u64 info)
{
    return micro_go(micro_boot(magic), RESUME_GUEST_SVM);
}

static struct resume *boot_no_cpu(u32 magic, u64 info)
{
    return micro_go(&micro()->cpu[0], RESUME_IDLE);
}

/* As after a VMX exit that took an NMI. */
static struct resume *boot_nmi_blocked(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    sim_this()->in_nmi = true;
    return micro_go(c, RESUME_IDLE);
}

static struct resume *boot_nmi_window(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    sim_this()->in_nmi = sim_this()->nmi = true;
    (void)mach_tsc_read();   /* a step: blocked */
    assert_int_equal(c->nmis, 0);
    return micro_go(c, RESUME_WINDOW);
}

static struct resume *trap_after_window(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *const c = cpu;
    assert_int_equal(TRAP_KIND(trap), TRAP_NONE);
    assert_int_equal(c->nmis, 1);
    return micro_shutdown(c, 0);
}

static void window_unblocks_nmis(void **state)
{
    micro_run(micro_create(1, NULL, boot_nmi_window, trap_after_window), SIM_SHUTDOWN, "");
}

static struct resume outside;
static struct resume *boot_outside(u32 magic, u64 info)
{
    micro_boot(magic);
    return &outside;
}

static struct resume *boot_bad_kind(u32 magic, u64 info)
{
    return micro_go(micro_boot(magic), 99);
}

static void ends_with_the_right_verdict(void **state)
{
    const struct { struct resume *(*boot)(u32, u64); enum sim_end end; const char *part; } row[] = {
        { boot_panics, SIM_PANIC, "cannot go on" },
        { boot_idle, SIM_DEADLOCK, "halted" },
        { boot_spins, SIM_DEADLOCK, "spin" },
        { boot_user, SIM_STOPPED, "user engine has nothing more" },
        { boot_high_rip, SIM_FINDING, "USER_END" },
        { boot_guest, SIM_FINDING, "SVM" },
        { boot_no_cpu, SIM_FINDING, "mach_cpu_set" },
        { boot_outside, SIM_FINDING, "outside RAM" },
        { boot_bad_kind, SIM_FINDING, "does not exist" },
        { boot_nmi_blocked, SIM_FINDING, "NMIs blocked" },
    };
    for (u32 i = 0; i < array_size(row); i++)
        micro_run(micro_create(1, NULL, row[i].boot, NULL), row[i].end, row[i].part);
}

static struct resume *boot_forever(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    for (u64 i = 0; i < 10000; i++)
        atomic_add(&micro()->word, 1);
    return micro_shutdown(c, 0);
}

static void budget_pauses_and_goes_on(void **state)
{
    struct sim *s = micro_create(1, NULL, boot_forever, NULL);
    assert_int_equal(sim_run(s, 100), SIM_BUDGET);
    assert_int_equal(sim_result(s)->steps, 100);
    assert_int_equal(sim_run(s, 50), SIM_BUDGET);
    assert_int_equal(sim_result(s)->steps, 150);
    assert_int_equal(sim_run(s, 1000000), SIM_SHUTDOWN);
    sim_destroy(s);
}

static struct sim *stop_me;
static void stop_console(void *arg, const char *text, u32 bytes)
{
    assert_memory_equal(text, "hello", bytes);
    sim_stop(stop_me);
}

static struct resume *boot_prints(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    mach_console_write("hello", 5);
    return micro_shutdown(c, 3);
}

static void stops_when_asked(void **state)
{
    stop_me = micro_create(1, NULL, boot_prints, NULL);
    stop_me->config.console = stop_console;
    assert_int_equal(sim_run(stop_me, 1000), SIM_STOPPED);
    assert_int_equal(sim_run(stop_me, 1000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(stop_me)->code, 3);
    sim_destroy(stop_me);
}

/* ---- Several CPUs ---- */

/* Each CPU adds to a word, hands a turn round, and appends its number to a list: the order is the schedule. */
static struct resume *boot_turns(u32 magic, u64 info)
{
    struct micro *m = micro();
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    if (magic != BOOT_MAGIC_AP)
        for (u32 i = 1; i < 3; i++)
            micro_start(2 * i);
    for (u32 i = 0; i < 5; i++) {
        m->list[atomic_fetch_add(&m->word, 1)] = c->id;
        mach_console_write(&"abc"[c->id], 1);
    }
    atomic_add(&m->done, 1);
    while (atomic_load(&m->done) != 3)
        mach_relax();
    return micro_shutdown(c, (u32)atomic_load(&m->word));
}

static u64 turns(struct chooser *chooser)
{
    struct sim *s = micro_create(3, chooser, boot_turns, NULL);
    assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(s)->code, 15);
    const u64 hash = sim_result(s)->event_hash;
    sim_destroy(s);
    return hash;
}

static void spinning_ends_under_all_zeros(void **state)
{
    struct choose_straight zeros;
    choose_straight(&zeros);
    assert_int_equal(turns(NULL), turns(&zeros.chooser));
}

static void same_seed_same_hash(void **state)
{
    u64 distinct = 0, before = 0;
    for (u64 seed = 0; seed < 50; seed++) {
        struct choose_random a, b;
        choose_random(&a, seed);
        choose_random(&b, seed);
        const u64 hash = turns(&a.chooser);
        assert_int_equal(hash, turns(&b.chooser));
        distinct += hash != before;
        before = hash;
    }
    assert_true(distinct > 40);
}

static void a_recorded_run_plays_back(void **state)
{
    static u32 answer[100000];
    for (u64 seed = 0; seed < 20; seed++) {
        struct choose_random r;
        struct choose_record record;
        struct choose_list list;
        choose_random(&r, seed);
        choose_record(&record, &r.chooser, answer, array_size(answer));
        const u64 hash = turns(&record.chooser);
        choose_list(&list, answer, record.count);
        assert_int_equal(turns(&list.chooser), hash);
        assert_int_equal(list.next, record.count);
        assert_int_equal(list.misfits, 0);
    }
}

static void machines_side_by_side_do_not_mix(void **state)
{
    struct choose_random r[3];
    struct sim *s[3];
    u64 alone[3];
    for (u32 i = 0; i < 3; i++) {
        choose_random(&r[i], 77 + i);
        alone[i] = turns(&r[i].chooser);
        choose_random(&r[i], 77 + i);
        s[i] = micro_create(3, &r[i].chooser, boot_turns, NULL);
    }
    for (u32 ended = 0; ended != 7;)
        for (u32 i = 0; i < 3; i++)
            if (sim_run(s[i], 7) != SIM_BUDGET)
                ended |= 1u << i;
    for (u32 i = 0; i < 3; i++) {
        assert_int_equal(sim_result(s[i])->end, SIM_SHUTDOWN);
        assert_int_equal(sim_result(s[i])->event_hash, alone[i]);
        sim_destroy(s[i]);
    }
}

TEST_GROUP(sim, cmocka_unit_test(boots_with_multiboot2), cmocka_unit_test(refuses_senseless_configurations), cmocka_unit_test(ram_has_a_hole_below_4_gib),
           cmocka_unit_test(acpi_tables_add_up), cmocka_unit_test(ends_with_the_right_verdict), cmocka_unit_test(window_unblocks_nmis), cmocka_unit_test(budget_pauses_and_goes_on),
           cmocka_unit_test(stops_when_asked), cmocka_unit_test(spinning_ends_under_all_zeros), cmocka_unit_test(same_seed_same_hash),
           cmocka_unit_test(a_recorded_run_plays_back), cmocka_unit_test(machines_side_by_side_do_not_mix));
