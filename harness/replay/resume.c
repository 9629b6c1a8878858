/* SPDX-License-Identifier: BSD-2-Clause */
/* The words after a recorded entry against what the model was loaded with: what the kernel does between the VMM's answer and the guest. Compared is
 * what the exit and the answer have told; what only the VMM changes, always. CR8 and the upper debug registers stand in no place the model loads. */
#include "arch/x86.h"
#include "replay/differ.h"

#define RESUME "resume"
#define SEG_KNOWN 0x1f0ffu
#define DR7_ENABLED 0xfful

struct resuming {
    const struct compare_machines *m;
    const struct trace_words *w;
    const struct sim_guest *g;
    struct difference *d;
    u64 event;                   /* asked for, 0: none */
};

static u64 word(const struct resuming *r, u32 number)
{
    return r->w->word[number];
}

static bool differs(const struct resuming *r, const char *field, u64 recorded, u64 got)
{
    return differ(r->d, RESUME, field, recorded, got);
}

static bool gpr_differs(const struct resuming *r)
{
    static const char *const name[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    for (u32 i = 0; i < array_size(name); i++)
        if ((i != RDX || compare_rdx(r->w)) && differs(r, name[i], word(r, TRACE_WORD_rax + i), r->g->gpr[i]))
            return true;
    return false;
}

/* A software event returns behind its instruction. */
static bool rip_differs(const struct resuming *r)
{
    const u32 length = r->event & 0x400 ? (u32)word(r, TRACE_WORD_inject_length_and_windows) : 0;
    const u64 mask = compare_rflags_mask(r->m, r->w);
    return differs(r, "rip", word(r, TRACE_WORD_rip) + length, r->g->rip) ||
           differs(r, "rflags", (word(r, TRACE_WORD_rflags) | RFLAGS_ONE) & mask, r->g->rflags & mask);
}

static bool segment_differs(const struct resuming *r, u32 number)
{
    static const char *const name[VCPU_SEG_COUNT][4] = {
#define SEGMENT(s) {s ".base", s ".limit", s ".attributes", s ".selector"}
        SEGMENT("es"), SEGMENT("cs"), SEGMENT("ss"), SEGMENT("ds"), SEGMENT("fs"), SEGMENT("gs"), SEGMENT("ldtr"), SEGMENT("tr"),
#undef SEGMENT
    };
    const struct vcpu_segment *const got = &r->g->seg[number];
    const u32 at = TRACE_WORD_es_base + 3 * number, got_attributes = got->attributes & SEG_KNOWN;
    const u32 attributes = (u32)(word(r, at + 1) >> 32) & SEG_KNOWN;
    const bool unusable = attributes & got_attributes & VCPU_SEG_UNUSABLE;
    /* Without protection SVM's CPL is 0, whatever SS.DPL was. */
    const u32 cpl = number == VCPU_SEG_SS && !(word(r, TRACE_WORD_cr0) & CR0_PE) ? 0x60 : 0;
    const u32 mask = number == VCPU_SEG_TR ? compare_tr_mask(r->m) : ~cpl;
    return differs(r, name[number][0], word(r, at), got->base) || differs(r, name[number][3], word(r, at + 2) & 0xffff, got->selector) ||
           (!unusable && (differs(r, name[number][1], word(r, at + 1) & 0xffffffff, got->limit) ||
                          differs(r, name[number][2], attributes & mask, got_attributes & mask)));
}

static bool segments_differ(const struct resuming *r)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        if (segment_differs(r, i))
            return true;
    return false;
}

static bool tables_differ(const struct resuming *r)
{
    return differs(r, "gdtr.base", word(r, TRACE_WORD_gdtr_base), r->g->gdtr.base) ||
           differs(r, "gdtr.limit", word(r, TRACE_WORD_gdtr_limit) & 0xffff, r->g->gdtr.limit & 0xffff) ||
           differs(r, "idtr.base", word(r, TRACE_WORD_idtr_base), r->g->idtr.base) ||
           differs(r, "idtr.limit", word(r, TRACE_WORD_idtr_limit) & 0xffff, r->g->idtr.limit & 0xffff);
}

