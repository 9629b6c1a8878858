/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a core out of an instance of the library: finds its state by markers written through the public API, and runs it. */
#include "core.h"
#include <stdlib.h>
#include <string.h>
#include "abi/hypercall.h"
#include "coherence.h"
#include "machine.h"

#define ENV_BYTES     16384u           /* markers are searched for in so many bytes of the library's state */
#define OBJECT_BYTES  65536u
#define MARKER        0x5a3c96e1d2b40000ul

static _Thread_local struct core *running;

struct core *core_running(void)
{
    return running;
}

void core_continue(struct core *c)
{
    running = c;
}

void core_leave(struct core *c, enum core_stop_kind kind, uintptr_t host_pc)
{
    c->stop.kind = kind;
    *c->exception_index = LIB_EXIT;
    cpu_loop_exit_restore_x86_64(c->cpu, host_pc);
}

void core_raise(struct core *c, u32 vector, u32 error, u64 address, uintptr_t host_pc)
{
    c->stop = (struct core_stop){.vector = vector, .error = error, .address = address, .delivering = c->delivering};
    core_leave(c, STOP_EXCEPTION, host_pc);
}

void core_flush(struct core *c)
{
    tlb_flush_x86_64(c->cpu);
}

void core_flush_page(struct core *c, u64 linear)
{
    tlb_flush_page_x86_64(c->cpu, linear);
}

/* External interrupts and NMIs push no error code whatever their vector; INT n, INT3 and INTO push the RIP behind them. */
static void deliver(struct core *c, u32 vector)
{
    const u32 type = c->event >> 8 & 7;
    const bool software = type == 4 || type == 6;
    if (type == 0 || type == 2) {
        do_interrupt_x86_hardirq_x86_64(c->env, (int)vector, 1);
        return;
    }
    *c->exception_index = (s32)vector;
    c->exception->is_int = software;
    c->exception->error_code = (s32)(c->event >> 32);
    c->exception->next_eip = c->env->rip + c->event_bytes;
    x86_cpu_do_interrupt_x86_64(c->cpu);
    c->exception->is_int = 0;
}

/* The only interrupt that reaches this hook is our own LIB_DELIVER: inside the run loop, so a fault on the way unwinds properly. */
static void on_interrupt(uc_engine *uc, uint32_t number, void *arg)
{
    struct core *c = arg;
    if (!(number & LIB_DELIVER)) {
        c->stop = (struct core_stop){.code = number, .message = "an exception passed its intercept"};
        core_leave(c, STOP_LIBRARY, 0);
    }
    c->delivering = true;
    c->exception->is_int = 0;
    c->env->hflags &= ~(LIB_GUEST | LIB_SHADOW);   /* with the flag set the library would write to a VMCB */
    deliver(c, number & 0xff);
    c->env->hflags |= LIB_GUEST;
    c->delivering = false;
    c->event = 0;
}

void core_run(struct core *c, u64 budget)
{
    c->budget = budget;
    c->executed = 0;
    c->stop = (struct core_stop){.kind = STOP_LIBRARY, .message = NULL};
    c->delivering = false;
    running = c;
    c->running = true;
    c->env->hflags |= LIB_GUEST;
    const uc_err error = uc_emu_start(c->uc, c->env->rip, 0, 0, 0);
    c->running = false;
    running = NULL;
    c->env->hflags |= LIB_GUEST;
    if (error != UC_ERR_OK)
        c->stop = (struct core_stop){.kind = STOP_LIBRARY, .message = uc_strerror(error)};
    else if (c->stop.kind == STOP_LIBRARY && !c->stop.message)
        c->stop.message = "it stopped for no reason";
}

/* ---- Creation ---- */

static u8 *find(u8 *start, u32 bytes, u64 marker)
{
    for (u32 i = 0; i + 8 <= bytes; i += 8)
        if (*(u64 *)(start + i) == marker)
            return start + i;
    return NULL;
}

static enum core_answer probe_translate(void *arg, u64 linear, u32 access, enum core_mode mode, struct core_page *page)
{
    *page = (struct core_page){.frame = CORE_SCRATCH >> PAGE_BITS, .rights = RIGHT_MEMORY};
    return CORE_OK;
}

