/* SPDX-License-Identifier: BSD-2-Clause */
/* Does every exit arrive in its neutral form, whatever the vendor? One table, run on both; and is every illegal value refused by name? */
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include <stdio.h>
#include <stdlib.h>

#define VMX 1u
#define SVM 2u
#define BOTH 3u

struct row {
    struct engine_event event;
    struct vcpu_exit exit;        /* reason and u as they must be; raw_* and insn_len are not compared */
    u32 len;                      /* of the instruction */
    u32 vendors;
    void (*before)(struct guest *g, struct sim_guest *guest);
    u32 exceptions, flags;
};

static void rcx_is_msr(struct guest *g, struct sim_guest *guest)
{
    guest->gpr[RCX] = 0x174;
}

static void rcx_is_five(struct guest *g, struct sim_guest *guest)
{
    guest->gpr[RCX] = 0xffff0005;
}

static const struct row rows[] = {
    { .event = { .kind = EVENT_CPUID }, .exit = { .reason = VCPU_EXIT_CPUID }, .len = 2, .vendors = BOTH },
    { .event = { .kind = EVENT_HLT }, .exit = { .reason = VCPU_EXIT_HLT }, .len = 1, .vendors = BOTH },
    { .event = { .kind = EVENT_IO, .insn_len = 2, .io = { .port = 0x3f8, .size = 1 } },
      .exit = { .reason = VCPU_EXIT_IO, .u.io = { .port = 0x3f8, .size = 1, .count = 1 } }, .len = 2, .vendors = BOTH },
    { .event = { .kind = EVENT_IO, .insn_len = 1, .io = { .port = 0xffff, .size = 4, .in = 1 } },
      .exit = { .reason = VCPU_EXIT_IO, .u.io = { .port = 0xffff, .size = 4, .in = 1, .count = 1 } }, .len = 1, .vendors = BOTH },
    { .event = { .kind = EVENT_IO, .insn_len = 2, .io = { .port = 0x80, .size = 2, .string = 1, .rep = 1, .address_size = 2 } },
      .exit = { .reason = VCPU_EXIT_IO, .u.io = { .port = 0x80, .size = 2, .string = 1, .rep = 1, .address_size = 2, .count = 5 } },
      .len = 2, .vendors = BOTH, .before = rcx_is_five },
    { .event = { .kind = EVENT_RDMSR }, .exit = { .reason = VCPU_EXIT_MSR_READ, .u.msr = { 0x174 } }, .len = 2, .vendors = BOTH, .before = rcx_is_msr },
    { .event = { .kind = EVENT_WRMSR }, .exit = { .reason = VCPU_EXIT_MSR_WRITE, .u.msr = { 0x174 } }, .len = 2, .vendors = BOTH, .before = rcx_is_msr },
    { .event = { .kind = EVENT_HYPERCALL, .info = 0 }, .exit = { .reason = VCPU_EXIT_HYPERCALL }, .len = 3, .vendors = VMX },
    { .event = { .kind = EVENT_HYPERCALL, .info = 1 }, .exit = { .reason = VCPU_EXIT_HYPERCALL }, .len = 3, .vendors = SVM },
    { .event = { .kind = EVENT_NESTED_FAULT, .gpa = 0x5000, .access = RIGHT_W, .gva = 0x7000, .gva_valid = true },
      .exit = { .reason = VCPU_EXIT_MMIO, .u.mmio = { .gpa = 0x5000, .access = RIGHT_W, .gva = 0x7000, .gva_valid = 1 } }, .vendors = VMX },
    { .event = { .kind = EVENT_NESTED_FAULT, .gpa = 0x5000, .access = RIGHT_W },
      .exit = { .reason = VCPU_EXIT_MMIO, .u.mmio = { .gpa = 0x5000, .access = RIGHT_W } }, .vendors = BOTH },
    { .event = { .kind = EVENT_NESTED_FAULT, .gpa = 0xfee00020, .access = RIGHT_X },
      .exit = { .reason = VCPU_EXIT_MMIO, .u.mmio = { .gpa = 0xfee00020, .access = RIGHT_X } }, .vendors = BOTH },
    { .event = { .kind = EVENT_NESTED_FAULT, .gpa = 0x123456, .access = RIGHT_R },
      .exit = { .reason = VCPU_EXIT_MMIO, .u.mmio = { .gpa = 0x123456, .access = RIGHT_R } }, .vendors = BOTH },
    { .event = { .kind = EVENT_TRIPLE_FAULT }, .exit = { .reason = VCPU_EXIT_SHUTDOWN }, .vendors = BOTH },
    { .event = { .kind = EVENT_EXCEPTION, .vector = VECTOR_UD }, .exit = { .reason = VCPU_EXIT_EXCEPTION, .u.exception = { .vector = VECTOR_UD } },
      .vendors = BOTH, .exceptions = 1u << VECTOR_UD },
    { .event = { .kind = EVENT_EXCEPTION, .vector = VECTOR_PF, .error = 7, .error_valid = true, .address = 0xdead0 },
      .exit = { .reason = VCPU_EXIT_EXCEPTION, .u.exception = { .vector = VECTOR_PF, .error_valid = 1, .error = 7, .address = 0xdead0 } },
      .vendors = BOTH, .exceptions = 1u << VECTOR_PF },
    { .event = { .kind = EVENT_EXCEPTION, .vector = VECTOR_GP, .error = 0x50, .error_valid = true },
      .exit = { .reason = VCPU_EXIT_EXCEPTION, .u.exception = { .vector = VECTOR_GP, .error_valid = 1, .error = 0x50 } },
      .vendors = BOTH, .exceptions = 1u << VECTOR_GP },
    { .event = { .kind = EVENT_MOV_CR, .cr = { .number = 0, .gpr = RBX, .write = 1 } },   /* RBX = 0: CD and NW would change */
      .exit = { .reason = VCPU_EXIT_CR, .u.cr = { .number = 0, .gpr = RBX, .write = 1 } }, .len = 3, .vendors = VMX },
    { .event = { .kind = EVENT_MOV_CR, .cr = { .number = 8, .gpr = R9, .write = 1 } },
      .exit = { .reason = VCPU_EXIT_CR, .u.cr = { .number = 8, .gpr = R9, .write = 1 } }, .len = 3, .vendors = BOTH },
    { .event = { .kind = EVENT_MOV_CR, .cr = { .number = 8, .gpr = R9, .write = 0 } },
      .exit = { .reason = VCPU_EXIT_CR, .u.cr = { .number = 8, .gpr = R9, .write = 0 } }, .len = 3, .vendors = BOTH },
    { .event = { .kind = EVENT_RDTSC }, .exit = { .reason = VCPU_EXIT_OTHER }, .len = 2, .vendors = BOTH, .flags = VCPU_CONTROL_RDTSC },
    { .event = { .kind = EVENT_WBINVD }, .exit = { .reason = VCPU_EXIT_OTHER }, .len = 2, .vendors = BOTH },
    { .event = { .kind = EVENT_XSETBV }, .exit = { .reason = VCPU_EXIT_OTHER }, .len = 3, .vendors = BOTH },
    { .event = { .kind = EVENT_OTHER_INSN, .info = 0x0f08 }, .exit = { .reason = VCPU_EXIT_OTHER }, .len = 3, .vendors = VMX },
};

