/* SPDX-License-Identifier: BSD-2-Clause */
/* What does the root program find when the machine has booted, and what does a bundle without sense lead to? Boots the whole machine; a scripted
 * engine is the root program. */
#include "root.h"
#include <string.h>
#include "abi/info.h"
#include "bundle_fixture.h"
#include "kernel_fixture.h"
#include "sim.h"
#include "sim_mem.h"
#include "unit.h"

/* The script: looks once, then shuts the machine down. */
struct script {
    struct engine engine;
    struct info info;
    struct resume first;
    u64 data[2];
    u8 text, zero;
    bool bundle, memory_ok, info_writable, text_writable, data_executable;
    u32 calls;
    const char *line;
};

static bool can(struct sim_cpu *cpu, u64 address, u32 access)
{
    struct sim_translation t;
    struct sim_fault fault;
    return sim_translate(cpu, address, access, true, &t, &fault);
}

static void look(struct script *s, struct sim_cpu *cpu, const struct resume *regs)
{
    struct sim_fault fault;
    u64 magic = 0;
    s->first = *regs;
    if (!sim_user_load(cpu, INFO_PAGE, &s->info, sizeof(s->info), &fault))
        return;
    s->bundle = sim_user_load(cpu, ROOT_BUNDLE, &magic, 8, &fault) && magic == BUNDLE_MAGIC && can(cpu, ROOT_BUNDLE + FIXTURE_BUNDLE - 1, RIGHT_X);
    if (!sim_user_load(cpu, FIXTURE_DATA, s->data, 16, &fault) || !sim_user_load(cpu, FIXTURE_DATA + 0x1fff, &s->zero, 1, &fault) ||
        !sim_user_fetch(cpu, FIXTURE_ENTRY, &s->text, 1, &fault))
        s->text = 0;
    s->info_writable = can(cpu, INFO_PAGE, RIGHT_W);
    s->text_writable = can(cpu, FIXTURE_TEXT, RIGHT_W);
    s->data_executable = can(cpu, FIXTURE_DATA, RIGHT_X);
    s->memory_ok = s->info.range_count > 0;
    for (u32 i = 0; i < s->info.range_count; i++) {
        s->memory_ok &= s->info.range[i].base >= 1ul << 20;   /* firmware keeps things below */
        const u64 start = ROOT_MEMORY + s->info.range[i].base, end = start + s->info.range[i].bytes;
        s->memory_ok &= can(cpu, start, RIGHT_W) && can(cpu, end - 1, RIGHT_W) && !can(cpu, end, RIGHT_R) && !can(cpu, start - 1, RIGHT_R);
    }
}

static bool user(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    struct script *s = (struct script *)e;
    if (!s->calls++)
        look(s, cpu, regs);
    regs->gpr[RDI] = HYPERCALL_shutdown;
    regs->gpr[RSI] = 7;
    regs->rip += 2;
    *out = (struct engine_event){ .kind = EVENT_SYSCALL, .steps = 1 };
    return true;
}

static struct sim_result boot(struct script *s, const u8 *bundle, u64 bytes, u32 cpus, enum sim_vendor vendor, bool x2apic)
{
    s->engine = (struct engine){ .name = "script", .user = user };
    struct sim *sim = sim_create(&(struct sim_config){
            .cpus = cpus, .ram_bytes = 64ul << 20, .vendor = vendor, .x2apic = x2apic, .bundle = bundle, .bundle_bytes = bytes, .user = &s->engine,
            .line = s->line });
    assert_non_null(sim);
    sim_run(sim, 10000000);
    struct sim_result r = *sim_result(sim);
    static char message[256];
    strncpy(message, r.message ? r.message : "", sizeof(message) - 1);
    r.message = message;
    sim_destroy(sim);
    return r;
}

static void boots(u32 cpus, enum sim_vendor vendor, bool x2apic)
{
    static u8 bundle[FIXTURE_BUNDLE];
    struct script s = { 0 };
    bundle_fixture(bundle);
    const struct sim_result r = boot(&s, bundle, sizeof(bundle), cpus, vendor, x2apic);
    if (r.end != SIM_SHUTDOWN)
        fail_msg("end %d: %s", r.end, r.message);
    assert_int_equal(r.code, 7);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.first.rip, FIXTURE_ENTRY);
    assert_int_equal(s.first.gpr[RDI], INFO_PAGE);
    assert_int_equal(s.first.gpr[RSI], ROOT_UTCB);
    assert_int_equal(s.info.magic, INFO_MAGIC);
    assert_int_equal(s.info.version, INFO_VERSION);
    assert_int_equal(s.info.cpu_count, cpus);
    assert_int_equal(s.info.virt, vendor);
    assert_int_equal(s.info.bundle_bytes, FIXTURE_BUNDLE);
    assert_true(s.info.root_quota_bytes > (2ul << 20));
    assert_int_equal(s.data[0], 0xdadadadadadadadaul);
    assert_int_equal(s.zero, 0);
    assert_int_equal(s.text, 0x90);
    assert_true(s.bundle && s.memory_ok);
    assert_false(s.info_writable || s.text_writable || s.data_executable);
}

static void boots_alone(void **state)
{
    boots(1, SIM_VMX, true);
}

static void boots_svm(void **state)
{
    boots(1, SIM_SVM, true);
}

static void boots_without_virtualization(void **state)
{
    boots(1, SIM_NONE, true);
}

