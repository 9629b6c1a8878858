/* SPDX-License-Identifier: BSD-2-Clause */
/* Does this machine keep the rules of abi/vcpu.h? Each was broken by some kernel that a VMM had to live with. Runs the interface itself, with
 * snippets of a guest, and gives the same answer on VMX and SVM. The number in a message is the rule's. Argument "shutdown": only that exit.
 * Not checked: rule 10's "never helped", FPU images, PAE page-directory pointers. */
#include "abi/vcpu.h"
#include "client.h"
#include "guests/guest-rules.h"
#include "hv.h"
#include "mem.h"
#include "print.h"

#define SEL_VCPU      4096u
#define SEL_GO        4097u
#define SEL_ACK       4098u
#define SEL_HELPER    4099u
#define SEL_HELPER_SC 4100u
#define SEL_HANDLER   4101u
#define SEL_PORTAL    4102u
#define STACK_BYTES   8192u
#define GUEST_PAGES   16u
#define KICKS_MAX     8u       /* spurious KICKED in a row that are believed */
#define RFLAGS_TF     0x100u
#define DR6_BS        0x4000u

enum { RAX, RCX, RDX, RBX };

static struct vcpu_state *const state = (struct vcpu_state *)PROGRAM_FREE;
static struct thread self, helper, handler;
static u8 helper_stack[STACK_BYTES] aligned_to(16), handler_stack[STACK_BYTES] aligned_to(16);
static u32 checks, failures;

static void must(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

static void rule(u32 number, bool fact, const char *text)
{
    checks++;
    if (fact)
        return;
    failures++;
    print("vcpu-rules: rule %u broken: %s (exit %u, rip 0x%lx)", number, text, state->exit.reason, state->rip);
}

/* ---- Running ---- */

static u32 run_once(void)
{
    must(hv_vcpu_run(SEL_VCPU), "vcpu_run");
    state->dirty = 0;
    return state->exit.reason;
}

/* Until an exit that is no KICKED: a spurious one is legal. An event that it held back is asked for again. */
static u32 run(void)
{
    u32 reason = run_once();
    for (u32 i = 0; i < KICKS_MAX && reason == VCPU_EXIT_KICKED; i++) {
        state->inject = state->pending;
        state->inject_insn_len = state->windows = 0;
        state->dirty = VCPU_GROUP_INJECT;
        reason = run_once();
    }
    return reason;
}

/* The next run begins at rip, with interrupts as given and nothing left over. */
static void begin(u64 rip, u64 rflags)
{
    state->want = 0;
    state->rip = rip;
    state->rflags = rflags;
    state->activity = state->interruptibility = 0;
    state->pending_debug = 0;
    state->inject = 0;
    state->inject_insn_len = state->windows = 0;
    state->dirty = VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY | VCPU_GROUP_INJECT;
}

static bool is_out(u32 reason, u16 port)
{
    return reason == VCPU_EXIT_IO && state->exit.u.io.port == port && !state->exit.u.io.in && !state->exit.u.io.string && state->exit.u.io.size == 1;
}

static void fetch(u32 groups)
{
    must(hv_vcpu_fetch(SEL_VCPU, groups), "vcpu_fetch");
}

static enum status guest_map(u64 page, u64 from, u32 rights)
{
    return hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, (PROGRAM_MEMORY >> PAGE_BITS) + from, page, DELEGATE(1, rights, SPACE_MEMORY, SPACE_GUEST));
}

static void guest_unmap(u64 page)
{
    must(hv_revoke(PROGRAM_SEL_PD, page, REVOKE(1, SPACE_GUEST), REVOKE_SELF), "unmap");
}

/* ---- Rules ---- */