static bool probe_execute(void *arg, u32 code)
{
    struct core *c = arg;
    (void)!uc_emu_stop(c->uc);   /* the functions were called, and have noted env and cpu */
    return true;
}

static const struct core_client probe = {probe_translate, probe_execute};

static void msr_write(struct core *c, u32 msr, u64 value)
{
    uc_x86_msr m = {.rid = msr, .value = value};
    (void)!uc_reg_write(c->uc, UC_X86_REG_MSR, &m);
}

/* Where the exception index stands: two words before the pointer back to the engine. */
static const char *find_index(struct core *c)
{
    u8 *back = find(c->cpu, OBJECT_BYTES, (u64)c->uc);
    if (!back)
        return "its CPU object has no pointer to the engine";
    c->exception_index = (s32 *)(back - 8);
    return NULL;
}

static const char *find_msrs(struct core *c)
{
    static const struct { u32 msr, offset; } list[] = {
            {0x175, offset_of(struct lib_msrs, sysenter_esp)}, {0x176, offset_of(struct lib_msrs, sysenter_eip)},
            {0xc0000081, offset_of(struct lib_msrs, star)},    {0xc0000082, offset_of(struct lib_msrs, lstar)},
            {0xc0000083, offset_of(struct lib_msrs, cstar)},   {0xc0000084, offset_of(struct lib_msrs, fmask)},
            {0xc0000102, offset_of(struct lib_msrs, kernel_gs)}, {0xc0000103, offset_of(struct lib_msrs, tsc_aux)}};
    for (u32 i = 0; i < array_size(list); i++)
        msr_write(c, list[i].msr, MARKER + i);
    u8 *star = find((u8 *)c->env, ENV_BYTES, MARKER + 2);
    if (!star)
        return "its system-call MSRs were not found";
    c->msrs = (struct lib_msrs *)(star - offset_of(struct lib_msrs, star));
    for (u32 i = 0; i < array_size(list); i++)
        if (*(u64 *)((u8 *)c->msrs + list[i].offset) != MARKER + i)
            return "its system-call MSRs lie elsewhere";
    memset(c->msrs, 0, sizeof(*c->msrs));
    return NULL;
}

static const char *find_debug_and_vectors(struct core *c)
{
    u64 marker[2] = {MARKER + 0x100, MARKER + 0x101};
    (void)!uc_reg_write(c->uc, UC_X86_REG_DR0, &marker[0]);
    (void)!uc_reg_write(c->uc, UC_X86_REG_DR1, &marker[1]);
    u8 *dr = find((u8 *)c->env, ENV_BYTES, marker[0]);
    if (!dr || *(u64 *)(dr + 8) != marker[1])
        return "its debug registers were not found";
    c->exception = (struct lib_exception *)(dr - offset_of(struct lib_exception, dr));
    memset(c->exception->dr, 0, 4 * sizeof(u64));
    u64 xmm[2][2] = {{MARKER + 0x200, 1}, {MARKER + 0x20f, 2}};
    (void)!uc_reg_write(c->uc, UC_X86_REG_XMM0, xmm[0]);
    (void)!uc_reg_write(c->uc, UC_X86_REG_XMM15, xmm[1]);
    c->xmm = find((u8 *)c->env, ENV_BYTES, xmm[0][0]);
    if (!c->xmm || *(u64 *)(c->xmm + 15 * LIB_XMM_STRIDE) != xmm[1][0])
        return "its SSE registers were not found";
    return NULL;
}

