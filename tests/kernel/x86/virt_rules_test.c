/* SPDX-License-Identifier: BSD-2-Clause */
/* Which values are refused, to the bit; which event is still to be delivered; and does each vCPU keep what is its own between runs, beside others? */
#include "virt_x86.h"
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "vmx_x86.h"

/* ---- Checks at the load ---- */

#define NONCANONICAL 0x0000800000000000ul

struct check_row {
    u32 group, offset, bytes;
    u64 value;
    u32 id;   /* 0: legal */
};
#define ROW(name, member, value, id) { VCPU_GROUP_##name, offset_of(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member), value, id }

static const struct check_row check_rows[] = {
    ROW(SEG, seg[VCPU_SEG_ES].base, NONCANONICAL, VCPU_CHECK('S', 8)), ROW(SEG, seg[VCPU_SEG_CS].base, bit(32), VCPU_CHECK('S', 8)),
    ROW(SEG, seg[VCPU_SEG_DS].base, 0xffffffff, 0), ROW(SEG, seg[VCPU_SEG_FS].base, NONCANONICAL, VCPU_CHECK('S', 7)),
    ROW(SEG, seg[VCPU_SEG_TR].base, NONCANONICAL, VCPU_CHECK('S', 7)), ROW(SEG, seg[VCPU_SEG_FS].base, ~0ul << 47, 0),
    ROW(SEG, seg[VCPU_SEG_TR].attributes, 0x20000, VCPU_CHECK('S', 18)), ROW(SEG, seg[VCPU_SEG_ES].attributes, 0x100, VCPU_CHECK('S', 18)),
    ROW(SEG, seg[VCPU_SEG_TR].attributes, 0x1f0ff, 0),
    ROW(TABLE, gdtr.base, NONCANONICAL, VCPU_CHECK('S', 23)), ROW(TABLE, idtr.base, NONCANONICAL, VCPU_CHECK('S', 23)),
    ROW(TABLE, gdtr.limit, 0x10000, VCPU_CHECK('S', 24)), ROW(TABLE, idtr.limit, 0x10000, VCPU_CHECK('S', 24)), ROW(TABLE, idtr.limit, 0xffff, 0),
    ROW(CR, cr0, bit(32), VCPU_CHECK('G', 1)), ROW(CR, cr0, CR0_PG, VCPU_CHECK('G', 2)), ROW(CR, cr0, CR0_PG | CR0_PE, 0),
    ROW(CR, cr0, CR0_NW, VCPU_CHECK('V', 7)), ROW(CR, cr0, CR0_NW | CR0_CD, 0), ROW(CR, cr8, 15, 0), ROW(CR, cr8, 16, VCPU_CHECK_CR8),
    ROW(DR, dr6, bit(32), VCPU_CHECK('V', 11)), ROW(DR, dr7, bit(32), VCPU_CHECK('G', 10)), ROW(DR, dr7, 0xffffffff, 0),
    ROW(EFER, efer, EFER_SVME, VCPU_CHECK('G', 14)), ROW(EFER, efer, EFER_SCE | EFER_NXE, 0), ROW(EFER, pat, 2, VCPU_CHECK('G', 13)),
    ROW(EFER, pat, 3ul << 56, VCPU_CHECK('G', 13)), ROW(EFER, pat, 8ul << 24, VCPU_CHECK('G', 13)), ROW(EFER, pat, 0x0706050401000706, 0),
    ROW(SYSENTER, sysenter_cs, bit(32), VCPU_CHECK_SYSENTER_CS), ROW(SYSENTER, sysenter_esp, NONCANONICAL, VCPU_CHECK('G', 11)),
    ROW(SYSENTER, sysenter_eip, NONCANONICAL, VCPU_CHECK('G', 11)),
    ROW(SYSCALL, lstar, NONCANONICAL, VCPU_CHECK('M', 6)), ROW(SYSCALL, cstar, NONCANONICAL, VCPU_CHECK('M', 6)),
    ROW(SYSCALL, kernel_gs, NONCANONICAL, VCPU_CHECK('M', 6)), ROW(SYSCALL, fmask, bit(32), VCPU_CHECK('M', 6)),
    ROW(SYSCALL, tsc_aux, bit(32), VCPU_CHECK('M', 6)), ROW(SYSCALL, star, ~0ul, 0),
    ROW(ACTIVITY, activity, 1, VCPU_CHECK('A', 1)), ROW(ACTIVITY, interruptibility, 4, VCPU_CHECK('A', 8)),
    ROW(ACTIVITY, interruptibility, 3, VCPU_CHECK('A', 9)), ROW(ACTIVITY, interruptibility, 9, 0),
    ROW(CONTROL, control_flags, 2, VCPU_CHECK_CONTROL), ROW(CONTROL, control_flags, 1, 0), ROW(CONTROL, control_reserved[0], 1, VCPU_CHECK_CONTROL),
    ROW(CONTROL, control_reserved[1], 1, VCPU_CHECK_CONTROL),
    ROW(INJECT, windows, 4, VCPU_CHECK_WINDOW), ROW(INJECT, windows, 3, 0),
};