static void startup(void)
{
    rule(3, run_once() == VCPU_EXIT_STARTUP, "the first exit is STARTUP");
    const u32 groups = state->capabilities & VCPU_GROUP_ALL & ~VCPU_GROUP_FPU;
    rule(2, (state->valid & groups) == groups, "STARTUP brings every group");
    rule(11, state->version == VCPU_STATE_VERSION, "version");
    rule(8, state->rip == 0xfff0 && state->seg[VCPU_SEG_CS].base == 0xffff0000 && state->seg[VCPU_SEG_CS].selector == 0xf000, "reset state: first instruction");
    rule(8, state->rflags == 2 && (state->cr0 & 0x80000001) == 0 && state->efer == 0, "reset state: real mode");
    rule(4, state->pending == 0, "nothing pending at first");
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        state->seg[i] = (struct vcpu_segment){ .limit = 0xffff, .attributes = i == VCPU_SEG_CS ? 0x9b : 0x93 };
    state->gpr[4] = 0xff0;   /* RSP */
    begin(RULES_OUT, 2);
    state->dirty |= VCPU_GROUP_SEG | VCPU_GROUP_GPR;
}

static void groups(void)
{
    rule(3, state->rip == RULES_OUT + 3, "RIP stands at the instruction");
    rule(11, state->exit.insn_len == 2 || state->exit.insn_len == 0, "length of the instruction is right or unknown");
    rule(2, state->valid == (VCPU_GROUP_GPR | VCPU_GROUP_RIP), "an IO exit brings GPR and RIP and nothing else");
    rule(2, (u16)state->gpr[RAX] == 0x1234, "the guest's RAX");
    state->gpr[RAX] = 0x4321;   /* not dirty: must be ignored */
    state->rip += 2;
    state->dirty = VCPU_GROUP_RIP;
    state->want = VCPU_GROUP_CR;
    rule(3, run() == VCPU_EXIT_HLT, "HLT exits");
    const u32 brought = VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY | VCPU_GROUP_CR;
    rule(2, state->valid == brought, "HLT brings RIP and ACTIVITY, and what was wanted");
    fetch(VCPU_GROUP_GPR | VCPU_GROUP_TABLE);
    rule(2, state->valid == (brought | VCPU_GROUP_GPR | VCPU_GROUP_TABLE), "fetch adds to the valid groups");
    rule(2, (u16)state->gpr[RAX] == 0x1234, "what is not dirty is not taken");
    rule(2, (u16)state->gpr[RBX] == 0x5678, "the guest went on after the OUT");
}

static void refused(void)
{
    begin(RULES_OUT, 2);
    state->dirty |= 1u << 15;
    rule(2, hv_vcpu_run(SEL_VCPU) == STATUS_FEATURE, "a dirty group that does not exist is refused");
    begin(RULES_OUT, 2);
    rule(2, is_out(run(), RULES_PORT), "and the vCPU runs afterwards");
}

static void kicks(void)
{
    begin(RULES_OUT, 2);
    must(hv_vcpu_kick(SEL_VCPU), "kick");
    must(hv_vcpu_kick(SEL_VCPU), "kick");
    rule(6, run_once() == VCPU_EXIT_KICKED, "a kick is sticky");
    fetch(VCPU_GROUP_RIP);
    rule(6, state->rip == RULES_OUT, "and nothing ran");
    rule(6, is_out(run(), RULES_PORT), "then the guest runs");
    begin(RULES_OUT, 0x202);
    state->inject = VCPU_EVENT_INTERRUPT(RULES_VECTOR);
    must(hv_vcpu_kick(SEL_VCPU), "kick");
    rule(4, run_once() == VCPU_EXIT_KICKED && state->pending == VCPU_EVENT_INTERRUPT(RULES_VECTOR), "a kick loses no injection");
    begin(RULES_OUT, 0x202);
    state->inject = VCPU_EVENT_INTERRUPT(RULES_VECTOR);
    rule(4, is_out(run(), RULES_VECTOR) && state->pending == 0, "an injected interrupt is delivered");
    must(hv_sm_up(SEL_GO), "go");
    begin(RULES_SPIN, 0x202);   /* IF = 1: on Bochs 2.7 (VMX) a guest that ran 50 million instructions with IF = 0 exited only behind its STI */
    rule(6, run_once() == VCPU_EXIT_KICKED, "a kick from another CPU ends a guest that spins");
    must(hv_sm_down(SEL_ACK, 0, 0), "ack");
}