static void exit_is_neutral(void **state)
{
    const u64 which = (u64)*state;
    const struct row *const r = &rows[which >> 2];
    struct guest *g = guest_open((enum sim_vendor)(which & 3));
    g->before = r->before;
    g->s->exceptions = r->exceptions;
    g->s->control_flags = r->flags;
    guest_does(g, r->event);
    assert_int_equal(guest_run(g, VCPU_GROUP_CONTROL), r->exit.reason);
    assert_memory_equal(&g->s->exit.u, &r->exit.u, sizeof(r->exit.u));
    assert_int_equal(g->s->exit.insn_len, r->len);
    assert_int_equal(g->s->valid & vcpu_exit_groups[r->exit.reason], vcpu_exit_groups[r->exit.reason] & g->s->capabilities);
    assert_int_equal(g->s->pending, 0);
    assert_int_equal(g->s->dirty, 0);
    guest_close(g);
}

/* ---- Values that are refused before anything is loaded ---- */

struct refusal {
    u32 group, check;
    u16 offset, bytes;
    u64 value;
};
#define REFUSE(name, member, value, check) \
    { VCPU_GROUP_##name, check, offset_of(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member), value }
static const struct refusal refusals[] = {
    REFUSE(CR, cr0, 1ul << 32, VCPU_CHECK('G', 1)),
    REFUSE(CR, cr0, CR0_PG, VCPU_CHECK('G', 2)),
    REFUSE(CR, cr0, CR0_NW, VCPU_CHECK('V', 7)),
    REFUSE(CR, cr8, 16, VCPU_CHECK_CR8),
    REFUSE(DR, dr6, 1ul << 32, VCPU_CHECK('V', 11)),
    REFUSE(DR, dr7, 1ul << 32, VCPU_CHECK('G', 10)),
    REFUSE(EFER, efer, EFER_SVME, VCPU_CHECK('G', 14)),
    REFUSE(EFER, efer, 2, VCPU_CHECK('G', 14)),
    REFUSE(EFER, pat, 2, VCPU_CHECK('G', 13)),
    REFUSE(EFER, pat, 3ul << 56, VCPU_CHECK('G', 13)),
    REFUSE(EFER, pat, 8ul << 8, VCPU_CHECK('G', 13)),
    REFUSE(SYSENTER, sysenter_cs, 1ul << 32, VCPU_CHECK_SYSENTER_CS),
    REFUSE(SYSENTER, sysenter_esp, 1ul << 47, VCPU_CHECK('G', 11)),
    REFUSE(SYSENTER, sysenter_eip, 1ul << 63, VCPU_CHECK('G', 11)),
    REFUSE(SYSCALL, lstar, 1ul << 47, VCPU_CHECK('M', 6)),
    REFUSE(SYSCALL, cstar, 1ul << 62, VCPU_CHECK('M', 6)),
    REFUSE(SYSCALL, kernel_gs, 0x8000000000000000, VCPU_CHECK('M', 6)),
    REFUSE(SYSCALL, fmask, 1ul << 32, VCPU_CHECK('M', 6)),
    REFUSE(SYSCALL, tsc_aux, 1ul << 32, VCPU_CHECK('M', 6)),
    REFUSE(SEG, seg[VCPU_SEG_DS].attributes, 0x100093, VCPU_CHECK('S', 18)),
    REFUSE(SEG, seg[VCPU_SEG_GS].base, 1ul << 47, VCPU_CHECK('S', 7)),
    REFUSE(SEG, seg[VCPU_SEG_CS].base, 1ul << 32, VCPU_CHECK('S', 8)),
    REFUSE(TABLE, gdtr.base, 1ul << 50, VCPU_CHECK('S', 23)),
    REFUSE(TABLE, idtr.limit, 0x10000, VCPU_CHECK('S', 24)),
    REFUSE(ACTIVITY, activity, 1, VCPU_CHECK('A', 1)),
    REFUSE(ACTIVITY, interruptibility, 4, VCPU_CHECK('A', 8)),
    REFUSE(ACTIVITY, interruptibility, 3, VCPU_CHECK('A', 9)),
    REFUSE(INJECT, windows, 4, VCPU_CHECK_WINDOW),
    REFUSE(INJECT, inject, VCPU_EVENT_VALID | 0x100, VCPU_CHECK('N', 3)),
    REFUSE(INJECT, inject, VCPU_EVENT_VALID | 0x700, VCPU_CHECK('N', 3)),
    REFUSE(INJECT, inject, VCPU_EVENT_VALID | 0x203, VCPU_CHECK('N', 4)),
    REFUSE(INJECT, inject, VCPU_EVENT_EXCEPTION(32), VCPU_CHECK('N', 5)),
    REFUSE(INJECT, inject, VCPU_EVENT_EXCEPTION(VECTOR_UD) | VCPU_EVENT_ERROR, VCPU_CHECK('N', 7)),
    REFUSE(INJECT, inject, VCPU_EVENT_INTERRUPT(0x30) | VCPU_EVENT_ERROR, VCPU_CHECK('N', 7)),
    REFUSE(INJECT, inject, VCPU_EVENT_INTERRUPT(0x30) | 0x1000, VCPU_CHECK('N', 8)),
    REFUSE(INJECT, inject, VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR | 1ul << 48, VCPU_CHECK('N', 9)),
    REFUSE(INJECT, inject, VCPU_EVENT_VALID | 0x480, VCPU_CHECK_INSN_LEN),
    REFUSE(CONTROL, control_flags, 2, VCPU_CHECK_CONTROL),
    REFUSE(CONTROL, control_reserved[1], 1, VCPU_CHECK_CONTROL),
};

static void value_is_refused(void **state)
{
    const u64 which = (u64)*state;
    const struct refusal *const r = &refusals[which >> 2];
    struct guest *g = guest_open((enum sim_vendor)(which & 3));
    void *const at = (u8 *)g->s + r->offset;
    const u64 before = r->bytes == 4 ? *(u32 *)at : *(u64 *)at;
    if (r->bytes == 4)
        *(u32 *)at = (u32)r->value;
    else
        *(u64 *)at = r->value;
    assert_int_equal(guest_run(g, r->group), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->entries, 0);
    assert_int_equal(g->s->exit.u.entry_failed.check, r->check);
    assert_int_equal(g->s->pending, r->group == VCPU_GROUP_INJECT && r->value & VCPU_EVENT_VALID ? r->value : 0);
    /* Nothing was loaded: the guest goes on from what it was. */
    guest_fetch(g, VCPU_GROUP_ALL & g->s->capabilities);
    assert_int_equal(r->bytes == 4 ? *(u32 *)at : *(u64 *)at, before);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

static int add(struct CMUnitTest *out, const char *name, void (*f)(void **), u64 which)
{
    char *text = malloc(64);
    snprintf(text, 64, "%s_%s_%lu", name, (which & 3) == SIM_VMX ? "vmx" : "svm", which >> 2);
    *out = (struct CMUnitTest){ .name = text, .test_func = f, .initial_state = (void *)which };
    return 1;
}

static struct CMUnitTest tests[2 * (array_size(rows) + array_size(refusals))];
static struct unit_group group = { "virt", tests, 0, NULL };

__attribute__((constructor)) static void virt_register(void)
{
    for (u64 i = 0; i < array_size(rows); i++)
        for (u64 vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)
            group.count += rows[i].vendors & vendor ? (size_t)add(&tests[group.count], "exit_is_neutral", exit_is_neutral, i << 2 | vendor) : 0;
    for (u64 i = 0; i < array_size(refusals); i++)
        for (u64 vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)
            group.count += (size_t)add(&tests[group.count], "value_is_refused", value_is_refused, i << 2 | vendor);
    unit_register(&group);
}