static void values_are_checked_to_the_bit(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < array_size(check_rows); i++) {
        const struct check_row *const r = &check_rows[i];
        struct vcpu_state s = { .pat = PAT_RESET };
        for (u32 b = 0; b < r->bytes; b++)
            ((u8 *)&s)[r->offset + b] = (u8)(r->value >> 8 * b);
        if (virt_check(&s, r->group) != r->id)
            print_message("row %u\n", i);
        assert_int_equal(virt_check(&s, r->group), r->id);
        assert_int_equal(virt_check(&s, VCPU_GROUP_ALL & ~r->group), 0);
    }
    guest_close(g);
}

static void events_are_checked_to_the_bit(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    static const struct { u64 event; u32 len, id; } rows[] = {
        { VCPU_EVENT_INTERRUPT(255), 0, 0 }, { VCPU_EVENT_VALID | 0x100, 0, VCPU_CHECK('N', 3) }, { VCPU_EVENT_VALID | 0x700, 0, VCPU_CHECK('N', 3) },
        { VCPU_EVENT_NMI, 0, 0 }, { VCPU_EVENT_VALID | 0x203, 0, VCPU_CHECK('N', 4) },
        { VCPU_EVENT_EXCEPTION(31), 0, 0 }, { VCPU_EVENT_EXCEPTION(32), 0, VCPU_CHECK('N', 5) }, { VCPU_EVENT_EXCEPTION(2), 0, VCPU_CHECK('N', 5) },
        { VCPU_EVENT_EXCEPTION(8) | VCPU_EVENT_ERROR, 0, 0 }, { VCPU_EVENT_INTERRUPT(8) | VCPU_EVENT_ERROR, 0, VCPU_CHECK('N', 7) },
        { VCPU_EVENT_EXCEPTION(6) | VCPU_EVENT_ERROR, 0, VCPU_CHECK('N', 7) }, { VCPU_EVENT_VALID | 0x408 | VCPU_EVENT_ERROR, 1, VCPU_CHECK('N', 7) },
        { VCPU_EVENT_INTERRUPT(32) | 0x1000, 0, VCPU_CHECK('N', 8) }, { VCPU_EVENT_INTERRUPT(32) | 0x40000000, 0, VCPU_CHECK('N', 8) },
        { VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 0xfffful << 32, 0, 0 },
        { VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | bit(48), 0, VCPU_CHECK('N', 9) }, { VCPU_EVENT_EXCEPTION(6) | bit(48), 0, 0 },
        { VCPU_EVENT_VALID | 0x480, 0, VCPU_CHECK_INSN_LEN }, { VCPU_EVENT_VALID | 0x480, 1, 0 }, { VCPU_EVENT_VALID | 0x480, 15, 0 },
        { VCPU_EVENT_VALID | 0x480, 16, VCPU_CHECK_INSN_LEN }, { VCPU_EVENT_INTERRUPT(32), 16, 0 }, { 0x700, 0, 0 },
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        const struct vcpu_state s = { .inject = rows[i].event, .inject_insn_len = rows[i].len };
        if (virt_check(&s, VCPU_GROUP_INJECT) != rows[i].id)
            print_message("row %u\n", i);
        assert_int_equal(virt_check(&s, VCPU_GROUP_INJECT), rows[i].id);
    }
    guest_close(g);
}

