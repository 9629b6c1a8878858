/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that wants to keep its CPU for ever: each delivery of #AC raises the next one (CVE-2015-5307). A kick from another CPU must end it all the
 * same, again and again. Where the processor does not check alignment (QEMU, the simulated machine's engine) it only spins. */
#include "abi/vcpu.h"
#include "client.h"
#include "guests/guest-hostile.h"
#include "hv.h"
#include "mem.h"
#include "print.h"

#define SEL_VCPU      4096u
#define SEL_GO        4097u
#define SEL_KICKER    4098u
#define SEL_KICKER_SC 4099u
#define STACK_BYTES   8192u
#define GUEST_PAGES   4u
#define ROUNDS        5u
#define DELAY_CALLS   1000u   /* the guest should run by then; if not, the kick is sticky */

#define CR0           0x40031ul   /* AM, NE, ET, PE */
#define RFLAGS        0x40202ul   /* AC, IF: Bochs 2.7 holds interrupts back from a guest with IF = 0 */

static struct vcpu_state *const state = (struct vcpu_state *)PROGRAM_FREE;
static struct thread self, kicker;
static u8 kicker_stack[STACK_BYTES] aligned_to(16);

static void must(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

static void kicker_entry(void *arg)
{
    for (u32 round = 0; round < ROUNDS; round++) {
        if (hv_sm_down(SEL_GO, 0, 0) != OK)
            __builtin_trap();
        for (u32 i = 0; i < DELAY_CALLS; i++)
            (void)!hv_null();
        (void)!hv_vcpu_kick(SEL_VCPU);
    }
    thread_park();
}

static void set_up(void)
{
    const struct program *p = program_page();
    const struct thread_config c = {
        .number = 1, .cpu = 1, .priority = p->priority, .ec = SEL_KICKER, .sc = SEL_KICKER_SC,
        .stack_top = kicker_stack + STACK_BYTES, .entry = kicker_entry,
    };
    memcpy((void *)PROGRAM_MEMORY, (const void *)PROGRAM_GUEST, p->guest_bytes);
    must(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PROGRAM_MEMORY >> PAGE_BITS, 0, DELEGATE(GUEST_PAGES, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST)),
         "map");
    must(hv_vcpu_create(PROGRAM_SEL_PD, SEL_VCPU, self.cpu, PROGRAM_FREE), "vcpu_create");
    must(hv_sm_create(PROGRAM_SEL_PD, SEL_GO, 0), "semaphore");
    must(thread_create(&c, &kicker), "kicker");
}

/* Flat 32-bit mode at privilege level 3, alignment checks on, the stack not aligned. */
static void begin(void)
{
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        state->seg[i] = (struct vcpu_segment){ .limit = ~0u, .attributes = 0xc0f3, .selector = HOSTILE_DATA };
    state->seg[VCPU_SEG_CS] = (struct vcpu_segment){ .limit = ~0u, .attributes = 0xc0fb, .selector = HOSTILE_CODE };
    state->gdtr.base = HOSTILE_GDT;
    state->gdtr.limit = 23;
    state->idtr.base = HOSTILE_IDT;
    state->idtr.limit = 18 * 8 - 1;
    state->cr0 = CR0;
    state->rip = HOSTILE_ENTRY;
    state->rflags = RFLAGS;
    state->gpr[4] = HOSTILE_STACK + PAGE_SIZE / 2 + 1;   /* RSP */
    state->dirty = VCPU_GROUP_SEG | VCPU_GROUP_TABLE | VCPU_GROUP_CR | VCPU_GROUP_RIP | VCPU_GROUP_GPR;
}

/* Did a kick end it? Counts how often that was in the middle of a delivery. */
static bool round_ends(u32 *deliveries)
{
    must(hv_sm_up(SEL_GO), "go");
    must(hv_vcpu_run(SEL_VCPU), "vcpu_run");
    const bool delivery = (u32)state->pending == (VCPU_EVENT_EXCEPTION(17) | VCPU_EVENT_ERROR);
    *deliveries += delivery;
    if (state->exit.reason == VCPU_EXIT_KICKED && (delivery || !state->pending))
        return true;
    print("hostile-guest: exit %u, pending 0x%lx, rip 0x%lx", state->exit.reason, state->pending, state->rip);
    return false;
}

void program_main(u64 first, u64 utcb)
{
    u32 ended = 0, deliveries = 0;
    self = thread_first();
    set_up();
    must(hv_vcpu_run(SEL_VCPU), "vcpu_run");   /* STARTUP: every group is there */
    begin();
    while (ended < ROUNDS && round_ends(&deliveries)) {
        ended++;
        state->inject = state->pending;
        state->inject_insn_len = state->windows = 0;
        state->dirty = VCPU_GROUP_INJECT;
    }
    print("hostile-guest: %u of %u kicks ended it", ended, ROUNDS);
    print("hostile-guest: %s", deliveries ? "in the middle of deliveries" : "it was spinning");
    client_done(&self, ended != ROUNDS);
}
