/* SPDX-License-Identifier: BSD-2-Clause */
#include "replay_words.h"
#include <string.h>
#include "arch/x86.h"

void words_of_page(struct trace_words *w, const struct vcpu_state *s, u32 known)
{
    *w = (struct trace_words){.known = true};
    memcpy(w->word, &s->exit, sizeof(s->exit));
    w->word[TRACE_WORD_pending] = s->pending;
    w->word[TRACE_WORD_valid_and_known] = s->valid | (u64)known << 32;
    w->word[TRACE_WORD_dirty_and_want] = s->dirty | (u64)s->want << 32;
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        memcpy(&w->word[trace_group_word(i)], (const u8 *)s + vcpu_group_range[i].offset, vcpu_group_range[i].bytes);
}

void words_flip(struct trace_words *w, const struct vcpu_field *f, u64 bits)
{
    const u32 at = f->offset - vcpu_group_range[f->group].offset;
    w->word[trace_group_word(f->group) + at / 8] ^= bits << (at % 8 * 8);
}

void words_long_mode(struct trace_words *w)
{
    struct vcpu_state s = {.rip = 0x401000, .rflags = RFLAGS_ONE | RFLAGS_IF, .cr2 = 0x5000, .cr3 = 0x6000, .cr8 = 3,
                           .cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET, .cr4 = CR4_PAE | CR4_MCE,
                           .efer = EFER_LME | EFER_LMA | EFER_SCE, .pat = 0x0007040600070406ul, .dr6 = DR6_INIT, .dr7 = DR7_INIT | 1,
                           .sysenter_cs = 8, .sysenter_esp = 0x7000, .sysenter_eip = 0x8000, .star = 0x10ul << 32, .lstar = 0x9000, .cstar = 0xa000,
                           .fmask = 0x200, .kernel_gs = 0xb000, .tsc_offset = 12345, .exceptions = 1u << VECTOR_UD, .interruptibility = 0};
    for (u32 i = 0; i < 16; i++)
        s.gpr[i] = 0x1111111111111111ul * i + 7;
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        s.seg[i] = (struct vcpu_segment){.base = 0x10000ul * i, .limit = 0xffffffff, .attributes = 0xc093, .selector = (u16)(8 * i)};
    s.gdtr.base = 0xc000, s.gdtr.limit = 0x7f, s.idtr.base = 0xd000, s.idtr.limit = 0xfff;
    s.valid = s.dirty = TRACE_GROUPS;
    s.exit.reason = VCPU_EXIT_CPUID;
    s.exit.insn_len = 2;
    words_of_page(w, &s, TRACE_EXIT_GROUPS);
}