/* The model has real values, the words those the guest sees: bits that VMX fixes, and CD and NW, which entries do not load, are the host's. */
static bool cr_differs(const struct resuming *r)
{
    const bool vmx = r->m->vendor == SIM_VMX;
    const u64 cr0 = compare_cr_mask(r->m, 0) & (vmx ? ~(CR0_NE | CR0_CD | CR0_NW) : ~0ul);
    const u64 cr4 = compare_cr_mask(r->m, 4) & (vmx ? ~(CR4_VMXE | CR4_MCE) : ~0ul);
    return differs(r, "cr0", word(r, TRACE_WORD_cr0) & cr0, r->g->cr0 & cr0) || differs(r, "cr2", word(r, TRACE_WORD_cr2), r->g->cr2) ||
           differs(r, "cr3", word(r, TRACE_WORD_cr3), r->g->cr3) || differs(r, "cr4", word(r, TRACE_WORD_cr4) & cr4, r->g->cr4 & cr4);
}

static bool efer_differs(const struct resuming *r)
{
    return differs(r, "efer", word(r, TRACE_WORD_efer) & ~EFER_SVME, r->g->efer & ~EFER_SVME) || differs(r, "pat", word(r, TRACE_WORD_pat), r->g->pat);
}

/* VMX: the CPU has them only while they are the guest's. */
static bool debug_differs(const struct resuming *r)
{
    const u64 dr7 = word(r, TRACE_WORD_dr7);
    return differs(r, "dr7", dr7, r->g->dr7) ||
           ((r->m->vendor == SIM_SVM || dr7 & DR7_ENABLED) && differs(r, "dr6", word(r, TRACE_WORD_dr6), r->g->dr6));
}

static bool syscall_differs(const struct resuming *r)
{
    const bool svm = r->m->vendor == SIM_SVM;
    if ((svm || r->g->efer & EFER_SCE) &&
        (differs(r, "star", word(r, TRACE_WORD_star), r->g->star) || differs(r, "lstar", word(r, TRACE_WORD_lstar), r->g->lstar) ||
         differs(r, "cstar", word(r, TRACE_WORD_cstar), r->g->cstar) || differs(r, "fmask", word(r, TRACE_WORD_fmask), r->g->fmask)))
        return true;
    return (svm || r->g->efer & EFER_LME) && differs(r, "kernel_gs", word(r, TRACE_WORD_kernel_gs), r->g->kernel_gs);
}

static bool sysenter_differs(const struct resuming *r)
{
    return differs(r, "sysenter_cs", word(r, TRACE_WORD_sysenter_cs), r->g->sysenter_cs) ||
           differs(r, "sysenter_esp", word(r, TRACE_WORD_sysenter_esp), r->g->sysenter_esp) ||
           differs(r, "sysenter_eip", word(r, TRACE_WORD_sysenter_eip), r->g->sysenter_eip);
}

static bool pdpte_differs(const struct resuming *r)
{
    static const char *const name[] = {"pdpte0", "pdpte1", "pdpte2", "pdpte3"};
    for (u32 i = 0; i < array_size(name); i++)
        if (differs(r, name[i], word(r, TRACE_WORD_pdpte0 + i), r->g->pdpte[i]))
            return true;
    return false;
}

/* An NMI that is injected blocks NMIs; SVM has no bit for that, the kernel remembers it. */
static bool activity_differs(const struct resuming *r)
{
    const u64 both = word(r, TRACE_WORD_activity_and_interruptibility);
    const u32 blocked = (u32)(both >> 32) | ((r->event & 0x700) == 0x200 ? VCPU_BLOCKED_NMI : 0), got = r->g->interruptibility;
    const u32 shadow = VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS;
    const u32 mask = r->m->vendor == SIM_VMX ? compare_shadow(r->m, blocked, got) : blocked & shadow && got & shadow ? 0 : shadow;
    return differs(r, "activity", r->event ? VCPU_ACTIVITY_ACTIVE : both & 0xffffffff, r->g->activity) ||
           differs(r, "interruptibility", blocked & mask, got & mask);
}

