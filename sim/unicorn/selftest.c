/* SPDX-License-Identifier: BSD-2-Clause */
/* The start-up self-test: every assumption about the library, proved on a core with 2 MiB of memory of its own. Small programs run in the
 * three modes; each must stop where and as told. Nothing of it survives. */
#include <string.h>
#include "abi/hypercall.h"
#include "abi/vcpu.h"
#include "core.h"
#include "machine.h"

#define CODE   0x10000u
#define STACK  0x20000u
#define IDT    0x30000u
#define GDT    0x31000u
#define OUTER  0x40000000ul   /* linear addresses from here on are not present */
#define HANDLER 0x18000u

enum mode { REAL, LONG_KERNEL, LONG_USER };

static enum core_answer translate(void *arg, u64 linear, u32 access, enum core_mode mode, struct core_page *page)
{
    *page = (struct core_page){.frame = linear >> PAGE_BITS, .rights = RIGHT_MEMORY, .vector = 14, .error = access == RIGHT_W ? 2 : 0};
    return linear < OUTER ? CORE_OK : CORE_FAULT;
}

/* RAX says that this was called: with 1 in R8 the instruction counts as executed. */
static bool execute(void *arg, u32 code)
{
    struct core *c = arg;
    c->env->gpr[RAX] = code;
    return c->env->gpr[R8];
}
static const struct core_client client = {translate, execute};

static void set_mode(struct core *c, enum mode mode)
{
    struct lib_env *env = c->env;
    const bool wide = mode != REAL;
    memset(env->gpr, 0, sizeof(env->gpr));
    env->rflags = 2;
    env->rip = wide ? CODE : 0;
    env->gpr[RSP] = wide ? STACK : 0x8000;
    env->gpr[RBX] = OUTER + 0x123;
    const u32 dpl = mode == LONG_USER ? 0x6000 : 0;
    for (u32 i = 0; i < 6; i++)
        env->seg[i] = (struct lib_segment){.selector = 0x10, .limit = wide ? ~0u : 0xffff, .flags = (wide ? 0xcf9300 : 0x9300) | dpl};
    env->seg[VCPU_SEG_CS] = (struct lib_segment){.selector = wide ? 8 : CODE >> 4, .base = wide ? 0 : CODE, .limit = wide ? ~0u : 0xffff,
                                                 .flags = (wide ? 0xaf9b00 : 0x9b00) | dpl};
    env->seg[VCPU_SEG_SS].base = 0;
    env->tr = (struct lib_segment){.flags = 0x8b00};
    env->gdtr = (struct lib_segment){.base = GDT, .limit = 0x17};
    env->idtr = (struct lib_segment){.base = wide ? IDT : 0, .limit = 0xfff};
    env->cr[0] = wide ? 0x80000033 : 0x10;
    env->cr[4] = wide ? 0x620 : 0;
    env->efer = wide ? 0x501 : 0;
    env->a20_mask = -1;
    env->hflags = wide ? LIB_CS32 | LIB_SS32 | LIB_PE | LIB_LMA | LIB_CS64 | 2u << LIB_CR0_SHIFT | LIB_OSFXSR : LIB_ADDSEG;
    env->hflags |= mode == LONG_USER ? 3 : 0;
}

/* Put code there as if somebody else had: the core has to be told. */
static void put(struct core *c, u32 address, const void *code, u32 bytes)
{
    memcpy(c->ram + address, code, bytes);
    tb_invalidate_phys_range_x86_64(c->uc, address & ~PAGE_MASK, (address & ~PAGE_MASK) + PAGE_SIZE);
}

static void start(struct core *c, enum mode mode, const void *code, u32 bytes, u64 event)
{
    u8 page[64];
    memset(page, 0xf4, sizeof(page));   /* HLT wherever a program runs on */
    memcpy(page, code, bytes);
    put(c, CODE, page, sizeof(page));
    set_mode(c, mode);
    c->event = event;
    c->event_bytes = 0;
    core_run(c, 1000);
}

