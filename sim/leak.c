/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules LEAK: at each resume no register, and no page of the kernel's that this address space sees, holds an address of the kernel's memory or
 * the pattern of memory that nobody wrote. A kernel address that user level had in a register of its own may come back. */
#include <string.h>
#include <wchar.h>
#include "exposed.h"

static_assert(sizeof(wchar_t) == 4, "libc's searches and fills of wide characters, the fastest this processor has, are those of half words");

typedef u32 halves __attribute__((vector_size(16)));

/* Most traps and engines use less of the stack than USUAL_WORDS. What goes deeper leaves a trace in the words below, unless one function has them all
 * in its frame and writes none. */
#define STACK_WORDS 1024u   /* what a trap uses is less */
#define USUAL_WORDS 256u
#define TRACE_WORDS 128u

static bool is_filled(const u32 *word, u32 count)
{
    halves other = { 0 };
    u64 either[2];
    for (u32 i = 0; i < count; i += sizeof(halves) / sizeof(*word)) {
        halves h;
        memcpy(&h, word + i, sizeof(h));
        other |= h ^ EXPOSED_PATTERN;
    }
    memcpy(either, &other, sizeof(either));
    return !(either[0] | either[1]);
}

static void fill(u32 *word, u32 count)
{
    wmemset((wchar_t *)word, (wchar_t)EXPOSED_PATTERN, count);
}

static out_of_line void stack_fill(void)
{
    u32 word[STACK_WORDS], *const usual = word + STACK_WORDS - USUAL_WORDS;
    __asm__ volatile("" : "=m"(word));    /* as the trap before has left them */
    if (unlikely(!is_filled(usual - TRACE_WORDS, TRACE_WORDS)))
        fill(word, STACK_WORDS - USUAL_WORDS);
    fill(usual, USUAL_WORDS);
    __asm__ volatile("" : : "m"(word));   /* somebody looks at them */
}

static inline halves suspects(const u64 *two, halves high, halves same)
{
    halves h;
    memcpy(&h, two, sizeof(h));
    return (halves)(h == EXPOSED_PATTERN) | (halves)((h & same) == high);
}

/* False: no register holds the pattern or an address. Nearly always: this is the hot path. */
static inline bool is_suspect(const struct exposed *e, const struct resume *r)
{
    const halves high = (halves){ 0 } + e->high, same = (halves){ 0 } + e->same;
    halves found = { 0 };
    u64 either[2];
    for (u32 i = 0; i < array_size(r->gpr); i += 8)
        found |= suspects(r->gpr + i, high, same) | suspects(r->gpr + i + 2, high, same) | suspects(r->gpr + i + 4, high, same) |
                 suspects(r->gpr + i + 6, high, same);
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
static out_of_line void learn(const struct sim *s, struct exposed *e, const struct resume *r)
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
    if (r && unlikely(is_suspect(e, r)))
        learn(cpu->sim, e, r);
    stack_fill();
}

static out_of_line void check_registers(const struct sim_cpu *cpu, const struct exposed *e, const struct resume *r)
{
    for (u32 i = 0; i < array_size(r->gpr); i++)
        if (is_leak(cpu->sim, e, r->gpr[i]))
            sim_broken(RULE_LEAK_REGISTER, "CPU %u: resumed with register %u = 0x%lx, which user level did not have", cpu->id, i, r->gpr[i]);
}

static bool page_is_suspect(const struct exposed *e, const void *page)
{
    bool suspect = wmemchr(page, (wchar_t)EXPOSED_PATTERN, PAGE_SIZE / 4);
    for (u32 low = 0; !suspect && low <= ~e->same; low++)
        suspect = wmemchr(page, (wchar_t)(e->high | low), PAGE_SIZE / 4);
    return suspect;
}

static out_of_line void check_pages(const struct sim_cpu *cpu, const struct exposed *e)
{
    const struct sim *s = cpu->sim;
    for (u32 i = 0; i < e->pages; i++) {
        const u64 *const word = (const u64 *)(s->ram + e->page[i].phys);
        if (!e->page[i].phys || e->page[i].root != cpu->cr3 || likely(!page_is_suspect(e, word)))
            continue;
        for (u32 k = 0; k < PAGE_SIZE / 8; k++)
            if (is_leak(s, e, word[k]))
                sim_broken(RULE_LEAK_PAGE, "CPU %u: a page of the kernel that user level sees holds 0x%lx at byte 0x%x", cpu->id, word[k], 8 * k);
    }
}

void leak_resume(struct sim_cpu *cpu, const struct resume *r)
{
    const struct exposed *const e = exposed_judged(cpu->sim);
    if (!e || r->kind > RESUME_GUEST_SVM)
        return;
    if (unlikely(is_suspect(e, r)))
        check_registers(cpu, e, r);
    if (r->kind == RESUME_USER && e->pages)
        check_pages(cpu, e);
}
