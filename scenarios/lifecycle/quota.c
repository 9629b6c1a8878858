/* SPDX-License-Identifier: BSD-2-Clause */
/* Quotas: each hypercall that allocates, with less than its price. A payer is made anew for each try; its price is found by doing it once; then a ballast, a PD in
 * the payer, leaves it less than that, and then just that. Refused: STATUS_QUOTA, nobody has or pays more than before. */
#include "life.h"
#include "print.h"

#define QUOTA    0x80000ul
#define ALIGN    64ul                          /* prices are multiples of it */
#define NEAR     (PAGE_OF(UTCB_AT(U_PAGE)))    /* 8 pages that the payer holds */
#define TARGET   (NEAR + 32)                   /* in the same table */
#define FAR      0x80000ul                     /* no tables there yet */
#define LEAF     640u                          /* a selector without a leaf */
#define TABLES   (3 * PAGE_SIZE)
enum { PAYER = SEL_FREE, BALLAST, NEW, IDLE, SERVER, PORTAL };

static u64 charge;                             /* of a PD, to who makes it */

struct row {
    const char *name;
    u64 (*ask)(void);
    enum space_type type;                      /* what is held after it: by the payer, or an object at NEW */
    u64 unit;
    u64 stays;                                 /* at most, if it is refused */
    bool takes;                                /* it is held before, not after */
};

/* ---- What is asked ---- */

static u64 ask_pd(void)
{
    return hv_pd_create(PAYER, NEW, 4 * PAGE_SIZE, 0);
}

static u64 ask_thread(void)
{
    return hv_ec_create(PAYER, NEW, TARGET << PAGE_BITS, 0, 0, EC_CONFIG(1, EC_GLOBAL, O_NO_EVENTS));
}

static u64 ask_handler(void)
{
    return hv_ec_create(PAYER, NEW, TARGET << PAGE_BITS, 0, 0, EC_CONFIG(2, EC_LOCAL | EC_FPU, O_NO_EVENTS));
}

static u64 ask_time(void)
{
    return hv_sc_create(PAYER, NEW, IDLE, PRIORITY_WITNESS, 1000);
}

static u64 ask_portal(void)
{
    return hv_portal_create(PAYER, NEW, SERVER, IMAGE_START, 5);
}

static u64 ask_semaphore(void)
{
    return hv_sm_create(PAYER, NEW, 3);
}

static u64 ask_vcpu(void)
{
    return hv_vcpu_create(PAYER, NEW, 3, UTCB_AT(29));
}

static u64 give(enum space_type from, u64 base, enum space_type to, u64 target)
{
    return hv_delegate(PROGRAM_SEL_PD, PAYER, base, target, DELEGATE(1, RIGHT_R, from, to));
}

static u64 ask_capability(void)
{
    return give(SPACE_OBJECT, SEL_NEVER, SPACE_OBJECT, LEAF);
}

static u64 ask_memory(void)
{
    return give(SPACE_MEMORY, PAGE_OF(PROGRAM_MEMORY), SPACE_MEMORY, TARGET);
}

static u64 ask_memory_far(void)
{
    return give(SPACE_MEMORY, PAGE_OF(PROGRAM_MEMORY), SPACE_MEMORY, FAR);
}

static u64 ask_guest(void)
{
    return give(SPACE_MEMORY, PAGE_OF(PROGRAM_MEMORY), SPACE_GUEST, FAR);
}

