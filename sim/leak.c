/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules LEAK: at each resume no register, and no page of the kernel's that this address space sees, holds an address of the kernel's memory or
 * the pattern of memory that nobody wrote. A kernel address that user level had in a register of its own may come back. */
#include <string.h>
#include <wchar.h>
#include "exposed.h"

#define STACK_WORDS 1024u   /* what a trap uses is less */
static_assert(sizeof(wchar_t) == 4, "libc's searches and fills of wide characters, the fastest this processor has, are those of half words");

static __attribute__((noinline)) void stack_fill(void)
{
    u32 word[STACK_WORDS];
    wmemset((wchar_t *)word, (wchar_t)EXPOSED_PATTERN, STACK_WORDS);
    __asm__ volatile("" : : "m"(word));   /* somebody looks at them */
}

/* Upper halves of addresses of the machine's mapping, from the first to the last. */
static u32 high_first(const struct sim *s)
{
    return (u32)((u64)s->map >> 32);
}

static u32 high_last(const struct sim *s)
{
    return (u32)(((u64)s->map + s->map_bytes - 1) >> 32);
}

typedef u32 halves __attribute__((vector_size(16)));

/* False: no register holds the pattern or an address. Nearly always: this is the hot path. */
static inline bool is_suspect(const struct sim *s, const struct resume *r)
{
    const u32 first = high_first(s), varying = first ^ high_last(s);
    const halves same = (halves){ 0 } + (varying ? ~0u << (32 - __builtin_clz(varying)) : ~0u), high = (halves){ 0 } + (first & same[0]);
    halves found = { 0 };
    u64 either[2];
    for (u64 at = 0; at < sizeof(r->gpr); at += sizeof(halves)) {
        halves h;
        memcpy(&h, (const u8 *)r->gpr + at, sizeof(h));
        found |= (halves)(h == EXPOSED_PATTERN) | (halves)((h & same) == high);
    }
    memcpy(either, &found, sizeof(either));
    return either[0] | either[1];
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

/* What user level knows. */
static void learn(const struct sim *s, struct exposed *e, const struct resume *r)
{
    for (u32 i = 0; i < array_size(r->gpr); i++)
        if (is_address(s, r->gpr[i]) && !is_known(e, r->gpr[i]))
            e->value[e->values++] = r->gpr[i];
}

void leak_trap(struct sim_cpu *cpu, const struct resume *r)
{
    struct exposed *const e = exposed_judged(cpu->sim);
    if (!e)
        return;
    if (r && unlikely(is_suspect(cpu->sim, r)))
        learn(cpu->sim, e, r);
    stack_fill();
}

static void check_registers(const struct sim_cpu *cpu, const struct exposed *e, const struct resume *r)
{
    for (u32 i = 0; i < array_size(r->gpr); i++)
        if (is_leak(cpu->sim, e, r->gpr[i]))
            sim_broken(RULE_LEAK_REGISTER, "CPU %u: resumed with register %u = 0x%lx, which user level did not have", cpu->id, i, r->gpr[i]);
}

static bool page_is_suspect(const struct sim *s, const void *page)
{
    const u32 last = high_last(s);
    bool suspect = wmemchr(page, (wchar_t)EXPOSED_PATTERN, PAGE_SIZE / 4);
    for (u32 high = high_first(s); !suspect && high <= last; high++)
        suspect = wmemchr(page, (wchar_t)high, PAGE_SIZE / 4);
    return suspect;
}

static void check_page(const struct sim_cpu *cpu, const struct exposed *e, u64 phys)
{
    const struct sim *s = cpu->sim;
    const u64 *const word = (const u64 *)(s->ram + phys);
    if (likely(!page_is_suspect(s, word)))
        return;
    for (u32 i = 0; i < PAGE_SIZE / 8; i++)
        if (is_leak(s, e, word[i]))
            sim_broken(RULE_LEAK_PAGE, "CPU %u: a page of the kernel that user level sees holds 0x%lx at byte 0x%x", cpu->id, word[i], 8 * i);
}

void leak_resume(struct sim_cpu *cpu, const struct resume *r)
{
    const struct exposed *const e = exposed_judged(cpu->sim);
    if (!e || r->kind > RESUME_GUEST_SVM)
        return;
    if (unlikely(is_suspect(cpu->sim, r)))
        check_registers(cpu, e, r);
    for (u32 i = 0; r->kind == RESUME_USER && i < e->pages; i++)
        if (e->page[i].phys && e->page[i].root == cpu->cr3)
            check_page(cpu, e, e->page[i].phys);
}