/* The vector table is not mapped when the interrupt is delivered: the event must come back. */
static void pending(void)
{
    guest_unmap(0);
    begin(RULES_OUT, 0x202);
    state->inject = VCPU_EVENT_INTERRUPT(RULES_VECTOR);
    rule(4, run() == VCPU_EXIT_MMIO && state->exit.u.mmio.gpa >> PAGE_BITS == 0, "a nested fault during delivery");
    rule(4, state->pending == VCPU_EVENT_INTERRUPT(RULES_VECTOR), "returns the event");
    must(guest_map(0, 0, RIGHT_MEMORY), "map");
    state->inject = state->pending;
    state->inject_insn_len = state->windows = 0;
    state->dirty = VCPU_GROUP_INJECT;
    rule(4, is_out(run(), RULES_VECTOR) && state->pending == 0, "which is delivered when it is asked for again");
}

static void windows(void)
{
    begin(RULES_WINDOW, 2);
    state->windows = VCPU_WINDOW_INTR;
    rule(5, run() == VCPU_EXIT_INTR_WINDOW, "a window opens");
    rule(5, state->rflags & 0x200 && !(state->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS)), "and it is open");
    rule(5, state->rip == RULES_WINDOW + 3, "one instruction after STI");
    rule(5, is_out(run(), RULES_PORT), "a window that is not asked for again does not exit");
}

static void memory(void)
{
    u8 *ram = (u8 *)PROGRAM_MEMORY;
    for (u64 page = 2; page < 8; page++)
        ram[page * PAGE_SIZE] = (u8)(page * 16);
    begin(RULES_READ, 2);
    rule(9, is_out(run(), RULES_PORT) && (u8)state->gpr[RAX] == 0x20 && (u8)state->gpr[RBX] == 0x30, "the guest reads its RAM");
    guest_unmap(3);
    begin(RULES_READ, 2);
    const bool fault = run() == VCPU_EXIT_MMIO;
    rule(9, fault && state->exit.u.mmio.gpa == 0x3000, "an unmapped page faults, its neighbour before it does not");
    rule(9, state->exit.u.mmio.access == RIGHT_R && state->exit.u.mmio.present == 0, "as a read of what is not there");
    must(guest_map(3, 7, RIGHT_R), "map");
    state->dirty = 0;
    rule(9, is_out(run(), RULES_PORT) && (u8)state->gpr[RBX] == 0x70, "another page in its place is seen at once");
    rule(9, (u8)state->gpr[RCX] == 0x40, "and the neighbour after it is there");
    begin(RULES_WRITE, 2);
    rule(9, run() == VCPU_EXIT_MMIO && state->exit.u.mmio.gpa == 0x3000, "a write to a page without W faults");
    rule(9, state->exit.u.mmio.access & RIGHT_W && state->exit.u.mmio.present & RIGHT_R && !(state->exit.u.mmio.present & RIGHT_W),
         "and the exit says which rights are there");
    rule(9, ram[7 * PAGE_SIZE] == 0x70, "the page is unchanged");
    guest_unmap(3);
    guest_unmap(2);
    begin(RULES_LAST, 2);
    rule(9, run() == VCPU_EXIT_MMIO && state->exit.u.mmio.gpa == 0x3000, "an instruction at the end of a page does not need the one behind it");
    must(guest_map(2, 2, RIGHT_MEMORY), "map");
    must(guest_map(3, 3, RIGHT_MEMORY), "map");
}

static u64 guest_tsc(u64 offset)
{
    fetch(VCPU_GROUP_TSC);
    begin(RULES_TSC, 2);
    state->tsc_offset = offset;
    state->dirty |= VCPU_GROUP_TSC;
    rule(7, is_out(run(), RULES_PORT), "RDTSC runs");
    return (state->gpr[RDX] << 32) | (u32)state->gpr[RAX];
}

