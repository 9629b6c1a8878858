/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a machine that nobody watches, which takes short ways, judge what every machine judges, and does it do the same? Its MMU keeps answers: is a word
 * that changed seen at once? */
#include "exposed.h"
#include "rule_test.h"

#define AT    0x300000ul     /* top-level table; the next pages: those below, then the page */
#define LEAF  (AT + 3 * PAGE_SIZE)
#define PAGE  (AT + 4 * PAGE_SIZE)
#define OTHER (AT + 5 * PAGE_SIZE)
#define VA    0x40201000ul   /* index 1 at each level below the top, where it is 0 */

static u64 *at(u64 phys)
{
    return mach_phys_to_virt(phys);
}

static bool engine_traps(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    out->kind = micro()->cpu[0].traps++ < 3 ? EVENT_SYSCALL : EVENT_END;
    return true;
}
static struct engine engine = { .name = "traps", .user = engine_traps };

static void map(u64 leaf)
{
    for (u32 level = 0; level < 3; level++)
        at(AT + level * PAGE_SIZE)[level ? 1 : 0] = (AT + (level + 1) * PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
    at(LEAF)[1] = leaf;
}

static bool reaches_at(u64 address, u32 access, bool user, u64 *phys)
{
    struct sim_translation t = { 0 };
    struct sim_fault f;
    const bool done = sim_translate(sim_this(), address, access, user, &t, &f);
    *phys = t.phys;
    return done;
}

static bool reaches(u32 access, bool user, u64 *phys)
{
    return reaches_at(VA + 8, access, user, phys);
}

static struct resume *boot_user(u32 magic, u64 info)
{
    struct micro_cpu *const c = micro_boot(magic);
    u64 phys;
    sim_this()->sim->config.user = &engine;
    map(PAGE | PTE_P | PTE_W | PTE_U);
    mach_cr3_write(AT);
    mach_mem_state(at(PAGE), PAGE_SIZE, MEM_LIVE);
    mach_zero(at(PAGE), PAGE_SIZE);
    assert_true(reaches(RIGHT_W, true, &phys));
    return micro_go(c, RESUME_USER);
}

/* ---- Rules ---- */

enum op { LOAD, LOAD_32, STORE, STORE_RELAXED, STORE_32, XCHG, XCHG_32, CAS, ADD, OPS };

static void operate(enum op op, void *word)
{
    u64 old = 0;
    switch (op) {
    case LOAD: atomic_load(word); break;
    case LOAD_32: atomic_load32(word); break;
    case STORE: atomic_store(word, 1); break;
    case STORE_RELAXED: atomic_store_relaxed(word, 1); break;
    case STORE_32: atomic_store32(word, 1); break;
    case XCHG: atomic_xchg(word, 1); break;
    case XCHG_32: atomic_xchg32(word, 1); break;
    case CAS: ignore(atomic_cas(word, &old, 1)); break;
    default: atomic_add(word, 1); break;
    }
}

static struct resume *trap_operates(void *cpu, u64 trap, u64 info)
{
    assert_true(sim_unnoted(sim_this()));
    for (enum op op = STORE; op < OPS; op++) {
        atomic_u64 word = { 0xffffffff00000000 };
        const bool half = op == STORE_32 || op == XCHG_32;
        if (!half)
            word.v = 0;
        operate(op, &word);
        assert_int_equal(word.v, half ? 0xffffffff00000001 : 1);
    }
    struct { atomic_u32 word, next; } pair = { { 5 }, { 6 } };
    assert_int_equal(atomic_xchg32(&pair.word, 7), 5);
    assert_int_equal(atomic_load32(&pair.word), 7);
    assert_int_equal(atomic_load32(&pair.next), 6);
    return micro_shutdown(cpu, 0);
}

#define LINES (AT + 8 * PAGE_SIZE)   /* a line in this state, then a live one */

static struct resume *trap_line(void *cpu, enum op op, enum mem_state state, s64 byte)
{
    assert_true(sim_this()->sim->quiet && sim_this()->turn_outside);
    mach_mem_state(at(LINES), 64, state);
    operate(op, (u8 *)at(LINES) + byte);
    return cpu;
}

static struct resume *trap_saved(void *cpu, enum op op, u64 page)
{
    mach_msr_write(MSR_EFER, mach_msr_read(MSR_EFER) | EFER_SVME);
    mach_msr_write(MSR_VM_HSAVE_PA, LINES);
    operate(op, at(page));
    return cpu;
}

static void boot_and_trap(struct rule_scene *x, enum sim_vendor vendor, struct resume *(*trap)(void *, u64, u64))
{
    x->booted = sim_create(&(struct sim_config){ .cpus = 1, .ram_bytes = MICRO_RAM, .x2apic = true, .vendor = vendor });
    x->booted->upcall = (struct sim_upcall){ boot_user, trap, micro_nmi };
    x->booted->profile.smep = x->booted->profile.smap = x->booted->profile.umip = false;
    sim_run(x->booted, 100000);
}

#define LINE(name, op, state, byte)                                                                                    \
    static struct resume *trap_##name(void *cpu, u64 trap, u64 info) { return trap_line(cpu, op, state, byte); }       \
    static void name(struct rule_scene *x) { boot_and_trap(x, SIM_NONE, trap_##name); }
LINE(load_free, LOAD, MEM_FREE, 0) LINE(load_epoch, LOAD, MEM_EPOCH, 0) LINE(load_32_free, LOAD_32, MEM_FREE, 4) LINE(load_behind, LOAD, MEM_FREE, 64)
LINE(load_into, LOAD, MEM_FREE, -4) LINE(load_before, LOAD, MEM_FREE, -8)
LINE(store_free, STORE, MEM_FREE, 56) LINE(store_epoch, STORE, MEM_EPOCH, 56)
LINE(store_relaxed_zone, STORE_RELAXED, MEM_REDZONE, 0) LINE(store_32_zone, STORE_32, MEM_REDZONE, 0) LINE(store_behind, STORE, MEM_REDZONE, 64)
LINE(xchg_free, XCHG, MEM_FREE, 0) LINE(xchg_32_free, XCHG_32, MEM_FREE, 0) LINE(cas_zone, CAS, MEM_REDZONE, 0) LINE(add_free, ADD, MEM_FREE, 0)
LINE(add_behind, ADD, MEM_FREE, 64)

#define SAVED(name, op, page)                                                                                          \
    static struct resume *trap_##name(void *cpu, u64 trap, u64 info) { return trap_saved(cpu, op, page); }             \
    static void name(struct rule_scene *x) { boot_and_trap(x, SIM_SVM, trap_##name); }
SAVED(saved_store, STORE, LINES) SAVED(saved_xchg, XCHG, LINES) SAVED(saved_load, LOAD, LINES) SAVED(saved_beside, STORE, LINES + PAGE_SIZE)

static struct resume *trap_loads_twice(void *cpu, u64 trap, u64 info)
{
    atomic_load((atomic_u64 *)at(PAGE + 64));
    atomic_load((atomic_u64 *)at(PAGE + 64));
    return cpu;
}

static struct resume *trap_loads_once(void *cpu, u64 trap, u64 info)
{
    atomic_load((atomic_u64 *)at(PAGE + 64));
    atomic_load((atomic_u64 *)at(PAGE + 72));
    return cpu;
}

/* An answer was kept; then the page is freed. */
static struct resume *trap_freed(void *cpu, u64 trap, u64 info)
{
    u64 phys;
    assert_true(reaches(RIGHT_R, true, &phys));
    mach_mem_state(at(PAGE), PAGE_SIZE, MEM_FREE);
    reaches(RIGHT_R, true, &phys);
    return cpu;
}

/* The stack as a trap before has used it, deeper than most. */
static __attribute__((noinline)) u64 deep(u64 written)
{
    u64 word[400];
    for (u32 i = 0; written && i < array_size(word); i++)
        word[i] = written;
    __asm__ volatile("" : "+m"(word));
    return word[40];
}

static struct resume *trap_forgets(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *const c = cpu;
    c->resume.gpr[RDX] = deep(c->traps == 1 ? 7 : 0);
    return cpu;
}

static struct resume *trap_remembers(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *const c = cpu;
    c->resume.gpr[RDX] = deep(7);
    return cpu;
}

#define TRAP_OF(name)                                                                                                  \
    static void name(struct rule_scene *x) { boot_and_trap(x, SIM_NONE, trap_##name); }
TRAP_OF(loads_twice) TRAP_OF(loads_once) TRAP_OF(freed) TRAP_OF(forgets) TRAP_OF(remembers)

RULE_TABLE(rule_quiet, SCENE_UNIT(SIM_NONE),
    { RULE_MEM_FREE, load_free, load_epoch },
    { RULE_MEM_FREE, load_32_free, load_behind },
    { RULE_MEM_FREE, load_into, load_before },
    { RULE_MEM_FREE, store_free, store_epoch },
    { RULE_MEM_REDZONE, store_relaxed_zone, store_behind },
    { RULE_MEM_REDZONE, store_32_zone, store_behind },
    { RULE_MEM_FREE, xchg_free, add_behind },
    { RULE_MEM_FREE, xchg_32_free, add_behind },
    { RULE_MEM_REDZONE, cas_zone, add_behind },
    { RULE_MEM_FREE, add_free, add_behind },
    { RULE_SVM_STORE, saved_store, saved_load },
    { RULE_SVM_STORE, saved_xchg, saved_beside },
    { RULE_FETCH_TWICE, loads_twice, loads_once },
    { RULE_TLB_FREED, freed, NULL },
    { RULE_LEAK_REGISTER, forgets, remembers });

/* ---- Answers of the MMU ---- */

static void expect(u32 access, bool user, bool allowed, u64 frame)
{
    u64 phys;
    assert_int_equal(reaches(access, user, &phys), allowed);
    if (allowed)
        assert_int_equal(phys, frame + 8);
}

static struct resume *trap_changes(void *cpu, u64 trap, u64 info)
{
    const u64 all = PTE_P | PTE_W | PTE_U;
    for (u32 twice = 0; twice < 2; twice++)
        expect(RIGHT_R, true, true, PAGE);
    map(OTHER | all);
    expect(RIGHT_R, true, true, OTHER);
    at(LEAF)[1] &= ~PTE_U;
    expect(RIGHT_R, true, false, 0);
    expect(RIGHT_R, false, true, OTHER);
    expect(RIGHT_R, true, false, 0);
    map(OTHER | PTE_P | PTE_U);
    expect(RIGHT_R, true, true, OTHER);
    expect(RIGHT_W, true, false, 0);
    map(OTHER | all);
    expect(RIGHT_W, true, true, OTHER);
    assert_true(at(LEAF)[1] & PTE_D);
    at(LEAF)[1] &= ~PTE_D;
    expect(RIGHT_W, true, true, OTHER);
    assert_true(at(LEAF)[1] & PTE_D);
    expect(RIGHT_X, true, true, OTHER);
    at(AT + PAGE_SIZE)[1] |= PTE_NX;
    expect(RIGHT_X, true, false, 0);
    return micro_shutdown(cpu, 0);
}

/* What is kept of one page, one address, one address space is no other's. */
static struct resume *trap_elsewhere(void *cpu, u64 trap, u64 info)
{
    u64 phys;
    expect(RIGHT_R, true, true, PAGE);
    assert_true(reaches_at(VA + 16, RIGHT_R, true, &phys));
    assert_int_equal(phys, PAGE + 16);
    for (u32 i = 1; i < 64; i++) {
        at(LEAF)[1 + i] = (OTHER + i * PAGE_SIZE) | PTE_P | PTE_U;
        assert_true(reaches_at(VA + i * PAGE_SIZE, RIGHT_R, true, &phys));
        assert_int_equal(phys, OTHER + i * PAGE_SIZE);
        assert_false(reaches_at(VA + i * PAGE_SIZE, RIGHT_W, true, &phys));
    }
    expect(RIGHT_R, true, true, PAGE);
    mach_cr3_write(mach_boot_root());
    assert_false(reaches(RIGHT_R, true, &phys));
    mach_cr3_write(AT);
    expect(RIGHT_R, true, true, PAGE);
    return micro_shutdown(cpu, 0);
}

/* Rights that depend on registers. */
static struct resume *trap_registers(void *cpu, u64 trap, u64 info)
{
    map(OTHER | PTE_P | PTE_U);
    mach_cr0_write(mach_cr0_read() & ~CR0_WP);
    expect(RIGHT_W, false, true, OTHER);
    mach_cr0_write(mach_cr0_read() | CR0_WP);
    expect(RIGHT_W, false, false, 0);
    expect(RIGHT_X, false, true, OTHER);
    sim_this()->sim->profile.smep = true;
    mach_cr4_write(mach_cr4_read() | CR4_SMEP);
    expect(RIGHT_X, false, false, 0);
    map(OTHER | PTE_P | PTE_U | PTE_NX);
    expect(RIGHT_R, true, true, OTHER);
    mach_msr_write(MSR_EFER, mach_msr_read(MSR_EFER) & ~EFER_NXE);
    expect(RIGHT_R, true, false, 0);
    mach_msr_write(MSR_EFER, mach_msr_read(MSR_EFER) | EFER_NXE);
    return micro_shutdown(cpu, 0);
}

static void shuts_down(struct resume *(*trap)(void *, u64, u64))
{
    struct rule_scene x = { 0 };
    boot_and_trap(&x, SIM_NONE, trap);
    assert_string_equal(sim_result(x.booted)->message, "");
    assert_int_equal(sim_result(x.booted)->end, SIM_SHUTDOWN);
    sim_destroy(x.booted);
}

static void a_changed_word_is_seen(void **state) { shuts_down(trap_changes); }
static void an_answer_is_for_its_question(void **state) { shuts_down(trap_elsewhere); }
static void a_changed_register_is_seen(void **state) { shuts_down(trap_registers); }
static void an_operation_has_its_effect(void **state) { shuts_down(trap_operates); }

/* ---- The same run ---- */

/* Two CPUs: spins on words and on the clock, a compare-and-swap that fails, interrupts, a timer. */
static struct resume *boot_busy(u32 magic, u64 info)
{
    struct micro *const m = micro();
    struct micro_cpu *const c = micro_boot(magic);
    micro_apic_on();
    if (magic != BOOT_MAGIC_AP)
        micro_start(2);
    for (u64 expected = 0; !atomic_cas(&m->word, &expected, c->id + 1); expected = 0)
        mach_relax();
    const u64 until = mach_tsc_read() + 700 * (1 + c->id);
    while (mach_tsc_read() < until)
        mach_relax();
    atomic_store(&m->word, 0);
    atomic_add(&m->done, 1);
    while (atomic_load(&m->done) != 2)
        mach_relax();
    micro_deadline(mach_tsc_read() + 50);
    for (m->list[8 + c->id] = 0; !mach_preempt_pending(); m->list[8 + c->id]++)
        ;
    assert_in_range(m->list[8 + c->id], 30, 50);   /* steps pass time */
    micro_deadline(mach_tsc_read() + 3000 + 1000 * c->id);
    return micro_go(c, RESUME_IDLE);
}

static struct resume *trap_busy(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *const c = cpu;
    struct micro *const m = micro();
    micro_eoi();
    m->list[c->traps++] = mach_tsc_read();
    while (mach_preempt_pending())
        mach_relax();
    if (atomic_fetch_add(&m->done, 1) == 9)
        return micro_shutdown(c, (u32)(m->list[0] + 3 * m->list[1] + 7 * m->list[2]));
    micro_deadline(mach_tsc_read() + 50 * (1 + c->traps));
    return micro_go(c, RESUME_IDLE);
}

/* What it waits for never comes: when is that known? */
static struct resume *boot_stuck(u32 magic, u64 info)
{
    struct micro_cpu *const c = micro_boot(magic);
    mach_tsc_read();
    for (u64 expected = 1; !atomic_cas(&micro()->word, &expected, 2); expected = 1)
        mach_relax();
    return micro_go(c, RESUME_IDLE);
}

static void same_run(u32 cpus, struct resume *(*boot)(u32, u64), enum sim_end end)
{
    struct sim_result r[2];
    struct choose_straight straight;
    choose_straight(&straight);
    for (u32 i = 0; i < 2; i++) {
        struct sim *s = micro_create(cpus, i ? &straight.chooser : NULL, boot, trap_busy);
        assert_int_equal(sim_run(s, 1000000), end);
        r[i] = *sim_result(s);
        sim_destroy(s);
    }
    assert_int_equal(r[0].event_hash, r[1].event_hash);
    assert_int_equal(r[0].steps, r[1].steps);
    assert_int_equal(r[0].traps, r[1].traps);
    assert_int_equal(r[0].code, r[1].code);
}

static void does_what_a_watched_one_does(void **state)
{
    same_run(2, boot_busy, SIM_SHUTDOWN);
    same_run(1, boot_stuck, SIM_DEADLOCK);
}

TEST_GROUP(quiet, cmocka_unit_test(a_changed_word_is_seen), cmocka_unit_test(a_changed_register_is_seen),
           cmocka_unit_test(an_answer_is_for_its_question), cmocka_unit_test(an_operation_has_its_effect),
           cmocka_unit_test(does_what_a_watched_one_does));
