/* SPDX-License-Identifier: BSD-2-Clause */
/* See client.h. */
#include "client.h"
#include "hv.h"
#include "mem.h"
#include "print.h"
#include "service.h"

struct thread thread_first(void)
{
    return (struct thread){ (struct utcb *)PROGRAM_UTCB, program_page()->cpu };
}

void thread_park(void)
{
    for (;;)
        if (hv_sm_down(PROGRAM_SEL_PARK, 0, 0) != OK)
            __builtin_trap();
}

/* Request with a name and at most one item; the answer's status is word 0. */
static enum status request(const struct thread *self, enum service service, const char *name, u64 items)
{
    struct utcb *u = self->utcb;
    u->word[0] = service;
    str_copy((char *)&u->word[1], name, SERVICE_NAME_BYTES);
    u64 mtr;
    const enum status s = hv_call(PROGRAM_SEL_SERVICE(self->cpu), MTR(1 + SERVICE_NAME_BYTES / 8, items), &mtr);
    if (s != OK)
        return s;
    return MTR_WORDS(mtr) ? (enum status)u->word[0] : STATUS_ABORT;
}

static enum status request_item(const struct thread *self, enum service service, const char *name, u64 selector)
{
    struct utcb *u = self->utcb;
    u->window[SPACE_OBJECT] = (struct utcb_window){ selector, 1 };
    const enum status s = request(self, service, name, 0);
    u->window[SPACE_OBJECT] = (struct utcb_window){ 0, 0 };
    return s;
}

enum status client_register(const struct thread *self, const char *name, u64 selector, u32 permissions)
{
    struct utcb *u = self->utcb;
    u->item[0] = (struct utcb_item){ .base = selector, .count = 1, .rights = permissions, .type = SPACE_OBJECT };
    const enum status s = request(self, SERVICE_REGISTER, name, 1);
    return s;
}

enum status client_lookup(const struct thread *self, const char *name, u64 selector)
{
    return request_item(self, SERVICE_LOOKUP, name, selector);
}

enum status client_semaphore(const struct thread *self, const char *name, u64 selector)
{
    return request_item(self, SERVICE_SEMAPHORE, name, selector);
}

void client_done(const struct thread *self, u64 status)
{
    struct utcb *u = self->utcb;
    u->word[0] = SERVICE_DONE;
    u->word[1] = status;
    u64 mtr;
    if (hv_call(PROGRAM_SEL_SERVICE(self->cpu), MTR(2, 0), &mtr) != OK)
        __builtin_trap();   /* root hears of the trap */
    thread_park();
}

void client_fail(const struct thread *self, const char *what, enum status status)
{
    print("%s: %s: %s", program_page()->name, what, hv_status_name(status));
    client_done(self, 1);
}

/* A global EC begins here with the entry and its argument on the stack. */
__attribute__((naked, noreturn)) static void thread_begin(void)
{
    __asm__("pop %rax\n\t"
            "pop %rdi\n\t"
            "cld\n\t"
            "call *%rax\n\t"
            "ud2");
}

static enum status ec(const struct thread_config *c, u32 kind, u64 ip, u64 sp, struct thread *out)
{
    const u64 utcb = PROGRAM_UTCB + c->number * PROGRAM_UTCB_STEP;
    const u64 config = EC_CONFIG(c->cpu, kind, c->event_base ? c->event_base : PROGRAM_SEL_EVENT(c->cpu));
    *out = (struct thread){ (struct utcb *)utcb, c->cpu };
    return hv_ec_create(PROGRAM_SEL_PD, c->ec, utcb, ip, sp, config);
}

enum status thread_create(const struct thread_config *c, struct thread *out)
{
    /* Two words for thread_begin and two of padding: RSP is a multiple of 16 before its call. */
    u64 *top = (u64 *)c->stack_top - 4;
    top[0] = (u64)c->entry;
    top[1] = (u64)c->arg;
    const enum status s = ec(c, EC_GLOBAL, (u64)thread_begin, (u64)top, out);
    if (s != OK)
        return s;
    const u64 budget = program_page()->tsc_khz * PROGRAM_BUDGET_US / 1000;
    return hv_sc_create(PROGRAM_SEL_PD, c->sc, c->ec, c->priority, max(budget, 1ul));
}

enum status thread_create_local(const struct thread_config *c, struct thread *out)
{
    /* A portal entry is a C function: RSP + 8 is a multiple of 16. */
    return ec(c, EC_LOCAL, 0, (u64)c->stack_top - 8, out);
}
