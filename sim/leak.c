/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules LEAK: at each resume no register, and no page of the kernel's that this address space sees, holds an address of the kernel's memory or
 * the pattern of memory that nobody wrote. A kernel address that user level had in a register of its own may come back. */
#include "exposed.h"

#define STACK_WORDS 1024u   /* what a trap uses is less */

static __attribute__((noinline)) void stack_fill(void)
{
    u32 word[STACK_WORDS];
    for (u32 i = 0; i < STACK_WORDS; i++)
        word[i] = EXPOSED_PATTERN;
    __asm__ volatile("" : : "m"(word));   /* somebody looks at them */
}

static bool is_address(const struct sim *s, u64 value)
{
    return value - (u64)s->map < s->map_bytes;
}

static bool is_known(const struct exposed *e, u64 value)
{
    bool known = e->values == EXPOSED_VALUES;
    for (u32 i = 0; i < e->values; i++)
        known |= e->value[i] == value;
    return known;
}

static bool is_leak(const struct sim *s, const struct exposed *e, u64 value)
{
    if ((u32)value == EXPOSED_PATTERN || value >> 32 == EXPOSED_PATTERN)
        return true;
    return is_address(s, value) && !is_known(e, value);
}

void leak_trap(struct sim_cpu *cpu, const struct resume *r)
{
    struct exposed *const e = exposed_judged(cpu->sim);
    if (!e)
        return;
    for (u32 i = 0; r && i < array_size(r->gpr); i++)
        if (is_address(cpu->sim, r->gpr[i]) && !is_known(e, r->gpr[i]))
            e->value[e->values++] = r->gpr[i];
    stack_fill();
}

static void check_registers(const struct sim_cpu *cpu, const struct exposed *e, const struct resume *r)
{
    for (u32 i = 0; i < array_size(r->gpr); i++)
        if (is_leak(cpu->sim, e, r->gpr[i]))
            sim_broken(RULE_LEAK_REGISTER, "CPU %u: resumed with register %u = 0x%lx, which user level did not have", cpu->id, i, r->gpr[i]);
}

static void check_page(const struct sim_cpu *cpu, const struct exposed *e, u64 phys)
{
    const struct sim *s = cpu->sim;
    const u64 *const word = (const u64 *)(s->ram + phys);
    const u32 *const half = (const u32 *)(s->ram + phys);
    const u32 first = (u32)((u64)s->map >> 32), span = (u32)(((u64)s->map + s->map_bytes) >> 32) - first;
    u32 suspect = 0;   /* a page without one is left at once: this is the hot loop */
    for (u32 i = 0; i < PAGE_SIZE / 4; i++)
        suspect |= (u32)(half[i] == EXPOSED_PATTERN) | (u32)(half[i] - first <= span);
    for (u32 i = 0; suspect && i < PAGE_SIZE / 8; i++)
        if (is_leak(s, e, word[i]))
            sim_broken(RULE_LEAK_PAGE, "CPU %u: a page of the kernel that user level sees holds 0x%lx at byte 0x%x", cpu->id, word[i], 8 * i);
}

void leak_resume(struct sim_cpu *cpu, const struct resume *r)
{
    const struct exposed *const e = exposed_judged(cpu->sim);
    if (!e || r->kind > RESUME_GUEST_SVM)
        return;
    check_registers(cpu, e, r);
    for (u32 i = 0; r->kind == RESUME_USER && i < e->pages; i++)
        if (e->page[i].phys && e->page[i].root == cpu->cr3)
            check_page(cpu, e, e->page[i].phys);
}