/* Types 5 and 6 are exceptions on SVM. */
static bool event_differs(const struct resuming *r)
{
    u64 asked = r->event, got = r->g->event & VCPU_EVENT_VALID ? r->g->event & ~0x7ffff000ul : 0;
    if (!asked && word(r, TRACE_WORD_pending_debug) && r->m->vendor == SIM_VMX)
        return false;   /* becomes one */
    if (r->m->vendor == SIM_SVM && (asked & 0x700) >= 0x500)
        asked = (asked & ~0x700ul) | 0x300;
    if (!(got & VCPU_EVENT_ERROR))
        got &= 0xffffffff;
    return differs(r, "event", asked, got);
}

static bool controls_differ(const struct resuming *r)
{
    const u32 windows = trace_dirty(r->w) & VCPU_GROUP_INJECT ? (u32)(word(r, TRACE_WORD_inject_length_and_windows) >> 32) : 0;
    const u32 exceptions = (u32)word(r, TRACE_WORD_exceptions_and_flags), flags = (u32)(word(r, TRACE_WORD_exceptions_and_flags) >> 32);
    return differs(r, "windows", !!(windows & VCPU_WINDOW_INTR), r->g->want_window) ||
           differs(r, "exceptions", exceptions & ~(1u << VECTOR_MC), exceptions & ~(1u << VECTOR_MC) & r->g->exceptions) ||
           differs(r, "control_flags", flags & VCPU_CONTROL_RDTSC, r->g->intercept_rdtsc ? VCPU_CONTROL_RDTSC : 0) ||
           differs(r, "tsc_offset", word(r, TRACE_WORD_tsc_offset), r->g->tsc_offset);
}

/* Group, what compares it. */
static const struct {
    u32 group;
    bool (*differs)(const struct resuming *r);
} parts[] = {
    {VCPU_GROUP_RIP, rip_differs},           {VCPU_GROUP_GPR, gpr_differs},         {VCPU_GROUP_SEG, segments_differ},
    {VCPU_GROUP_TABLE, tables_differ},       {VCPU_GROUP_CR, cr_differs},           {VCPU_GROUP_EFER, efer_differs},
    {VCPU_GROUP_DR, debug_differs},          {VCPU_GROUP_SYSENTER, sysenter_differs}, {VCPU_GROUP_SYSCALL, syscall_differs},
    {VCPU_GROUP_ACTIVITY, activity_differs},
};

static u64 event_asked(const struct trace_words *w)
{
    const u64 event = w->word[TRACE_WORD_inject];
    if (!(trace_dirty(w) & VCPU_GROUP_INJECT) || !(event & VCPU_EVENT_VALID))
        return 0;
    return event & VCPU_EVENT_ERROR ? event : event & 0xffffffff;
}

bool compare_resume(const struct compare_machines *m, const struct trace_words *recorded, const struct sim_guest *got, struct difference *d)
{
    const struct resuming r = {m, recorded, got, d, event_asked(recorded)};
    const u32 groups = (trace_known(recorded) | trace_valid(recorded) | trace_dirty(recorded)) & m->groups;
    *d = (struct difference){0};
    for (u32 i = 0; i < array_size(parts); i++)
        if (groups & parts[i].group && parts[i].differs(&r))
            return false;
    if (m->vendor == SIM_VMX && groups & VCPU_GROUP_PDPTE && compare_pae(recorded) && pdpte_differs(&r))
        return false;
    return !event_differs(&r) && !(m->groups & VCPU_GROUP_CONTROL && controls_differ(&r));
}