/* ---- What was not delivered ---- */

#define SOFT(type, vector) (VCPU_EVENT_VALID | (u64)(type) << 8 | (vector))

static void what_is_pending(void **state)
{
    const u64 error = VCPU_EVENT_ERROR | 0x12ul << 32;
    const struct { u64 inject, event, pending; } rows[] = {
        { 0, 0, 0 }, { 0, VCPU_EVENT_INTERRUPT(0x30), VCPU_EVENT_INTERRUPT(0x30) }, { 0, VCPU_EVENT_NMI, VCPU_EVENT_NMI },
        { 0, VCPU_EVENT_EXCEPTION(13) | error, VCPU_EVENT_EXCEPTION(13) | error },
        { 0, VCPU_EVENT_EXCEPTION(6) | bit(40), VCPU_EVENT_EXCEPTION(6) },            /* no error code: nothing above bit 31 */
        { 0, SOFT(4, 0x80), 0 }, { 0, SOFT(5, 1), 0 }, { 0, SOFT(6, 3), 0 },          /* the guest's own: RIP stands at the instruction */
        { 0, VCPU_EVENT_EXCEPTION(3), 0 }, { 0, VCPU_EVENT_EXCEPTION(4), 0 }, { 0, VCPU_EVENT_EXCEPTION(1), VCPU_EVENT_EXCEPTION(1) },
        { 0, VCPU_EVENT_INTERRUPT(3), VCPU_EVENT_INTERRUPT(3) }, { 0, VCPU_EVENT_INTERRUPT(4), VCPU_EVENT_INTERRUPT(4) },
        { SOFT(4, 0x80), SOFT(4, 0x80), SOFT(4, 0x80) }, { SOFT(4, 0x80), SOFT(4, 0x81), 0 }, { SOFT(4, 3), SOFT(6, 3), 0 },
        { SOFT(5, 1), VCPU_EVENT_EXCEPTION(1), SOFT(5, 1) }, { SOFT(6, 3), VCPU_EVENT_EXCEPTION(3), SOFT(6, 3) },
        { SOFT(6, 4), VCPU_EVENT_EXCEPTION(3), 0 }, { SOFT(4, 3), VCPU_EVENT_EXCEPTION(3), 0 }, { SOFT(6, 3), SOFT(4, 3), 0 },
        { SOFT(6, 3), VCPU_EVENT_INTERRUPT(3), VCPU_EVENT_INTERRUPT(3) },
        { VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR, VCPU_EVENT_EXCEPTION(13) | error, VCPU_EVENT_EXCEPTION(13) | error },
        { SOFT(4, 0x80), SOFT(4, 0x80) & ~VCPU_EVENT_VALID, 0 },
    };
    struct guest *g = guest_open(VENDOR(state));
    struct vcpu v = *g->v;
    for (u32 i = 0; i < array_size(rows); i++) {
        v.inject = rows[i].inject;
        if (virt_pending(&v, rows[i].event) != rows[i].pending)
            print_message("row %u\n", i);
        assert_int_equal(virt_pending(&v, rows[i].event), rows[i].pending);
    }
    guest_close(g);
}

/* ---- Between runs ---- */

static void changes_stack_and_result(struct guest *g, struct sim_guest *guest)
{
    guest->gpr[RSP] = 0x7654321;
    guest->gpr[RAX] = 0x1234567;
    guest->gpr[R15] = 0xfedcba;
}

static void registers_the_guest_changed(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    g->before = changes_stack_and_result;
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->s->gpr[RSP], 0x7654321);
    assert_int_equal(g->s->gpr[RAX], 0x1234567);
    assert_int_equal(g->s->gpr[R15], 0xfedcba);
    guest_close(g);
}