static u64 ask_part(void)
{
    return hv_revoke(PAYER, NEAR + 2, REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
}

/* The answer stands in the item. */
static u64 send(enum space_type type, u64 base)
{
    u64 mtr;
    self.utcb->item[0] = (struct utcb_item){ .base = base, .count = 1, .rights = RIGHT_R, .type = (u16)type };
    check(hv_call(PORTAL, MTR(0, 1), &mtr), "call");
    return self.utcb->item[0].status;
}

static u64 ask_message(void)
{
    return send(SPACE_OBJECT, SEL_NEVER);
}

static u64 ask_message_memory(void)
{
    return send(SPACE_MEMORY, PAGE_OF(PROGRAM_MEMORY));
}

#define OBJECT .type = SPACE_OBJECT, .unit = NEW
static const struct row rows[] = {
    { "pd_create", ask_pd, OBJECT },
    { "ec_create", ask_thread, OBJECT },
    { "ec_create, local", ask_handler, OBJECT },
    { "sc_create", ask_time, OBJECT },
    { "portal_create", ask_portal, OBJECT },
    { "sm_create", ask_semaphore, OBJECT },
    { "delegate a capability", ask_capability, .type = SPACE_OBJECT, .unit = LEAF },
    { "delegate memory", ask_memory, .type = SPACE_MEMORY, .unit = TARGET },
    { "delegate memory far away", ask_memory_far, .type = SPACE_MEMORY, .unit = FAR, .stays = TABLES },
    { "revoke a part", ask_part, .type = SPACE_MEMORY, .unit = NEAR + 2, .stays = 2 * ALIGN, .takes = true },
    { "call with a capability", ask_message, .type = SPACE_OBJECT, .unit = LEAF },
    { "call with memory", ask_message_memory, .type = SPACE_MEMORY, .unit = TARGET },
    { "vcpu_create", ask_vcpu, OBJECT },   /* from here on: with VMX or SVM */
    { "delegate to a guest", ask_guest, .type = SPACE_GUEST, .unit = FAR, .stays = TABLES },
};
#define ROWS_VIRT 2u

/* ---- The payer ---- */

/* In the payer; its first call says where messages go. */
static void serve(u64 id, u64 mtr)
{
    struct utcb *const u = (struct utcb *)UTCB_AT(U_HANDLER);
    u->window[SPACE_OBJECT] = (struct utcb_window){ LEAF, 1 };
    u->window[SPACE_MEMORY] = (struct utcb_window){ TARGET, 1 };
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

static void payer_make(void)
{
    static u8 stack[2048] aligned_to(16);
    u64 mtr;
    check(hv_pd_create(PROGRAM_SEL_PD, PAYER, QUOTA, 0), "payer");
    image_give(PAYER);
    check(hv_delegate(PROGRAM_SEL_PD, PAYER, PAGE_OF((u64)image_data), NEAR, DELEGATE(8, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)), "delegate");
    if (program_page()->virt)
        check((enum status)give(SPACE_MEMORY, PAGE_OF(PROGRAM_MEMORY), SPACE_GUEST, 1), "guest memory");
    check(hv_ec_create(PAYER, IDLE, UTCB_AT(U_EC), 0, 0, EC_CONFIG(0, EC_GLOBAL, O_NO_EVENTS)), "thread");
    check(hv_ec_create(PAYER, SERVER, UTCB_AT(U_HANDLER), 0, (u64)stack + sizeof(stack) - 8, EC_CONFIG(self.cpu, EC_LOCAL, O_NO_EVENTS)), "handler");
    check(hv_portal_create(PROGRAM_SEL_PD, PORTAL, SERVER, (u64)serve, 0), "portal");
    check(hv_call(PORTAL, MTR(0, 0), &mtr), "its first call");
}

static void payer_end(const struct account *before)
{
    check(hv_revoke(PROGRAM_SEL_PD, PAYER, REVOKE(6, SPACE_OBJECT), REVOKE_SELF), "end of the payer");
    account_await(before);
}

static u64 headroom(void)
{
    const struct account a = account(PAYER);
    return a.limit - a.used;
}

static void ballast(u64 leave)
{
    check(hv_pd_create(PAYER, BALLAST, headroom() - charge - leave, 0), "ballast");
    if (headroom() != leave)
        life_fail("the ballast has another price", headroom());
}

static bool held(const struct row *r)
{
    u64 base, rights;
    check(hv_lookup(r->unit == NEW ? PROGRAM_SEL_PD : PAYER, r->type, r->unit, &base, &rights), "lookup");
    return rights;
}

/* ---- Each row ---- */

static u64 price_of(const struct row *r, const struct account *before)
{
    payer_make();
    const u64 was = headroom();
    check((enum status)r->ask(), "as much as it needs");
    if (held(r) == r->takes)
        life_fail("it has done nothing", 0);
    const u64 price = was - headroom();
    payer_end(before);
    if (price < ALIGN || price > QUOTA / 2)
        life_fail("it costs", price);
    return price;
}

static void refused(const struct row *r, u64 leave, const struct account *before)
{
    payer_make();
    ballast(leave);
    const struct account payer = account(PAYER), own = account(PROGRAM_SEL_PD);
    const u64 status = r->ask();
    const struct account payer_now = account(PAYER), own_now = account(PROGRAM_SEL_PD);
    if (status != STATUS_QUOTA)
        life_fail("with too little it answers", status);
    if (held(r) != r->takes)
        life_fail("it was refused and is done", leave);
    if (payer_now.limit != payer.limit || payer_now.used < payer.used || payer_now.used > payer.used + r->stays)
        life_fail("it was refused and is paid for", payer_now.used - payer.used);
    if (own_now.limit != own.limit || own_now.used != own.used)
        life_fail("it was refused and somebody else pays", own_now.used - own.used);
    payer_end(before);
}

static void granted(const struct row *r, u64 need, u64 price, const struct account *before)
{
    payer_make();
    ballast(need);
    check((enum status)r->ask(), "with just what it needs");
    if (headroom() != need - price || held(r) == r->takes)
        life_fail("its price is another now", headroom());
    payer_end(before);
}

static void charge_find(const struct account *before)
{
    payer_make();
    const u64 was = headroom();
    check(hv_pd_create(PAYER, BALLAST, QUOTA / 4, 0), "ballast");
    charge = was - headroom() - QUOTA / 4;
    payer_end(before);
}

void quota_run(void)
{
    const u32 count = array_size(rows) - (program_page()->virt ? 0 : ROWS_VIRT);
    const struct account before = account(PROGRAM_SEL_PD);
    u32 refusals = 0;
    charge_find(&before);
    for (const struct row *r = rows; r < rows + count; r++) {
        life_what[0] = "quota";
        life_what[1] = r->name;
        life_what[2] = "with its price and less";
        const u64 price = price_of(r, &before), need = r->takes ? 2 * price : price;   /* two cuts, then one of three parts goes */
        const u64 less[] = { 0, ALIGN, need / 3, need / 2, need - ALIGN };
        for (u32 i = 0; i < array_size(less); i++, refusals++)
            refused(r, min(less[i], need - ALIGN) & ~(ALIGN - 1), &before);
        granted(r, need, price, &before);
    }
    print("lifecycle: %u hypercalls that allocate, %u refusals; nothing changed", count, refusals);
}