static void tsc(void)
{
    const u64 base = guest_tsc(0), far = guest_tsc(bit(45)), again = guest_tsc(bit(45)), back = guest_tsc(0);
    rule(7, far - base >= bit(45) && far - base < bit(45) + bit(43), "the TSC offset is added");
    rule(7, again - far < bit(43), "and absolute: written twice, added once");
    rule(7, back - base < bit(43), "and goes away");
}

static void exceptions(void)
{
    begin(RULES_UD, 2);
    rule(3, is_out(run(), 6), "an exception that is not intercepted is the guest's");
    begin(RULES_UD, 2);
    fetch(VCPU_GROUP_CONTROL);
    state->exceptions = bit(6);
    state->control_flags = 0;
    state->dirty |= VCPU_GROUP_CONTROL;
    rule(3, run() == VCPU_EXIT_EXCEPTION && state->exit.u.exception.vector == 6, "an intercepted one is an exit");
    rule(3, state->rip == RULES_UD, "at its instruction");
    begin(RULES_UD, 2);
    state->exceptions = 0;
    state->dirty |= VCPU_GROUP_CONTROL;
    rule(3, is_out(run(), 6), "and the guest's again afterwards");
}

/* The kernel looks at each #DB: the guest must not see that. A scenario of its own: docs/caveats.md says what Bochs 2.7 as an SVM machine does. */
static void single_step(void)
{
    begin(RULES_STEP, 2 | RFLAGS_TF);
    for (u32 i = 1; i <= 2; i++) {
        rule(3, is_out(run(), 1), "a single step that is not intercepted is the guest's");
        rule(3, (u16)state->gpr[RBX] == RULES_STEP + i, "behind its instruction");
        rule(3, (state->gpr[RAX] & 0xe00f) == DR6_BS, "with BS in its DR6");
        state->rip += 2;
        state->dirty = VCPU_GROUP_RIP;
    }
    rule(3, run() == VCPU_EXIT_HLT, "and nothing is left of it");
}

/* A scenario of its own: Bochs 2.7 as an SVM machine stops at a guest's triple fault. */
static void triple_fault(void)
{
    fetch(VCPU_GROUP_TABLE);
    const u32 limit = state->idtr.limit;
    begin(RULES_UD, 2);
    state->idtr.limit = 0;
    state->dirty |= VCPU_GROUP_TABLE;
    rule(3, run() == VCPU_EXIT_SHUTDOWN, "a triple fault is SHUTDOWN");
    fetch(VCPU_GROUP_TABLE);
    state->idtr.limit = limit;
    begin(RULES_OUT, 2);
    state->dirty |= VCPU_GROUP_TABLE;
    rule(3, is_out(run(), RULES_PORT), "and the vCPU can be used again");
}

/* A value that no machine may accept. Then only what was broken is repaired: the rest must have stayed as it was. */
static void garbage_in(u64 *member, u32 group, u64 value, const char *text)
{
    static struct vcpu_state good;
    fetch(state->capabilities & VCPU_GROUP_ALL & ~VCPU_GROUP_FPU);
    memcpy(&good, state, PAGE_SIZE);
    const u64 was = *member;
    begin(RULES_OUT, 2);
    *member = value;
    state->dirty |= group;
    rule(11, run() == VCPU_EXIT_ENTRY_FAILED, text);
    *member = was;
    fetch(state->capabilities & VCPU_GROUP_ALL & ~(VCPU_GROUP_FPU | VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY | group));
    rule(11, memcmp(state->gpr, good.gpr, offset_of(struct vcpu_state, activity) - offset_of(struct vcpu_state, gpr)) == 0, "a refused entry changes nothing");
    begin(RULES_OUT, 2);
    state->dirty |= group;
    rule(11, is_out(run(), RULES_PORT), "after garbage the vCPU can be used again");
}