static void an_event_is_injected_once(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_INJECT);
    g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_UD);
    guest_run(g, VCPU_GROUP_INJECT);
    assert_int_equal(g->seen.event & 0xffffffff, VCPU_EVENT_EXCEPTION(VECTOR_UD));
    guest_run(g, 0);
    assert_int_equal(g->seen.event, 0);
    assert_int_equal(g->s->pending, 0);
    guest_close(g);
}

/* An entry that failed gives its event back; the next run has no part in that. */
static void a_failure_is_over(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT);
    const u64 cr4 = g->s->cr4;
    g->s->cr4 = bit(63);
    g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_UD);
    assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->s->pending, VCPU_EVENT_EXCEPTION(VECTOR_UD));
    g->s->cr4 = cr4;
    g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_UD);
    assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->s->pending, 0);
    guest_close(g);
}

/* The instruction after STI comes first. */
static void a_shadow_keeps_the_window_shut(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_ACTIVITY | VCPU_GROUP_RIP | VCPU_GROUP_INJECT);
    g->s->rflags |= RFLAGS_IF;
    g->s->interruptibility = VCPU_BLOCKED_STI;
    g->s->windows = VCPU_WINDOW_INTR;
    guest_run(g, VCPU_GROUP_ACTIVITY | VCPU_GROUP_RIP | VCPU_GROUP_INJECT);
    assert_true(g->entries > 0);
    assert_int_equal(g->seen.interruptibility & VCPU_BLOCKED_STI, VCPU_BLOCKED_STI);
    guest_close(g);
}

static void unusable_and_large_segments(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_SEG);
    g->s->seg[VCPU_SEG_DS] = (struct vcpu_segment){ .limit = 0xffff, .attributes = VCPU_SEG_UNUSABLE | 0x93 };
    g->s->seg[VCPU_SEG_ES] = (struct vcpu_segment){ .limit = 0xffffffff, .attributes = 0xc093, .selector = 8 };
    g->s->want = VCPU_GROUP_SEG;
    guest_run(g, VCPU_GROUP_SEG);
    assert_true(g->seen.seg[VCPU_SEG_DS].attributes & VCPU_SEG_UNUSABLE || !(g->seen.seg[VCPU_SEG_DS].attributes & 0x80));
    assert_true(g->s->seg[VCPU_SEG_DS].attributes & VCPU_SEG_UNUSABLE);
    assert_int_equal(g->s->seg[VCPU_SEG_ES].attributes, 0xc093);
    assert_int_equal(g->s->seg[VCPU_SEG_ES].limit, 0xffffffff);
    guest_close(g);
}

/* Breakpoints that are enabled are in the registers in each run; those of a guest that uses none are kept, and the host's are not taken for them. */
static u64 dr0_inside;
static void look_at_dr0(struct guest *g, struct sim_guest *guest)
{
    dr0_inside = guest_sim_register(g->f->sim, 0, GUEST_HOST_DR0);
}

static void breakpoints(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    g->before = look_at_dr0;
    guest_fetch(g, VCPU_GROUP_DR);
    g->s->dr0 = 0x1111;
    g->s->dr7 = 0x401;
    for (u32 i = 0; i < 3; i++) {
        mach_dr_write(0, 0xbad);
        guest_run(g, i ? 0 : VCPU_GROUP_DR);
        assert_int_equal(dr0_inside, 0x1111);
    }
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr0, 0x1111);
    g->s->dr0 = 0x2222;
    g->s->dr7 = 0x400;
    for (u32 i = 0; i < 2; i++) {
        mach_dr_write(0, 0xbad);
        guest_run(g, i ? 0 : VCPU_GROUP_DR);
        assert_int_equal(dr0_inside, 0xbad);
    }
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr0, 0x2222);
    guest_close(g);
}

