/* SPDX-License-Identifier: BSD-2-Clause */
/* The owner of a cell's objects: a PD with this program's text and data, made anew for each cell. Its maker runs in it, on the cell's CPU, so that what is made
 * has its first capability there: the owner's end is the end of it all. And what makers and partners do alike. */
#include "../guests/guest-life.h"
#include "life.h"

#define OWNER_QUOTA 0x60000ul
#define STACK_BYTES 2048u
#define BUDGET      max(program_page()->tsc_khz, 1ul)   /* a millisecond */

static void (*maker_make)(void);
static u8 owner_stacks[U_STATE][STACK_BYTES] aligned_to(16);

static void give_pages(u64 pd, u64 from, u64 to, u64 pages, u64 rights)
{
    check(hv_delegate(PROGRAM_SEL_PD, pd, PAGE_OF(from), PAGE_OF(to), DELEGATE(pages, rights, SPACE_MEMORY, SPACE_MEMORY)), "delegate memory");
}

static void give_object(u64 pd, u64 from, u64 to, u64 permissions)
{
    check(hv_delegate(PROGRAM_SEL_PD, pd, from, to, DELEGATE(1, permissions, SPACE_OBJECT, SPACE_OBJECT)), "delegate");
}

static u64 pages_between(u64 start, u64 end)
{
    return PAGE_OF(align_up(end, PAGE_SIZE) - start);
}

void image_give(u64 pd)
{
    const u64 rodata = align_up((u64)image_text_end, PAGE_SIZE);
    give_pages(pd, IMAGE_START, IMAGE_START, pages_between(IMAGE_START, (u64)image_text_end), RIGHT_R | RIGHT_X);
    give_pages(pd, rodata, rodata, pages_between(rodata, (u64)image_rodata_end), RIGHT_R);
    give_pages(pd, (u64)image_data, (u64)image_data, pages_between((u64)image_data, (u64)image_end), RIGHT_R | RIGHT_W);
    give_pages(pd, PROGRAM_PAGE, PROGRAM_PAGE, 1, RIGHT_R);
}

/* ---- In the owner ---- */

void owner_must(enum status s)
{
    if (s != OK)
        __builtin_trap();   /* then the coordinator waits in vain, and says where */
}

static void maker_entry(void)
{
    maker_make();
    owner_must(hv_sm_up(O_READY));
    thread_park();
}

void owner_tell(enum status s)
{
    atomic_store(&life.told, TOLD(s));
    thread_park();
}

u64 *owner_utcb_word(u32 utcb)
{
    return ((struct utcb *)UTCB_AT(utcb))->word;
}

void owner_thread(u32 utcb, u64 ec, u32 cpu, u64 event_base, void (*entry)(void *), void *arg)
{
    const struct thread_config c = {
        .number = utcb, .cpu = cpu, .priority = PRIORITY_OWNER, .ec = ec, .sc = ec + 1, .event_base = event_base,
        .stack_top = owner_stacks[utcb] + STACK_BYTES, .entry = entry, .arg = arg,
    };
    struct thread thread;
    owner_must(thread_create(&c, &thread));
}

void owner_handler(void (*entry)(u64 id, u64 mtr))
{
    const struct thread_config c = {
        .number = U_HANDLER, .cpu = life.home, .ec = O_HANDLER, .event_base = O_NO_EVENTS, .stack_top = owner_stacks[U_HANDLER] + STACK_BYTES,
    };
    struct thread thread;
    owner_must(thread_create_local(&c, &thread));
    owner_must(hv_portal_create(PROGRAM_SEL_PD, O_PORTAL, O_HANDLER, (u64)entry, 0));
}

static void guest_page(u32 from, u64 to)
{
    owner_must(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PAGE_OF(UTCB_AT(from)), PAGE_OF(to), DELEGATE(1, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST)));
}

/* In real mode. */
void owner_vcpu(u64 rip, bool started)
{
    struct vcpu_state *const s = (struct vcpu_state *)UTCB_AT(U_STATE);
    guest_page(U_CODE, LIFE_OUT);
    guest_page(U_PAGE, LIFE_WORD);
    owner_must(hv_vcpu_create(PROGRAM_SEL_PD, O_VCPU, life.home, UTCB_AT(U_STATE)));
    if (!started)
        return;
    owner_must(hv_vcpu_run(O_VCPU));
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        s->seg[i] = (struct vcpu_segment){ .limit = 0xffff, .attributes = i == VCPU_SEG_CS ? 0x9b : 0x93 };
    s->rip = rip;
    s->rflags = 0x202;   /* IF: Bochs 2.7 holds interrupts back from a guest without */
    s->dirty = VCPU_GROUP_SEG | VCPU_GROUP_RIP;
}

/* ---- Made and ended by the coordinator ---- */

void owner_make(void (*make)(void))
{
    const u32 cpu = life.home;
    maker_make = make;
    check(hv_pd_create(PROGRAM_SEL_PD, SEL_OWNER, OWNER_QUOTA, 0), "owner");
    image_give(SEL_OWNER);
    give_pages(SEL_OWNER, PROGRAM_MEMORY, UTCB_AT(U_CODE), 1, RIGHT_MEMORY);
    give_pages(SEL_OWNER, PROGRAM_MEMORY + PAGE_SIZE, UTCB_AT(U_PAGE), 1, RIGHT_MEMORY);
    give_object(SEL_OWNER, SEL_OWNER, PROGRAM_SEL_PD, PERM_ALL);
    give_object(SEL_OWNER, SEL_NEVER, PROGRAM_SEL_PARK, PERM_SM_DOWN);
    give_object(SEL_OWNER, SEL_READY, O_READY, PERM_SM_UP);
    give_object(SEL_OWNER, SEL_PORTAL_OF(cpu), O_SERVER, PERM_PORTAL_CALL);
    give_object(SEL_OWNER, SEL_EVENT_OF(cpu), O_EVENTS + 6, PERM_PORTAL_CALL);
    check(hv_ec_create(SEL_OWNER, SEL_MAKER_EC, PROGRAM_UTCB, (u64)maker_entry, (u64)owner_stacks[U_MAKER] + STACK_BYTES - 8,
                       EC_CONFIG(cpu, EC_GLOBAL, O_NO_EVENTS)), "maker");
    check(hv_sc_create(SEL_OWNER, SEL_MAKER_SC, SEL_MAKER_EC, PRIORITY_MAKER, BUDGET), "its time");
    const enum status s = hv_sm_down(SEL_READY, 0, thread_tsc() + BUDGET * 10000);
    check(s, "the maker");
}

void owner_end(void)
{
    check(hv_revoke(PROGRAM_SEL_PD, SEL_OWNER, REVOKE(3, SPACE_OBJECT), REVOKE_SELF), "end of the owner");
}

void owner_copy(u64 selector)
{
    const enum status s = hv_delegate(SEL_OWNER, PROGRAM_SEL_PD, selector, SEL_COPY + selector, DELEGATE(1, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT));
    check(s == STATUS_RANGE ? OK : s, "copy");
}