static const struct probe {
    const char *what;
    enum mode mode;
    u8 bytes, at;          /* of the code; where it must stop */
    u8 code[14];
    enum core_stop_kind kind;
    u32 value;             /* intercept, vector, port */
} probes[] = {
        {"CPUID", LONG_KERNEL, 3, 1, {0x90, 0x0f, 0xa2}, STOP_INTERCEPT, INTERCEPT_CPUID},
        {"HLT", LONG_KERNEL, 2, 1, {0x90, 0xf4}, STOP_INTERCEPT, INTERCEPT_HLT},
        {"RDMSR", LONG_KERNEL, 3, 1, {0x90, 0x0f, 0x32}, STOP_INTERCEPT, INTERCEPT_MSR},
        {"RDTSC", LONG_KERNEL, 3, 1, {0x90, 0x0f, 0x31}, STOP_INTERCEPT, INTERCEPT_RDTSC},
        {"MOV from CR3", LONG_KERNEL, 4, 1, {0x90, 0x0f, 0x20, 0xd8}, STOP_INTERCEPT, INTERCEPT_CR_READ + 3},
        {"MOV to CR4", LONG_KERNEL, 4, 1, {0x90, 0x0f, 0x22, 0xe0}, STOP_INTERCEPT, INTERCEPT_CR_WRITE + 4},
        {"MOV to DR7", LONG_KERNEL, 4, 1, {0x90, 0x0f, 0x23, 0xf8}, STOP_INTERCEPT, INTERCEPT_DR_WRITE + 7},
        {"CLTS", LONG_KERNEL, 3, 1, {0x90, 0x0f, 0x06}, STOP_INTERCEPT, INTERCEPT_CR_WRITE},
        {"INVLPG", LONG_KERNEL, 4, 1, {0x90, 0x0f, 0x01, 0x3b}, STOP_INVLPG, 0},
        {"IN", LONG_KERNEL, 3, 1, {0x90, 0xe4, 0x60}, STOP_IO, 0x60},
        {"16-bit IN", LONG_KERNEL, 4, 1, {0x90, 0x66, 0xe5, 0x60}, STOP_IO, 0x60},
        {"32-bit IN", LONG_KERNEL, 3, 1, {0x90, 0xe5, 0x60}, STOP_IO, 0x60},
        {"16-bit OUT", LONG_KERNEL, 4, 1, {0x90, 0x66, 0xe7, 0x60}, STOP_IO, 0x60},
        {"32-bit OUT", LONG_KERNEL, 3, 1, {0x90, 0xe7, 0x60}, STOP_IO, 0x60},
        {"REP INSB", LONG_KERNEL, 7, 5, {0xb9, 3, 0, 0, 0, 0xf3, 0x6c}, STOP_IO, 0},
        {"OUT", REAL, 3, 1, {0x90, 0xe6, 0x80}, STOP_IO, 0x80},
        {"SYSCALL", LONG_USER, 3, 1, {0x90, 0x0f, 0x05}, STOP_SYSCALL, 0},
        {"INT 0x80", LONG_USER, 3, 1, {0x90, 0xcd, 0x80}, STOP_INT, 0x80},
        {"INT3 in real mode", REAL, 2, 1, {0x90, 0xcc}, STOP_INT, 3},
        {"CLI in user mode", LONG_USER, 2, 1, {0x90, 0xfa}, STOP_EXCEPTION, 13},
        {"HLT in user mode", LONG_USER, 2, 1, {0x90, 0xf4}, STOP_EXCEPTION, 13},
        {"MOV CR in user mode", LONG_USER, 4, 1, {0x90, 0x0f, 0x20, 0xc0}, STOP_EXCEPTION, 13},
        {"OUT in user mode", LONG_USER, 3, 1, {0x90, 0xe6, 0x80}, STOP_IO, 0x80},
        {"UD2", LONG_USER, 3, 1, {0x90, 0x0f, 0x0b}, STOP_EXCEPTION, 6},
        {"VMCALL", LONG_KERNEL, 4, 1, {0x90, 0x0f, 0x01, 0xc1}, STOP_EXCEPTION, 6},
        {"VMMCALL", LONG_KERNEL, 4, 1, {0x90, 0x0f, 0x01, 0xd9}, STOP_EXCEPTION, 6},
        {"DIV by zero", LONG_USER, 4, 2, {0x31, 0xc9, 0xf7, 0xf1}, STOP_EXCEPTION, 0},
        {"a load that faults", LONG_USER, 4, 1, {0x90, 0x48, 0x8b, 0x03}, STOP_EXCEPTION, 14},
        {"a second fault of the same kind", LONG_USER, 4, 1, {0x90, 0x48, 0x89, 0x03}, STOP_EXCEPTION, 14},
        {"a string store that faults", LONG_KERNEL, 4, 3, {0x48, 0x89, 0xdf, 0xaa}, STOP_EXCEPTION, 14},
        {"16-bit code", REAL, 6, 5, {0xb8, 0x34, 0x12, 0x8e, 0xd8, 0xf4}, STOP_INTERCEPT, INTERCEPT_HLT},
        {"FNINIT and SSE", LONG_USER, 8, 5, {0xdb, 0xe3, 0x0f, 0x28, 0xc1, 0x0f, 0x0b, 0}, STOP_EXCEPTION, 6},
};

