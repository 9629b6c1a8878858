/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/vcpu_field.h"
#include <string.h>

#define STATE            ((struct vcpu_state *)0)
#define FIELD(g, n, m)   {n, offset_of(struct vcpu_state, m), sizeof(STATE->m), g}
#define PLAIN(g, m)      FIELD(g, #m, m)
#define SEGMENT(name, i) FIELD(2, name ".base", seg[i].base), FIELD(2, name ".limit", seg[i].limit), \
                         FIELD(2, name ".attributes", seg[i].attributes), FIELD(2, name ".selector", seg[i].selector)

const struct vcpu_field vcpu_field[] = {
        FIELD(0, "rax", gpr[0]), FIELD(0, "rcx", gpr[1]), FIELD(0, "rdx", gpr[2]), FIELD(0, "rbx", gpr[3]),
        FIELD(0, "rsp", gpr[4]), FIELD(0, "rbp", gpr[5]), FIELD(0, "rsi", gpr[6]), FIELD(0, "rdi", gpr[7]),
        FIELD(0, "r8", gpr[8]), FIELD(0, "r9", gpr[9]), FIELD(0, "r10", gpr[10]), FIELD(0, "r11", gpr[11]),
        FIELD(0, "r12", gpr[12]), FIELD(0, "r13", gpr[13]), FIELD(0, "r14", gpr[14]), FIELD(0, "r15", gpr[15]),
        PLAIN(1, rip), PLAIN(1, rflags),
        SEGMENT("es", 0), SEGMENT("cs", 1), SEGMENT("ss", 2), SEGMENT("ds", 3), SEGMENT("fs", 4), SEGMENT("gs", 5),
        SEGMENT("ldtr", 6), SEGMENT("tr", 7),
        PLAIN(3, gdtr.base), PLAIN(3, gdtr.limit), PLAIN(3, idtr.base), PLAIN(3, idtr.limit),
        PLAIN(4, cr0), PLAIN(4, cr2), PLAIN(4, cr3), PLAIN(4, cr4), PLAIN(4, cr8),
        PLAIN(5, dr0), PLAIN(5, dr1), PLAIN(5, dr2), PLAIN(5, dr3), PLAIN(5, dr6), PLAIN(5, dr7),
        PLAIN(6, efer), PLAIN(6, pat),
        PLAIN(7, sysenter_cs), PLAIN(7, sysenter_esp), PLAIN(7, sysenter_eip),
        PLAIN(8, star), PLAIN(8, lstar), PLAIN(8, cstar), PLAIN(8, fmask), PLAIN(8, kernel_gs), PLAIN(8, tsc_aux),
        PLAIN(9, tsc_offset),
        FIELD(11, "pdpte0", pdpte[0]), FIELD(11, "pdpte1", pdpte[1]), FIELD(11, "pdpte2", pdpte[2]), FIELD(11, "pdpte3", pdpte[3]),
        PLAIN(12, activity), PLAIN(12, interruptibility), PLAIN(12, pending_debug),
        PLAIN(13, inject), PLAIN(13, inject_insn_len), PLAIN(13, windows),
        PLAIN(14, exceptions), PLAIN(14, control_flags),
};
const u32 vcpu_field_count = array_size(vcpu_field);

u64 vcpu_field_get(const struct vcpu_field *f, const struct vcpu_state *s)
{
    u64 value = 0;
    memcpy(&value, (const u8 *)s + f->offset, f->bytes);
    return value;
}

u64 vcpu_field_word(const struct vcpu_field *f, const u64 word[TRACE_WORDS])
{
    const u32 offset = f->offset - vcpu_group_range[f->group].offset;
    u64 value = 0;
    memcpy(&value, (const u8 *)&word[trace_group_word(f->group)] + offset, f->bytes);
    return value;
}