/* A second vCPU ran here in between: what is looked at and entered is the first one's. */
static void two_on_one_cpu(void **state)
{
    enum { OTHER_EC = 300, OTHER = 310 };
    struct guest *g = guest_open(VENDOR(state));
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    struct object *o;
    guest_fetch(g, VCPU_GROUP_INJECT);
    g->s->windows = VCPU_WINDOW_INTR;   /* its IF is clear: shut */
    guest_enter(g, VCPU_GROUP_INJECT);
    assert_true(guest_inside(g));
    struct ec *const ec = fixture_thread(g->f, 0, g->f->pd, 50, OTHER_EC);
    fixture_trap(g->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_ptr_equal(cpu->current, ec);
    assert_int_equal(fixture_call(g->f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, OTHER, 0, GUEST_STATE + 16 * PAGE_SIZE), OK);
    assert_int_equal(fixture_call(g->f, ec, HYPERCALL_vcpu_run, OTHER), OK);
    assert_int_equal(space_obj_lookup(&g->f->pd->objects, OTHER, OBJ_VCPU, 0, &o), OK);
    struct vcpu *const other = container_of(o, struct vcpu, object);
    other->state->rflags = RFLAGS_ONE | RFLAGS_IF;
    other->state->dirty = VCPU_GROUP_RIP;
    fixture_call(g->f, ec, HYPERCALL_vcpu_run, OTHER);
    assert_ptr_equal(g->f->resumed[0], &other->resume);
    ec_kill(fixture_cpu(g->f, 0), ec);
    fixture_trap(g->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_true(guest_inside(g));
    assert_ptr_equal(g->f->resumed[0], &g->v->resume);
    if (g->vendor == SIM_VMX)
        assert_int_equal(cpu->virt.current, g->v->hw_phys);
    guest_close(g);
}

/* The same thread runs two in turn: what is loaded into one does not land in the other. */
static void two_in_turn(void **state)
{
    enum { OTHER = 310 };
    struct guest *g = guest_open(VENDOR(state));
    struct object *o;
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, OTHER, 0, GUEST_STATE + 16 * PAGE_SIZE), OK);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, OTHER), OK);
    assert_int_equal(space_obj_lookup(&g->f->pd->objects, OTHER, OBJ_VCPU, 0, &o), OK);
    struct vcpu_state *const other = container_of(o, struct vcpu, object)->state;
    for (u64 i = 0; i < 3; i++) {
        g->s->rip = 0x1000 + i;
        assert_int_equal(guest_run(g, VCPU_GROUP_RIP), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.rip, 0x1000 + i);
        other->rip = 0x2000 + i;
        other->dirty = VCPU_GROUP_RIP;
        fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, OTHER);
        while (guest_inside(g))
            assert_true(guest_step(g));
        assert_int_equal(other->exit.reason, VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.rip, 0x2000 + i);
        assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, VCPU_GROUP_RIP), OK);
        assert_int_equal(g->s->rip, 0x1000 + i);
    }
    guest_close(g);
}

/* A write to memory that may be read: the exit says which rights are there. */
static void rights_that_are_there(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    u64 done;
    assert_int_equal(space_mem_delegate(&g->f->pd->memory, FIXTURE_MEMORY >> PAGE_BITS, &g->f->pd->guest, 5, 1, RIGHT_R, &done), OK);
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x5008, .access = RIGHT_W });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_MMIO);
    assert_int_equal(g->s->exit.u.mmio.gpa, 0x5008);
    assert_int_equal(g->s->exit.u.mmio.access & RIGHT_W, RIGHT_W);
    assert_int_equal(g->s->exit.u.mmio.present, RIGHT_R);
    guest_close(g);
}

/* ---- Hardware structures ---- */

static void nested_tables_are_the_spaces(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    assert_int_equal(vmcb_get(g->v, VMCB(n_cr3)), g->v->space->ptab.root);
    assert_int_equal(vmcb_get(g->v, VMCB(np_control)), 1);
    guest_close(g);
}

static void nested_tables_are_the_spaces_on_vmx(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_run(g, 0);
    fixture_cpu(g->f, 0);
    assert_int_equal(mach_vmread(VMCS_EPTP), g->v->space->ptab.root | 6 | 3 << 3);   /* write-back, four levels */
    guest_close(g);
}