static const char *check_probes(struct core *c)
{
    for (u32 i = 0; i < array_size(probes); i++) {
        const struct probe *p = &probes[i];
        start(c, p->mode, p->code, p->bytes, 0);
        const struct core_stop *s = &c->stop;
        const u32 value = s->kind == STOP_INTERCEPT ? s->code : s->kind == STOP_IO ? s->port : s->vector;
        if (s->kind != p->kind || value != p->value || c->env->rip != (p->mode == REAL ? 0 : CODE) + p->at)
            return p->what;
        if (s->kind == STOP_EXCEPTION && s->vector == 14 && s->address != OUTER + 0x123)
            return "the address of a page fault";
    }
    return c->env->seg[VCPU_SEG_DS].selector == 0x10 ? NULL : "segments survive a run";
}

/* RDTSC and RDTSCP that the client executes; LMSW, let through once, which shows its operand. */
static const char *check_execution(struct core *c)
{
    static const u8 rdtsc[] = {0x41, 0xb0, 1, 0x0f, 0x31, 0xf4}, rdtscp[] = {0x41, 0xb0, 1, 0x0f, 0x01, 0xf9, 0xf4};   /* mov r8b, 1; ... */
    static const u8 lmsw[] = {0x66, 0xb8, 0x31, 0, 0x0f, 0x01, 0xf0};                                                   /* mov ax, 0x31; lmsw ax */
    start(c, LONG_KERNEL, rdtsc, sizeof(rdtsc), 0);
    if (c->stop.code != INTERCEPT_HLT || c->env->gpr[RAX] != INTERCEPT_RDTSC)
        return "RDTSC that executes";
    c->msrs->tsc_aux = 77;
    start(c, LONG_KERNEL, rdtscp, sizeof(rdtscp), 0);
    if (c->stop.code != INTERCEPT_HLT || c->env->gpr[RAX] != INTERCEPT_RDTSC || c->env->gpr[RCX] != 77)
        return "RDTSCP that executes";
    c->pass = INTERCEPT_CR_WRITE + 1;
    start(c, LONG_KERNEL, lmsw, sizeof(lmsw), 0);
    return c->stop.kind == STOP_LMSW && (c->stop.address & 0xffff) == 0x31 && c->env->rip == CODE + 4 ? NULL : "the operand of LMSW";
}

static const char *check_counting(struct core *c)
{
    static const u8 loop[] = {0x31, 0xc0, 0xff, 0xc0, 0xeb, 0xfc};   /* xor eax, eax; 1: inc eax; jmp 1b */
    start(c, LONG_USER, loop, sizeof(loop), 0);
    if (c->stop.kind != STOP_SLICE || c->env->rip != CODE + 2 || c->executed != 1001 || c->env->gpr[RAX] != 500)
        return "instruction counts";
    core_run(c, 10);
    return c->stop.kind == STOP_SLICE && c->executed == 10 && c->env->gpr[RAX] == 505 ? NULL : "instruction counts of a second slice";
}

static const char *check_writes(struct core *c)
{
    static const u8 old[] = {0xb8, 1, 0, 0, 0, 0xf4}, fresh[] = {0xb8, 2, 0, 0, 0, 0xf4};
    static const u8 self[] = {0xc6, 0x05, 0x01, 0, 0, 0, 7, 0xb8, 0, 0, 0, 0, 0xf4};   /* mov byte [rip + 1], 7; mov eax, 0 */
    start(c, LONG_KERNEL, old, sizeof(old), 0);
    put(c, CODE, fresh, sizeof(fresh));
    set_mode(c, LONG_KERNEL);
    core_run(c, 100);
    if (c->env->gpr[RAX] != 2)
        return "invalidation of translated instructions";
    start(c, LONG_KERNEL, self, sizeof(self), 0);
    return c->env->gpr[RAX] == 7 ? NULL : "code that overwrites itself";
}