static void boots_four_cpus(void **state)
{
    boots(4, SIM_VMX, true);
}

static void boots_four_cpus_xapic(void **state)
{
    boots(4, SIM_SVM, false);
}

/* The command line is heard, and root has a group where its priority would be none. */
static void boots_with_fair_groups(void **state)
{
    static const struct { const char *line, *message; } rows[] = { { "sched=fair", NULL }, { "quiet sched=fair:0", NULL }, { "sched=fair:x", "sched=" } };
    static u8 bundle[FIXTURE_BUNDLE];
    bundle_fixture(bundle);
    for (u32 i = 0; i < 2 * array_size(rows); i++) {
        struct script s = { .line = rows[i / 2].line };
        const struct sim_result r = boot(&s, bundle, sizeof(bundle), 2, i % 2 ? SIM_SVM : SIM_VMX, true);
        assert_int_equal(r.end, rows[i / 2].message ? SIM_PANIC : SIM_SHUTDOWN);
        assert_true(!rows[i / 2].message || strstr(r.message, rows[i / 2].message));
        assert_int_equal(s.calls, !rows[i / 2].message);
    }
}

/* One byte or word of the bundle spoilt: the machine stops with a message that says what. */
static void bad_bundles_are_refused(void **state)
{
    static const struct { u32 at, bytes; u64 value; const char *message; } rows[] = {
        { 0, 8, 0, "not a bundle" },
        { 8, 4, 2, "not a bundle" },
        { 12, 4, 0, "header" },
        { 12, 4, BUNDLE_FILES + 1, "header" },
        { 16, 4, BUNDLE_PROGRAMS + 1, "header" },
        { 24, 8, FIXTURE_BUNDLE + PAGE_SIZE, "header" },
        { 24, 8, FIXTURE_BUNDLE - 1, "header" },
        { 64 + 40, 8, 0x800, "first file" },
        { 64 + 40, 8, FIXTURE_BUNDLE + PAGE_SIZE, "first file" },
        { 64 + 40, 8, ~PAGE_MASK, "first file" },
        { 64 + 48, 8, FIXTURE_BUNDLE, "first file" },
        { 64 + 48, 8, ~0ul, "first file" },
        { 64 + 48, 8, 10, "elf" },
        { PAGE_SIZE, 1, 0, "elf" },
        { PAGE_SIZE + FIXTURE_PHDR(1) + 40, 8, 1ul << 40, "not enough memory" },
    };
    static u8 bundle[FIXTURE_BUNDLE];
    for (u32 i = 0; i < array_size(rows); i++) {
        struct script s = { 0 };
        bundle_fixture(bundle);
        memcpy(bundle + rows[i].at, &rows[i].value, rows[i].bytes);
        const struct sim_result r = boot(&s, bundle, sizeof(bundle), 1, SIM_VMX, true);
        if (r.end != SIM_PANIC || !strstr(r.message, rows[i].message))
            fail_msg("row %u: end %d: %s", i, r.end, r.message);
        assert_int_equal(s.calls, 0);
    }
}

static void no_bundle_is_refused(void **state)
{
    struct script s = { 0 };
    const struct sim_result r = boot(&s, NULL, 0, 1, SIM_VMX, true);
    assert_int_equal(r.end, SIM_PANIC);
    assert_non_null(strstr(r.message, "root: "));
}

/* Memory that root's address space has no room for is neither mapped nor named. */
static void memory_without_room_is_not_named(void **state)
{
    enum { BUNDLE = 50 << 20, LOW = 52 << 20, LOW_END = 60 << 20 };
    static const u64 limit = INFO_PAGE - ROOT_MEMORY;
    struct fixture *f = fixture_open(1, SIM_NONE);
    struct cpu *const cpu = fixture_cpu(f, 0);
    u64 frame = 0;
    u32 rights = 0;
    bundle_fixture(mach_phys_to_virt(BUNDLE));
    f->k->boot.bundle = BUNDLE;
    f->k->boot.bundle_bytes = FIXTURE_BUNDLE;
    f->k->user = (struct ranges){ .count = 4, .range = { { LOW, LOW_END }, { limit - PAGE_SIZE, limit + PAGE_SIZE }, { limit, limit + PAGE_SIZE },
                                                         { limit - 3 * PAGE_SIZE, limit } } };
    root_create(cpu);
    assert_true(space_mem_lookup(&f->k->root_pd->memory, INFO_PAGE >> PAGE_BITS, &frame, &rights));
    const struct info *const info = mach_phys_to_virt(frame << PAGE_BITS);
    assert_int_equal(info->range_count, 2);
    for (u32 i = 0; i < info->range_count; i++) {
        const u64 base = info->range[i].base, end = base + info->range[i].bytes;
        assert_true((base == limit - 3 * PAGE_SIZE && end == limit) || (base >= LOW && end <= LOW_END));   /* the program took some of that one */
    }
    fixture_close(f);
}

TEST_GROUP(root, cmocka_unit_test(boots_alone), cmocka_unit_test(boots_svm), cmocka_unit_test(boots_without_virtualization),
           cmocka_unit_test(boots_four_cpus), cmocka_unit_test(boots_four_cpus_xapic), cmocka_unit_test(boots_with_fair_groups),
           cmocka_unit_test(bad_bundles_are_refused),
           cmocka_unit_test(no_bundle_is_refused), cmocka_unit_test(memory_without_room_is_not_named));