static void garbage(void)
{
    garbage_in(&state->cr0, VCPU_GROUP_CR, bit(40), "CR0 above bit 31");
    garbage_in(&state->cr4, VCPU_GROUP_CR, bit(40), "CR4 reserved bit");
    garbage_in(&state->efer, VCPU_GROUP_EFER, bit(2), "EFER reserved bit");
    garbage_in(&state->dr7, VCPU_GROUP_DR, bit(40), "DR7 above bit 31");
    begin(RULES_OUT, 2);
    state->inject = VCPU_EVENT_VALID | 0x100ul | RULES_VECTOR;   /* type 1 is reserved */
    rule(11, run() == VCPU_EXIT_ENTRY_FAILED, "event of a reserved type");
    begin(RULES_OUT, 2);
    rule(11, is_out(run(), RULES_PORT), "after garbage the vCPU can be used again");
}

/* ---- Who may run ---- */

static void helper_entry(void *arg)
{
    if (hv_sm_down(SEL_GO, 0, 0) != OK)
        __builtin_trap();
    for (u32 i = 0; i < 1000; i++)   /* the guest should be spinning by then; if not, the kick is sticky */
        (void)!hv_null();
    (void)!hv_vcpu_kick(SEL_VCPU);
    (void)!hv_sm_up(SEL_ACK);
    (void)!hv_sm_down(SEL_GO, 0, 0);
    rule(10, hv_vcpu_run(SEL_VCPU) == STATUS_CPU, "a vCPU runs on its CPU only");
    (void)!hv_sm_up(SEL_ACK);
    thread_park();
}

static void handler_entry(u64 id, u64 mtr)
{
    handler.utcb->word[0] = hv_vcpu_run(SEL_VCPU);
    (void)!hv_reply(MTR(1, 0));
    __builtin_trap();
}

static void who_may_run(void)
{
    must(hv_sm_up(SEL_GO), "go");
    must(hv_sm_down(SEL_ACK, 0, 0), "ack");
    u64 mtr;
    must(hv_call(SEL_PORTAL, MTR(0, 0), &mtr), "call");
    rule(10, self.utcb->word[0] == STATUS_BUSY, "no run on a donated scheduling context");
}

static void set_up(void)
{
    const struct program *p = program_page();
    memcpy((void *)PROGRAM_MEMORY, (const void *)PROGRAM_GUEST, p->guest_bytes);
    for (u64 page = 0; page < GUEST_PAGES; page++)
        must(guest_map(page, page, RIGHT_MEMORY), "map");
    must(hv_vcpu_create(PROGRAM_SEL_PD, SEL_VCPU, self.cpu, PROGRAM_FREE), "vcpu_create");
    must(hv_sm_create(PROGRAM_SEL_PD, SEL_GO, 0), "semaphore");
    must(hv_sm_create(PROGRAM_SEL_PD, SEL_ACK, 0), "semaphore");
    struct thread_config c = {
        .number = 1, .cpu = 1, .priority = p->priority, .ec = SEL_HELPER, .sc = SEL_HELPER_SC, .stack_top = helper_stack + STACK_BYTES, .entry = helper_entry,
    };
    must(thread_create(&c, &helper), "helper");
    c = (struct thread_config){ .number = 2, .cpu = self.cpu, .ec = SEL_HANDLER, .stack_top = handler_stack + STACK_BYTES };
    must(thread_create_local(&c, &handler), "handler");
    must(hv_portal_create(PROGRAM_SEL_PD, SEL_PORTAL, SEL_HANDLER, (u64)handler_entry, 0), "portal");
}

static void all_others(void)
{
    groups();
    refused();
    kicks();
    pending();
    windows();
    memory();
    tsc();
    exceptions();
    garbage();
    who_may_run();
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    set_up();
    startup();
    rule(3, is_out(run(), RULES_PORT), "OUT is an IO exit");   /* with what startup() left dirty */
    if (str_equal(program_page()->args, "shutdown"))
        triple_fault();
    else if (str_equal(program_page()->args, "step"))
        single_step();
    else
        all_others();
    if (failures == 0)
        print("vcpu-rules: %u checks hold", checks);
    client_done(&self, failures);
}