static const char *check_shadow(struct core *c)
{
    static const u8 sti[] = {0xfb, 0x90, 0x90, 0xf4};
    c->window = true;
    start(c, LONG_KERNEL, sti, sizeof(sti), 0);
    c->window = false;
    if (c->stop.kind != STOP_WINDOW || c->env->rip != CODE + 2)
        return "the interrupt shadow of STI";
    static const u8 halt[] = {0xfb, 0xf4};
    start(c, LONG_KERNEL, halt, sizeof(halt), 0);
    return c->stop.kind == STOP_INTERCEPT && c->env->hflags & LIB_SHADOW ? NULL : "the interrupt shadow at an intercept";
}

/* An interrupt gate to HANDLER, and real mode's vector. */
static void fill_idt(struct core *c, u32 vector)
{
    const u32 words[4] = {8u << 16 | HANDLER, 0x8e00 | (HANDLER & 0xffff0000), 0, 0};
    const u64 descriptors[3] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
    memset(c->ram + IDT, 0, PAGE_SIZE);
    memcpy(c->ram + IDT + vector * 16, words, sizeof(words));
    memcpy(c->ram + GDT, descriptors, sizeof(descriptors));
    const u16 real[2] = {0, HANDLER >> 4};
    memcpy(c->ram + vector * 4, real, sizeof(real));
    put(c, HANDLER, "\xf4", 1);
}

static const char *check_delivery(struct core *c)
{
    static const u8 code[] = {0x90, 0x90};
    fill_idt(c, 0x20);
    start(c, LONG_KERNEL, code, sizeof(code), VCPU_EVENT_INTERRUPT(0x20));
    u64 *frame = (u64 *)(c->ram + STACK) - 5;
    if (c->stop.kind != STOP_INTERCEPT || c->env->rip != HANDLER || c->event || frame[0] != CODE || c->env->gpr[RSP] != STACK - 40)
        return "an interrupt through a 64-bit gate";
    start(c, REAL, code, sizeof(code), VCPU_EVENT_INTERRUPT(0x20));
    if (c->env->rip != 0 || c->env->seg[VCPU_SEG_CS].selector != HANDLER >> 4 || c->env->gpr[RSP] != 0x7ffa)
        return "an interrupt through a real-mode vector";
    fill_idt(c, 13);
    start(c, LONG_KERNEL, code, sizeof(code), VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 0x50ul << 32);
    if (c->env->rip != HANDLER || frame[-1] != 0x50)
        return "an exception with an error code";
    start(c, LONG_KERNEL, code, sizeof(code), VCPU_EVENT_INTERRUPT(0x21));   /* its gate is empty */
    if (c->stop.kind != STOP_EXCEPTION || !c->stop.delivering || !c->event || c->env->rip != CODE)
        return "a fault while an event is delivered";
    c->event = 0;
    return NULL;
}

/* What one core overwrites is not executed stale by the other, or by itself, in any order. */
const char *core_selftest_pair(struct core *a, struct core *b)
{
    static const u8 store[] = {0x89, 0x0b, 0xf4}, load[] = {0xb8, 0, 0, 0, 0, 0xf4};   /* mov [rbx], ecx; mov eax, 0 */
    struct core *const pair[] = {a, b};
    memcpy(a->ram + CODE, load, sizeof(load));
    memcpy(a->ram + HANDLER, store, sizeof(store));
    for (u32 i = 1; i < 200; i++) {
        struct core *writer = pair[(i * 7 + i / 13) & 1], *reader = pair[i / 3 & 1];
        writer->client = reader->client = &client;
        set_mode(writer, LONG_KERNEL);
        writer->env->rip = HANDLER;
        writer->env->gpr[RBX] = CODE + 1;
        writer->env->gpr[RCX] = i;
        core_run(writer, 100);
        set_mode(reader, LONG_KERNEL);
        core_run(reader, 100);
        if (reader->env->gpr[RAX] != i)
            return "instructions that another core overwrites";
    }
    return NULL;
}

const char *core_selftest(struct core *c)
{
    const char *why = NULL;
    const char *(*const step[])(struct core *) = {check_probes, check_execution, check_counting, check_writes, check_shadow, check_delivery};
    c->client = &client;
    c->arg = c;
    for (u32 i = 0; i < array_size(step) && !why; i++)
        why = step[i](c);
    return why;
}