/* All ports and MSRs are intercepted; behind the two maps lies the page that VMRUN saves the host in. */
static void the_maps_are_all_ones(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    const struct virt_cpu *const c = &g->f->k->cpu[0]->virt;
    const u64 bytes = SVM_IOPM_BYTES + SVM_MSRPM_BYTES;
    const u8 *const maps = mach_phys_to_virt(c->maps);
    for (u64 i = 0; i < bytes; i++)
        assert_int_equal(maps[i], 0xff);
    assert_int_equal(c->region, c->maps + bytes);
    assert_int_equal(vmcb_get(g->v, VMCB(iopm_base)), c->maps);
    assert_int_equal(vmcb_get(g->v, VMCB(msrpm_base)), c->maps + SVM_IOPM_BYTES);
    guest_close(g);
}

/* Each wish, on and off again, beside the others. */
static void intercepts_follow_the_wishes(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_CONTROL | VCPU_GROUP_INJECT | VCPU_GROUP_ACTIVITY);
    for (u32 i = 0; i < 24; i++) {
        const u32 wish = (i * 5) & 7;
        g->s->control_flags = wish & 1 ? VCPU_CONTROL_RDTSC : 0;
        g->s->windows = wish & 2 ? VCPU_WINDOW_INTR : 0;   /* IF is clear */
        g->s->interruptibility = wish & 4 ? VCPU_BLOCKED_NMI : 0;
        guest_enter(g, VCPU_GROUP_CONTROL | VCPU_GROUP_INJECT | VCPU_GROUP_ACTIVITY);
        assert_true(guest_inside(g));
        const u32 one = vmcb_get32(g->v, VMCB(intercept1)), two = vmcb_get32(g->v, VMCB(intercept2));
        assert_int_equal(!!(one & SVM_ICEPT1_RDTSC), !!(wish & 1));
        assert_int_equal(!!(two & SVM_ICEPT2_RDTSCP), !!(wish & 1));
        assert_int_equal(!!(one & SVM_ICEPT1_VINTR), !!(wish & 2));
        assert_int_equal(!!(one & SVM_ICEPT1_IRET), !!(wish & 4));
        while (guest_inside(g))
            assert_true(guest_step(g));
    }
    guest_close(g);
}

/* A machine check that meets a guest is the host's. */
static void a_machine_check_on_svm(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_does(g, (struct engine_event){ .kind = EVENT_EXCEPTION, .vector = VECTOR_MC });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(atomic_load(&g->f->k->cpu[0]->nmi), 1u << VECTOR_MC);
    guest_close(g);
}

static void enabling_without_memory(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    const u64 used = atomic_load(&g->f->k->quota.used);
    sim_unit_fail(g->f->sim, 1);
    assert_int_equal(g->f->k->virt->cpu_enable(cpu), STATUS_MEMORY);
    sim_unit_fail(g->f->sim, 0);
    assert_int_equal(atomic_load(&g->f->k->quota.used), used);
    guest_close(g);
}

GUEST_GROUP(virt_rules, GUEST_TEST(values_are_checked_to_the_bit), GUEST_TEST(events_are_checked_to_the_bit), GUEST_TEST(what_is_pending),
            GUEST_TEST(registers_the_guest_changed), GUEST_TEST(an_event_is_injected_once), GUEST_TEST(a_failure_is_over),
            GUEST_TEST(a_shadow_keeps_the_window_shut), GUEST_TEST(unusable_and_large_segments), GUEST_TEST(breakpoints),
            GUEST_TEST(two_on_one_cpu), GUEST_TEST(two_in_turn), GUEST_TEST(rights_that_are_there), GUEST_TEST(enabling_without_memory));
TEST_GROUP(virt_hardware, cmocka_unit_test(nested_tables_are_the_spaces), cmocka_unit_test(nested_tables_are_the_spaces_on_vmx),
           cmocka_unit_test(the_maps_are_all_ones), cmocka_unit_test(intercepts_follow_the_wishes), cmocka_unit_test(a_machine_check_on_svm));
