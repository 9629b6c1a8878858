/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of the library that are replaced at link time (--wrap, list in file wrap). Each runs in the middle of an instruction; to
 * leave it, it unwinds to the run loop with the address it would have returned to, which makes the library restore RIP exactly. */
#include "abi/hypercall.h"
#include "abi/vcpu.h"
#include "coherence.h"
#include "core.h"
#include "machine.h"

#define RFLAGS_IF        0x200u
#define RETURN_ADDRESS() ((uintptr_t)__builtin_return_address(0))

/* ---- Translation ---- */

struct MemoryRegion *__real_memory_mapping(uc_engine *uc, u64 address);
struct MemoryRegion *__wrap_memory_mapping(uc_engine *uc, u64 address);
bool __wrap_x86_cpu_tlb_fill_x86_64(void *cpu, u64 linear, int bytes, int access, int mmu, bool probe, uintptr_t host_pc);

/* The library asks by linear address whether there is memory: our MMU has decided that already. */
struct MemoryRegion *__wrap_memory_mapping(uc_engine *uc, u64 address)
{
    struct core *c = core_running();
    if (!c)
        return __real_memory_mapping(uc, address);
    if (!c->region)
        c->region = __real_memory_mapping(uc, 0);
    return c->region;
}

/* A page is executable in the library's TLB only if its frame is known to be executed here: see coherence.h. */
static int protection(struct core *c, const struct core_page *page, u32 access)
{
    struct coherence *k = c->coherence;
    int bits = page->rights & RIGHT_R ? LIB_READ : 0;
    if (page->rights & RIGHT_W)
        bits |= LIB_WRITE;
    if (page->rights & RIGHT_X && (access == RIGHT_X || !k || coherence_executes(k, c, page->frame)))
        bits |= LIB_EXEC;
    if (k && bits & LIB_WRITE)
        coherence_write(k, c, page->frame);
    if (k && bits & LIB_EXEC)
        coherence_execute(k, c, page->frame);
    return bits;
}

bool __wrap_x86_cpu_tlb_fill_x86_64(void *cpu, u64 linear, int bytes, int access, int mmu, bool probe, uintptr_t host_pc)
{
    static const u32 right[] = {[LIB_ACCESS_LOAD] = RIGHT_R, [LIB_ACCESS_STORE] = RIGHT_W, [LIB_ACCESS_FETCH] = RIGHT_X};
    struct core *c = core_running();
    struct core_page page = {0};
    c->cpu = cpu;
    const enum core_answer answer = c->client->translate(c->arg, linear, right[access], (enum core_mode)mmu, &page);
    core_continue(c);
    switch (answer) {
    case CORE_OK:
        break;
    case CORE_FAULT:
        if (probe)
            return false;
        core_raise(c, page.vector, page.error, linear, host_pc);
    case CORE_LEAVE:
        if (probe)
            return false;
        c->stop = (struct core_stop){.address = linear, .delivering = c->delivering};
        core_leave(c, STOP_CLIENT, host_pc);
    }
    const int bits = protection(c, &page, right[access]);
    tlb_set_page_with_attrs_x86_64(cpu, linear & ~PAGE_MASK, page.frame << PAGE_BITS, 0, bits, mmu, PAGE_SIZE);
    if (c->coherence && bits & LIB_WRITE && !(bits & LIB_EXEC) && !coherence_executes(c->coherence, c, page.frame))
        tlb_set_dirty_x86_64(cpu, linear & ~PAGE_MASK);
    return true;
}

/* ---- Run loop ---- */

void __real_x86_cpu_exec_enter_x86_64(void *cpu);
void __wrap_x86_cpu_exec_enter_x86_64(void *cpu);
void __real_tcg_tb_insert_x86_64(void *tcg, struct lib_block *block);
void __wrap_tcg_tb_insert_x86_64(void *tcg, struct lib_block *block);

/* An event to be delivered becomes the pending exception of the run that begins. */
void __wrap_x86_cpu_exec_enter_x86_64(void *cpu)
{
    struct core *c = core_running();
    __real_x86_cpu_exec_enter_x86_64(cpu);
    if (c && c->event)
        *c->exception_index = (s32)(LIB_DELIVER | (c->event & 0xff));
}

void __wrap_tcg_tb_insert_x86_64(void *tcg, struct lib_block *block)
{
    struct core *c = core_running();
    if (c)
        c->translator = tcg;
    __real_tcg_tb_insert_x86_64(tcg, block);
}

/* Called by the translated code at the start of each block of instructions: counts them, and is the place to stop between two. */
void core_block(uc_engine *uc, u64 address, u32 bytes, void *arg)
{
    struct core *c = arg;
    const uintptr_t host_pc = RETURN_ADDRESS();
    const u32 slot = (u32)(host_pc >> 4) % array_size(c->block);
    if (!c->exception_index) {   /* the probe of core.c; if its functions are not the ones called, it must end all the same */
        if (++c->executed > 100)
            (void)!uc_emu_stop(uc);
        return;
    }
    if (c->executed >= c->budget)
        core_leave(c, STOP_SLICE, host_pc);
    if (c->window && c->env->rflags & RFLAGS_IF && !(c->env->hflags & LIB_SHADOW))
        core_leave(c, STOP_WINDOW, host_pc);
    if (c->block[slot].host_pc != host_pc) {
        const struct lib_block *block = tcg_tb_lookup_x86_64(c->translator, host_pc);
        c->block[slot].host_pc = host_pc;
        c->block[slot].instructions = block ? block->instructions : 1;
    }
    c->executed += c->block[slot].instructions;
}

/* ---- Intercepts ---- */

