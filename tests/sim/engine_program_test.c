/* SPDX-License-Identifier: BSD-2-Clause */
/* Do programs that are C functions behave to the kernel like user mode: registers, restarts, faults, slices, moved threads? */
#include <stdlib.h>
#include "micro.h"
#include "abi/bundle.h"
#include "abi/hypercall.h"
#include "program.h"

#define ROOT 0x210000ul
#define DATA 0x500000ul   /* user page, backed by FRAME */
#define FRAME 0x300000ul

static struct engine *engine;
static struct sim *s;
static u64 entry, other;
static u64 seen[16];

static u64 *pte(u64 address)
{
    static const u64 table[4] = { ROOT + 0x3000, ROOT + 0x2000, ROOT + 0x1000, ROOT };
    for (u32 level = 4; level-- > 1;)
        ((u64 *)mach_phys_to_virt(table[level]))[address >> (12 + 9 * level) & 511] = table[level - 1] | PTE_P | PTE_W | PTE_U;
    return (u64 *)mach_phys_to_virt(table[0]) + (address >> 12 & 511);
}

static struct resume *boot_program(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    mach_cr3_write(ROOT);
    *pte(PROGRAM_BASE) = FRAME | PTE_P | PTE_U;
    *pte(DATA) = FRAME | PTE_P | PTE_W | PTE_U | PTE_NX;
    c->resume.rip = entry;
    c->resume.gpr[RDI] = 0x1111;
    c->resume.gpr[RSP] = 0x2222;
    return micro_go(c, RESUME_USER);
}

/* Hypercall 1: RAX = RSI + 1. 2: shut down with RSI. 3: once more from the SYSCALL, with RSI counted down. 4: move to `other`. */
static struct resume *trap_program(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *c = cpu;
    struct resume *r = &c->resume;
    c->traps++;
    if (TRAP_KIND(trap) != TRAP_SYSCALL) {
        micro()->list[0] = trap;
        micro()->list[1] = info;
        micro()->list[2] = mach_cr2_read();
        micro()->list[3]++;
        if (TRAP_KIND(trap) == TRAP_EXCEPTION && TRAP_VECTOR(trap) == VECTOR_PF && mach_cr2_read() >> 12 == (DATA + 0x1000) >> 12)
            *pte(DATA + 0x1000) = (FRAME + 0x1000) | PTE_P | PTE_W | PTE_U;
        else if (TRAP_KIND(trap) == TRAP_EXCEPTION && TRAP_VECTOR(trap) == VECTOR_UD)
            r->rip += 2;
        else if (TRAP_KIND(trap) == TRAP_INTERRUPT) {
            micro()->list[5] = mach_tsc_read();
            micro_eoi();
        }
        else
            return micro_shutdown(c, 99);
        return r;
    }
    switch (r->gpr[RDI]) {
    case 1:
        r->gpr[RAX] = r->gpr[RSI] + 1;
        break;
    case 2:
        return micro_shutdown(c, (u32)r->gpr[RSI]);
    case 3:
        if (r->gpr[RSI]-- > 1)
            r->rip -= 2;
        break;
    case 4:
        r->rip = other;
        break;
    case 5:
        micro()->list[4] = mach_tsc_read() + r->gpr[RSI];
        micro_deadline(micro()->list[4]);
        break;
    }
    return r;
}

static void leave(u64 code)
{
    program_hypercall(2, code, 0, 0, 0, 0, 0);
}

static u32 run(void (*program)(void *), void (*second)(void *))
{
    engine = program_engine();
    entry = program_entry(engine, program, &seen);
    other = second ? program_entry(engine, second, NULL) : 0;
    s = micro_create(1, NULL, boot_program, trap_program);
    s->config.user = engine;
    memset(seen, 0, sizeof(seen));
    assert_int_equal(sim_run(s, 1000000), SIM_SHUTDOWN);
    return sim_result(s)->code;
}

static int teardown(void **state)
{
    sim_destroy(s);
    engine->destroy(engine);
    return 0;
}

static struct micro *state_of(void)
{
    return sim_phys(s, MICRO_STATE, sizeof(struct micro));
}

static void calls(void *arg)
{
    u64 *out = arg;
    out[0] = program_registers()[RDI];
    out[1] = program_registers()[RSP];
    program_registers()[R15] = 0xfeed;
    out[2] = program_hypercall(1, 41, 0, 0, 0, 0, 0);
    out[3] = program_registers()[R15];
    out[4] = program_registers()[RCX];
    out[5] = program_registers()[R11];
    leave(5);
}

static void registers_go_both_ways(void **state)
{
    assert_int_equal(run(calls, NULL), 5);
    assert_int_equal(seen[0], 0x1111);
    assert_int_equal(seen[1], 0x2222);
    assert_int_equal(seen[2], 42);
    assert_int_equal(seen[3], 0xfeed);
    assert_true(seen[4] < 0x7ffffffff000);             /* RCX: where SYSCALL returns to */
    assert_int_equal(seen[5], RFLAGS_IF | RFLAGS_ONE); /* R11: the flags the machine forces */
}

static void restarted(void *arg)
{
    program_hypercall(3, 7, 0, 0, 0, 0, 0);
    ((u64 *)arg)[0] = program_registers()[RSI];
    leave(1);
}

