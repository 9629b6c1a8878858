/* SPDX-License-Identifier: BSD-2-Clause */
/* Is what user level sees of the kernel judged? Rules CR-PROTECT, LEAK, FETCH, on machines that boot: boot maps a page of kernel memory for user
 * level, an engine of a few lines traps twice and ends. */
#include "rule_test.h"
#include "exposed.h"

#define AT    0x300000ul     /* top-level table; the next pages: those below, then the page */
#define PAGE  (AT + 4 * PAGE_SIZE)
#define VA    0x40201000ul   /* index 1 at each level below the top, where it is 0 */
#define TRAPS 2u

static u64 *at(u64 phys)
{
    return mach_phys_to_virt(phys);
}

/* User level keeps an address in R9 from its first trap on. */
static bool engine_traps(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    regs->gpr[R9] = (u64)cpu->sim->ram;
    out->kind = micro()->cpu[0].traps++ < TRAPS ? EVENT_SYSCALL : EVENT_END;
    return true;
}
static struct engine engine = { .name = "traps", .user = engine_traps };

static void user_access(u32 access)
{
    struct sim_translation t;
    struct sim_fault f;
    assert_true(sim_translate(sim_this(), VA, access, true, &t, &f));
}

/* A page of kernel memory that user level has written to, and what goes on with this structure. */
static struct micro_cpu *start(u32 magic)
{
    struct micro_cpu *const c = micro_boot(magic);
    sim_this()->sim->config.user = &engine;
    for (u32 level = 0; level < 4; level++)
        at(AT + level * PAGE_SIZE)[level ? 1 : 0] = (AT + (level + 1) * PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
    mach_cr3_write(AT);
    mach_mem_state(at(PAGE), PAGE_SIZE, MEM_LIVE);
    user_access(RIGHT_W);
    return c;
}

static struct micro_cpu *start_zeroed(u32 magic)
{
    struct micro_cpu *const c = start(magic);
    mach_zero(at(PAGE), PAGE_SIZE);
    return c;
}

static struct resume *user(struct micro_cpu *c) { return micro_go(c, RESUME_USER); }
static struct resume *boot_zeroed(u32 magic, u64 info) { return user(start_zeroed(magic)); }
static struct resume *boot_not_zeroed(u32 magic, u64 info) { return user(start(magic)); }

static struct resume *boot_half_zeroed(u32 magic, u64 info)
{
    struct micro_cpu *const c = start(magic);
    mach_zero(at(PAGE), PAGE_SIZE - 4);
    return user(c);
}

static struct resume *with_word(u32 magic, u64 value)
{
    struct micro_cpu *const c = start_zeroed(magic);
    at(PAGE)[7] = value;
    return user(c);
}

static struct resume *boot_page_address(u32 magic, u64 info) { return with_word(magic, (u64)at(PAGE)); }
static struct resume *boot_page_below(u32 magic, u64 info) { return with_word(magic, (u64)sim_this()->sim->map - 1); }

/* In another address space: what user level does not see there. */
static struct resume *boot_elsewhere(u32 magic, u64 info)
{
    struct micro_cpu *const c = start(magic);
    mach_cr3_write(mach_boot_root());
    return user(c);
}

static struct resume *with_register(u32 magic, u64 value)
{
    struct micro_cpu *const c = start_zeroed(magic);
    c->resume.gpr[R15] = value;
    return user(c);
}

static struct resume *boot_stack_address(u32 magic, u64 info) { return with_register(magic, (u64)__builtin_frame_address(0)); }
static struct resume *boot_below(u32 magic, u64 info) { return with_register(magic, (u64)sim_this()->sim->map - 1); }
static struct resume *boot_pattern(u32 magic, u64 info) { return with_register(magic, (u64)EXPOSED_PATTERN << 32); }

static struct resume *protection(u32 magic, u64 cr4, u64 offered)
{
    struct micro_cpu *const c = start_zeroed(magic);
    struct sim_profile *const p = &sim_this()->sim->profile;
    p->smep = offered & CR4_SMEP, p->smap = offered & CR4_SMAP, p->umip = offered & CR4_UMIP;
    mach_cr4_write(mach_cr4_read() | cr4);
    return user(c);
}

#define PROTECTIONS (CR4_SMEP | CR4_SMAP | CR4_UMIP)
static struct resume *boot_protected(u32 magic, u64 info) { return protection(magic, PROTECTIONS, PROTECTIONS); }
static struct resume *boot_no_smep(u32 magic, u64 info) { return protection(magic, CR4_SMAP | CR4_UMIP, PROTECTIONS); }
static struct resume *boot_no_smap(u32 magic, u64 info) { return protection(magic, CR4_SMEP | CR4_UMIP, PROTECTIONS); }
static struct resume *boot_no_umip(u32 magic, u64 info) { return protection(magic, CR4_SMEP | CR4_SMAP, PROTECTIONS); }
static struct resume *boot_none_offered(u32 magic, u64 info) { return protection(magic, 0, 0); }

static struct resume *boot_no_wp(u32 magic, u64 info)
{
    struct micro_cpu *const c = start_zeroed(magic);
    mach_cr0_write(mach_cr0_read() & ~CR0_WP);
    return user(c);
}

static struct resume *boot_no_nxe(u32 magic, u64 info)
{
    struct micro_cpu *const c = start_zeroed(magic);
    mach_msr_write(MSR_EFER, mach_msr_read(MSR_EFER) & ~EFER_NXE);
    return user(c);
}

/* ---- Traps ---- */

static struct resume *trap_same(void *cpu, u64 trap, u64 info) { return cpu; }

/* User level may get back what it had, in any register. */
static struct resume *trap_moves(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *const c = cpu;
    c->resume.gpr[RDX] = c->resume.gpr[R9];
    return &c->resume;
}

static struct resume *trap_invents(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *const c = cpu;
    c->resume.gpr[RDX] = c->resume.gpr[R9] + 8;
    return &c->resume;
}

/* What a kernel that forgets to set a variable would return. */
static __attribute__((noinline)) u64 of_the_stack(void)
{
    u64 word[256];
    __asm__("" : "=m"(word));
    return word[128];
}

static struct resume *trap_forgets(void *cpu, u64 trap, u64 info)
{
    ((struct micro_cpu *)cpu)->resume.gpr[RDX] = of_the_stack();
    return cpu;
}

static struct resume *fetch(void *cpu, u64 first, u64 second)
{
    u64 word[2];
    mach_copy(word, at(PAGE + first), sizeof(word));
    mach_copy(word, at(PAGE + second), sizeof(word));
    return cpu;
}

void __tsan_read8(void *a);

static struct resume *trap_fetches_twice(void *cpu, u64 trap, u64 info) { return fetch(cpu, 64, 72); }
static struct resume *trap_fetches_into(void *cpu, u64 trap, u64 info) { return fetch(cpu, -8ul, 0); }
static struct resume *trap_fetches_before(void *cpu, u64 trap, u64 info) { return fetch(cpu, -16ul, 0); }
static struct resume *trap_fetches_once(void *cpu, u64 trap, u64 info) { return fetch(cpu, 64, 80); }

static struct resume *trap_reads_twice(void *cpu, u64 trap, u64 info)
{
    atomic_load((atomic_u64 *)at(PAGE + 64));
    __tsan_read8(at(PAGE + 64));
    return cpu;
}

/* Nobody but the kernel has written there. */
static struct resume *trap_reads_own(void *cpu, u64 trap, u64 info)
{
    mach_mem_state(at(PAGE + PAGE_SIZE), PAGE_SIZE, MEM_LIVE);
    return fetch(cpu, PAGE_SIZE, PAGE_SIZE);
}

#define BOOT(name, boot, trap)                                                                                         \
    static void name(struct rule_scene *x)                                                                             \
    {                                                                                                                  \
        rule_scene_boot(x, boot, trap);                                                                                \
        assert_true(sim_result(x->booted)->end == SIM_STOPPED || sim_result(x->booted)->end == SIM_FINDING);           \
    }
BOOT(protected, boot_protected, trap_same) BOOT(no_smep, boot_no_smep, trap_same) BOOT(no_smap, boot_no_smap, trap_same)
BOOT(no_umip, boot_no_umip, trap_same) BOOT(none_offered, boot_none_offered, trap_same) BOOT(no_wp, boot_no_wp, trap_same)
BOOT(no_nxe, boot_no_nxe, trap_same) BOOT(stack_address, boot_stack_address, trap_same) BOOT(below, boot_below, trap_same)
BOOT(pattern, boot_pattern, trap_same) BOOT(moves, boot_zeroed, trap_moves) BOOT(invents, boot_zeroed, trap_invents)
BOOT(forgets, boot_zeroed, trap_forgets) BOOT(not_zeroed, boot_not_zeroed, trap_same) BOOT(half_zeroed, boot_half_zeroed, trap_same)
BOOT(zeroed, boot_zeroed, trap_same) BOOT(page_address, boot_page_address, trap_same) BOOT(page_below, boot_page_below, trap_same)
BOOT(elsewhere, boot_elsewhere, trap_same) BOOT(fetches_twice, boot_zeroed, trap_fetches_twice) BOOT(fetches_once, boot_zeroed, trap_fetches_once)
BOOT(fetches_into, boot_zeroed, trap_fetches_into) BOOT(fetches_before, boot_zeroed, trap_fetches_before)
BOOT(reads_twice, boot_zeroed, trap_reads_twice) BOOT(reads_own, boot_zeroed, trap_reads_own)

RULE_TABLE(rule_exposed, SCENE_UNIT(SIM_NONE),
    { RULE_CR_PROTECT, no_smep, protected },
    { RULE_CR_PROTECT, no_smap, none_offered },
    { RULE_CR_PROTECT, no_umip, protected },
    { RULE_CR_PROTECT, no_wp, protected },
    { RULE_CR_PROTECT, no_nxe, protected },
    { RULE_LEAK_REGISTER, stack_address, below },
    { RULE_LEAK_REGISTER, pattern, below },
    { RULE_LEAK_REGISTER, invents, moves },
    { RULE_LEAK_REGISTER, forgets, moves },
    { RULE_LEAK_PAGE, not_zeroed, zeroed },
    { RULE_LEAK_PAGE, half_zeroed, elsewhere },
    { RULE_LEAK_PAGE, page_address, page_below },
    { RULE_FETCH_TWICE, fetches_twice, fetches_once },
    { RULE_FETCH_TWICE, fetches_into, fetches_before },
    { RULE_FETCH_TWICE, reads_twice, reads_own });