void __wrap_cpu_svm_check_intercept_param_x86_64(struct lib_env *env, u32 code, u64 info, uintptr_t host_pc);
void __wrap_helper_svm_check_intercept_param_x86_64(struct lib_env *env, u32 code, u64 info);
void __wrap_helper_raise_interrupt_x86_64(struct lib_env *env, int vector, int bytes);
void __wrap_helper_syscall_x86_64(struct lib_env *env, int bytes);

/* Not intercepted: the descriptor tables (0x66..0x6d), PUSHF, POPF, IRET, PAUSE run as they are. */
static bool passes(u32 code)
{
    return (code >= INTERCEPT_IDTR_READ && code < INTERCEPT_RDTSC) || (code >= INTERCEPT_PUSHF && code <= INTERCEPT_IRET && code != INTERCEPT_CPUID) ||
           code == INTERCEPT_PAUSE || code == INTERCEPT_ICEBP;
}

static void intercept(struct lib_env *env, u32 code, u64 info, uintptr_t host_pc)
{
    struct core *c = core_running();
    if (!c || !c->exception_index || passes(code))
        return;
    if (c->pass == code + 1) {
        c->pass = 0;
        return;
    }
    env->hflags |= LIB_GUEST;   /* a fault may have interrupted a delivery */
    if (code >= INTERCEPT_EXCEPTION && code < INTERCEPT_EXCEPTION + 32)
        core_raise(c, code - INTERCEPT_EXCEPTION, (u32)info, 0, host_pc);
    c->stop = (struct core_stop){.code = code};
    core_leave(c, STOP_INTERCEPT, host_pc);
}

void __wrap_cpu_svm_check_intercept_param_x86_64(struct lib_env *env, u32 code, u64 info, uintptr_t host_pc)
{
    intercept(env, code, info, host_pc);
}

void __wrap_helper_svm_check_intercept_param_x86_64(struct lib_env *env, u32 code, u64 info)
{
    intercept(env, code, info, RETURN_ADDRESS());
}

void __wrap_helper_raise_interrupt_x86_64(struct lib_env *env, int vector, int bytes)
{
    struct core *c = core_running();
    c->stop = (struct core_stop){.vector = (u32)vector, .bytes = (u32)bytes};
    core_leave(c, STOP_INT, RETURN_ADDRESS());
}

void __wrap_helper_syscall_x86_64(struct lib_env *env, int bytes)
{
    struct core *c = core_running();
    c->stop = (struct core_stop){.bytes = (u32)bytes};
    core_leave(c, STOP_SYSCALL, RETURN_ADDRESS());
}

/* Instructions with an operand the client wants to see. */
void __wrap_helper_invlpg_x86_64(struct lib_env *env, u64 linear);
void __wrap_helper_lmsw_x86_64(struct lib_env *env, u64 value);

void __wrap_helper_invlpg_x86_64(struct lib_env *env, u64 linear)
{
    struct core *c = core_running();
    c->stop = (struct core_stop){.address = linear};
    core_leave(c, STOP_INVLPG, RETURN_ADDRESS());
}

void __wrap_helper_lmsw_x86_64(struct lib_env *env, u64 value)
{
    struct core *c = core_running();
    c->stop = (struct core_stop){.address = value};
    core_leave(c, STOP_LMSW, RETURN_ADDRESS());
}

/* ---- CPUID, RDTSC: the client executes them or has them intercepted ---- */

void __wrap_helper_cpuid_x86_64(struct lib_env *env);
void __wrap_helper_rdtsc_x86_64(struct lib_env *env);
void __wrap_helper_rdtscp_x86_64(struct lib_env *env);

static void execute(struct lib_env *env, u32 code, uintptr_t host_pc)
{
    struct core *c = core_running();
    c->env = env;
    const bool executed = c->client->execute(c->arg, code);
    core_continue(c);
    if (executed)
        return;
    c->stop = (struct core_stop){.code = code};
    core_leave(c, STOP_INTERCEPT, host_pc);
}

void __wrap_helper_cpuid_x86_64(struct lib_env *env)
{
    execute(env, INTERCEPT_CPUID, RETURN_ADDRESS());
}

void __wrap_helper_rdtsc_x86_64(struct lib_env *env)
{
    execute(env, INTERCEPT_RDTSC, RETURN_ADDRESS());
}

void __wrap_helper_rdtscp_x86_64(struct lib_env *env)
{
    execute(env, INTERCEPT_RDTSC, RETURN_ADDRESS());
    env->gpr[RCX] = (u32)core_running()->msrs->tsc_aux;
}

/* ---- Ports: the library does not even check the privilege ---- */

static void port(u32 number, u32 bytes, bool in, uintptr_t host_pc) __attribute__((noreturn));
static void port(u32 number, u32 bytes, bool in, uintptr_t host_pc)
{
    struct core *c = core_running();
    c->stop = (struct core_stop){.port = (u16)number, .bytes = bytes, .in = in};
    core_leave(c, STOP_IO, host_pc);
}

#define WRAP_PORT(suffix, bytes)                                                                     \
    u64 __wrap_helper_in##suffix##_x86_64(struct lib_env *env, u32 number);                          \
    u64 __wrap_helper_in##suffix##_x86_64(struct lib_env *env, u32 number)                           \
    {                                                                                                \
        port(number, bytes, true, RETURN_ADDRESS());                                                 \
    }                                                                                                \
    void __wrap_helper_out##suffix##_x86_64(struct lib_env *env, u32 number, u32 value);             \
    void __wrap_helper_out##suffix##_x86_64(struct lib_env *env, u32 number, u32 value)              \
    {                                                                                                \
        port(number, bytes, false, RETURN_ADDRESS());                                                \
    }
WRAP_PORT(b, 1)
WRAP_PORT(w, 2)
WRAP_PORT(l, 4)