/* The prefix of the state that layout.h spells out. */
static const char *check_prefix(struct core *c)
{
    const int names[] = {UC_X86_REG_RAX, UC_X86_REG_RSP, UC_X86_REG_R15, UC_X86_REG_RIP, UC_X86_REG_CR3};
    const u64 *places[] = {&c->env->gpr[RAX], &c->env->gpr[RSP], &c->env->gpr[R15], &c->env->rip, &c->env->cr[3]};
    for (u32 i = 0; i < array_size(names); i++) {
        u64 value = (MARKER & 0xffffffffu) + i * PAGE_SIZE;
        (void)!uc_reg_write(c->uc, names[i], &value);
        if (*places[i] != value)
            return "its registers lie elsewhere";
    }
    uc_x86_mmr table = {.selector = 0x28, .base = MARKER + 0x300, .limit = 0x1234, .flags = 0x8b00};
    const int tables[] = {UC_X86_REG_LDTR, UC_X86_REG_TR, UC_X86_REG_GDTR, UC_X86_REG_IDTR};
    const struct lib_segment *segments[] = {&c->env->ldtr, &c->env->tr, &c->env->gdtr, &c->env->idtr};
    for (u32 i = 0; i < array_size(tables); i++) {
        table.base++;
        (void)!uc_reg_write(c->uc, tables[i], &table);
        if (segments[i]->base != table.base || segments[i]->limit != table.limit)
            return "its descriptor-table registers lie elsewhere";
    }
    c->env->cr[3] = 0;
    return NULL;
}

/* The model of its CPU lacks bits that decide which instructions it decodes: x87, TSC, MSR, PAE, PSE, SEP, PGE, POPCNT, NX, SYSCALL. */
static const char *widen_features(struct core *c)
{
    u8 *features = find((u8 *)c->env, ENV_BYTES, 0x07088100u);
    if (!features || *(u64 *)(features + 8) != 0x02182200u)
        return "its feature words were not found";
    u64 *f = (u64 *)features;
    f[0] = 0x178bfbff;
    f[1] |= 0x00a02001u;
    f[6] = 0x2c100800u | (f[0] & 0x0183f3ffu);
    return NULL;
}

static const char *probe_state(struct core *c)
{
    c->client = &probe;
    c->arg = c;
    c->budget = ~0ul;
    running = c;
    const uc_err error = uc_emu_start(c->uc, CORE_SCRATCH_CODE, 0, 0, 0);
    running = NULL;
    if (error != UC_ERR_OK || !c->cpu || !c->env)
        return "its functions were not replaced";
    const char *why = NULL;
    const char *(*const step[])(struct core *) = {find_index, check_prefix, find_msrs, find_debug_and_vectors, widen_features};
    for (u32 i = 0; i < array_size(step) && !why; i++)
        why = step[i](c);
    core_flush(c);
    return why;
}

/* Only ever read: the accessed bits are set. */
static struct {
    u64 gdt[CORE_SCRATCH_CODE / 8];
    u8 code[PAGE_SIZE - CORE_SCRATCH_CODE];
} scratch aligned_to(PAGE_SIZE) = {
        .gdt = {[4] = 0x00cff3000000ffff, [5] = 0x00affb000000ffff},
        .code = {0x0f, 0xa2, 0xeb, 0xfe},   /* CPUID; jump to itself: for the probe */
};
static_assert(sizeof(scratch) == PAGE_SIZE, "one page");

struct core *core_create(u8 *ram, u64 ram_bytes, const char **why)
{
    struct core *c = calloc(1, sizeof(*c));
    *why = "no memory";
    if (!c)
        return NULL;
    c->ram = ram;
    c->frames = ram_bytes >> PAGE_BITS;
    *why = "uc_open or uc_mem_map_ptr failed";
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &c->uc) != UC_ERR_OK || uc_ctl_exits_enable(c->uc) != UC_ERR_OK ||
        uc_mem_map_ptr(c->uc, 0, ram_bytes, UC_PROT_ALL, ram) != UC_ERR_OK ||
        uc_mem_map_ptr(c->uc, CORE_SCRATCH, PAGE_SIZE, UC_PROT_ALL, &scratch) != UC_ERR_OK ||
        uc_hook_add(c->uc, &c->hook[0], UC_HOOK_INTR, (void *)on_interrupt, c, 1, 0) != UC_ERR_OK ||
        uc_hook_add(c->uc, &c->hook[1], UC_HOOK_BLOCK, (void *)core_block, c, 1, 0) != UC_ERR_OK) {
        core_destroy(c);
        return NULL;
    }
    *why = probe_state(c);
    if (*why) {
        core_destroy(c);
        return NULL;
    }
    return c;
}

void core_destroy(struct core *c)
{
    if (c->uc)
        uc_close(c->uc);
    free(c);
}