static void a_restarted_hypercall_is_seen_once_by_the_program(void **state)
{
    run(restarted, NULL);
    assert_int_equal(seen[0], 0);
    assert_int_equal(state_of()->cpu[0].traps, 8);
}

static void faults(void *arg)
{
    u64 *out = arg;
    user_store64(DATA + 0x100, 0xabcd);
    out[0] = user_load64(DATA + 0x100);
    user_store64(DATA + 0xffc, 0x1122334455667788);    /* the second half faults; the handler maps the page */
    out[1] = user_load64(DATA + 0xffc);
    user_copy(DATA + 0x200, DATA + 0xffc, 8);
    out[2] = user_load64(DATA + 0x200);
    leave(1);
}

static void a_faulting_access_is_done_again(void **state)
{
    run(faults, NULL);
    assert_int_equal(seen[0], 0xabcd);
    assert_int_equal(seen[1], 0x1122334455667788);
    assert_int_equal(seen[2], 0x1122334455667788);
    assert_int_equal(state_of()->list[3], 1);
    assert_int_equal(state_of()->list[0], TRAP(TRAP_EXCEPTION, VECTOR_PF));
    assert_int_equal(state_of()->list[1], PF_USER | PF_WRITE);
    assert_int_equal(state_of()->list[2], DATA + 0x1000);
}

static void wild(void *arg)
{
    user_load64(0x123000);
}

static void an_access_nobody_maps_is_an_exception(void **state)
{
    assert_int_equal(run(wild, NULL), 99);
    assert_int_equal(state_of()->list[2], 0x123000);
}

static void raises(void *arg)
{
    program_raise(VECTOR_UD, 0);
    ((u64 *)arg)[0] = 1;
    leave(3);
}

static void an_exception_can_be_skipped(void **state)
{
    assert_int_equal(run(raises, NULL), 3);
    assert_int_equal(seen[0], 1);
    assert_int_equal(state_of()->list[0], TRAP(TRAP_EXCEPTION, VECTOR_UD));
}

static void computes(void *arg)
{
    program_hypercall(5, 20000, 0, 0, 0, 0, 0);
    program_spend(100000);
    leave(1);
}

static void computing_takes_time_and_is_interrupted_on_time(void **state)
{
    run(computes, NULL);
    assert_in_range(sim_result(s)->instructions, 100000, 100010);
    assert_true(s->clock >= 100000);
    assert_in_range(state_of()->list[5], state_of()->list[4], state_of()->list[4] + 5);
    assert_int_equal(state_of()->list[3], 1);
    assert_int_equal(state_of()->list[0], TRAP(TRAP_INTERRUPT, 0xf0));
}

static void moves(void *arg)
{
    ((u64 *)arg)[0]++;
    program_hypercall(4, 0, 0, 0, 0, 0, 0);
    ((u64 *)arg)[1]++;                                 /* never: the thread was sent elsewhere */
}

static void moved(void *arg)
{
    seen[2]++;
    if (seen[2] < 5)
        program_hypercall(4, 0, 0, 0, 0, 0, 0);
    leave(1);
}

static void a_moved_thread_loses_its_stack(void **state)
{
    run(moves, moved);
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 0);
    assert_int_equal(seen[2], 5);
}

static void ends(void *arg)
{
}

static void returning_ends_the_run(void **state)
{
    engine = program_engine();
    entry = program_entry(engine, ends, NULL);
    s = micro_create(1, NULL, boot_program, trap_program);
    s->config.user = engine;
    assert_int_equal(sim_run(s, 1000), SIM_STOPPED);
}

static void an_unmapped_entry_faults_on_the_fetch(void **state)
{
    engine = program_engine();
    entry = DATA;                                      /* mapped, not executable */
    s = micro_create(1, NULL, boot_program, trap_program);
    s->config.user = engine;
    assert_int_equal(sim_run(s, 1000), SIM_SHUTDOWN);
    assert_int_equal(state_of()->list[1], PF_PRESENT | PF_USER | PF_FETCH);
}

static void the_bundle_is_well_formed(void **state)
{
    u64 bytes = 0;
    u8 *b = program_bundle(PROGRAM_BASE + 16, &bytes);
    const struct bundle *head = (const struct bundle *)b;
    const struct bundle_file *file = (const struct bundle_file *)(head + 1);
    assert_int_equal(head->magic, BUNDLE_MAGIC);
    assert_int_equal(head->bytes, bytes);
    assert_int_equal(bytes % PAGE_SIZE, 0);
    assert_true(file->offset + file->bytes <= bytes);
    assert_memory_equal(b + file->offset, "\177ELF", 4);
    free(b);
}

#define CASE(f) cmocka_unit_test_teardown(f, teardown)
TEST_GROUP(sim_program, CASE(registers_go_both_ways), CASE(a_restarted_hypercall_is_seen_once_by_the_program), CASE(a_faulting_access_is_done_again),
           CASE(an_access_nobody_maps_is_an_exception), CASE(an_exception_can_be_skipped), CASE(computing_takes_time_and_is_interrupted_on_time),
           CASE(a_moved_thread_loses_its_stack), CASE(returning_ends_the_run), CASE(an_unmapped_entry_faults_on_the_fetch),
           cmocka_unit_test(the_bundle_is_well_formed));
