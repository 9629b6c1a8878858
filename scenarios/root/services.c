/* SPDX-License-Identifier: BSD-2-Clause */
/* Root's handlers: one local EC per CPU serves the service portals and the exception portals of all programs there.
 * A handler's entry functions never return: they end in reply(). Lock: root.h. Not handled: a program that registers names
 * without end uses up the names. */
#include "hv.h"
#include "mem.h"
#include "print.h"
#include "program.h"
#include "root.h"

#define HANDLER_STACK_PAGES 2u
#define NO_NAME             SERVICE_NAMES

static void lock(void)
{
    if (hv_sm_down(ROOT_SEL_MUTEX, 0, 0) != OK)
        __builtin_trap();
}

static void unlock(void)
{
    if (hv_sm_up(ROOT_SEL_MUTEX) != OK)
        __builtin_trap();
}

static struct utcb *handler_utcb(u32 cpu)
{
    return (struct utcb *)ROOT_HANDLER_UTCB(cpu);
}

static void __attribute__((noreturn)) reply(u64 words, u64 items)
{
    (void)!hv_reply(MTR(words, items));
    __builtin_trap();
}

/* ---- Names; locked ---- */

static u32 name_take(enum name_state state)
{
    for (u32 i = 0; i < SERVICE_NAMES; i++) {
        if (root.name[i].state == NAME_FREE) {
            root.name[i].state = state;
            return i;
        }
    }
    return NO_NAME;
}

static u32 name_find(const char *name)
{
    for (u32 i = 0; i < SERVICE_NAMES; i++)
        if (root.name[i].state == NAME_USED && str_equal(root.name[i].name, name))
            return i;
    return NO_NAME;
}

/* An open slot for the next capability that is sent to this handler. */
static void window_open(u32 cpu)
{
    if (root.window[cpu] == NO_NAME)
        root.window[cpu] = name_take(NAME_WINDOW);
    const u32 slot = root.window[cpu];
    handler_utcb(cpu)->window[SPACE_OBJECT] =
            slot == NO_NAME ? (struct utcb_window){ 0, 0 } : (struct utcb_window){ ROOT_SEL_NAME(slot), 1 };
}

static enum status name_register(u32 cpu, const char *name)
{
    if (!*name)
        return STATUS_ARG;
    if (name_find(name) != NO_NAME)
        return STATUS_EXISTS;
    const u32 slot = root.window[cpu];
    root.name[slot].state = NAME_USED;
    str_copy(root.name[slot].name, name, SERVICE_NAME_BYTES);
    root.window[cpu] = NO_NAME;
    return OK;
}

static enum status name_semaphore(const char *name, u32 *slot)
{
    *slot = name_find(name);
    if (*slot != NO_NAME)
        return OK;
    if (!*name)
        return STATUS_ARG;
    *slot = name_take(NAME_FREE);
    if (*slot == NO_NAME)
        return STATUS_MEMORY;
    const enum status s = hv_sm_create(ROOT_SEL_PD, ROOT_SEL_NAME(*slot), 0);
    if (s != OK)
        return s;
    root.name[*slot].state = NAME_USED;
    str_copy(root.name[*slot].name, name, SERVICE_NAME_BYTES);
    return OK;
}

/* ---- Services ---- */

static void program_ended(u32 index, enum program_state state, u64 detail)
{
    lock();
    struct root_program *p = &root.program[index];
    const bool first = p->state == PROGRAM_RUNS;
    if (first && state == PROGRAM_DONE)
        p->status = detail;
    if (first || state == PROGRAM_DIED)
        p->state = state;
    unlock();
    if (first && hv_sm_up(ROOT_SEL_ENDED) != OK)
        __builtin_trap();
}

static enum status name_request(u32 cpu, u64 service, const char *name, bool arrived, u32 *slot)
{
    if (service == SERVICE_REGISTER)
        return arrived ? name_register(cpu, name) : STATUS_ARG;
    if (service == SERVICE_SEMAPHORE)
        return name_semaphore(name, slot);
    *slot = name_find(name);
    return *slot == NO_NAME ? STATUS_CAP : OK;
}

/* A capability came with a request that does not keep it: empty the window's slot again. */
static void window_drop(u32 cpu)
{
    if (hv_revoke(ROOT_SEL_PD, ROOT_SEL_NAME(root.window[cpu]), REVOKE(1, SPACE_OBJECT), REVOKE_SELF) != OK)
        __builtin_trap();
}

static void service_entry(u64 id, u64 mtr)
{
    const u32 cpu = id & 0xff, index = (u32)(id >> 8);
    struct utcb *u = handler_utcb(cpu);
    const u64 service = MTR_WORDS(mtr) ? u->word[0] : 0;
    const bool arrived = MTR_ITEMS(mtr) && u->item[0].count;
    u32 slot = NO_NAME;
    enum status s = STATUS_ARG;
    char name[SERVICE_NAME_BYTES];
    if (service == SERVICE_DONE && MTR_WORDS(mtr) >= 2) {
        program_ended(index, PROGRAM_DONE, u->word[1]);
        s = OK;
    }
    lock();
    if (service >= SERVICE_REGISTER && service <= SERVICE_SEMAPHORE && MTR_WORDS(mtr) >= 1 + SERVICE_NAME_BYTES / 8) {
        str_copy(name, (const char *)&u->word[1], sizeof(name));
        s = name_request(cpu, service, name, arrived, &slot);
    }
    if (arrived && root.window[cpu] != NO_NAME)
        window_drop(cpu);
    window_open(cpu);
    unlock();
    u->word[0] = s;
    if (s != OK || slot == NO_NAME)
        reply(1, 0);
    u->item[0] = (struct utcb_item){ .base = ROOT_SEL_NAME(slot), .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    reply(1, 1);
}

/* The EC that got an exception nobody handles is sent to wait for ever: its time and its stack are no longer used. */
static void exception_entry(u64 id, u64 mtr)
{
    const u32 cpu = id & 0xff, index = (u32)(id >> 8);
    struct utcb_exception *e = (struct utcb_exception *)handler_utcb(cpu)->word;
    if (index == ROOT_SELF) {
        print("root: died: exception %lu at 0x%lx address 0x%lx", e->vector, e->ip, e->address);
        (void)!hv_shutdown(2);
        __builtin_trap();
    }
    print("%s: died: exception %lu at 0x%lx", root.program[index].config->name, e->vector, e->ip);
    root.program[index].vector = e->vector;
    program_ended(index, PROGRAM_DIED, 0);
    e->ip = PROGRAM_PARK;
    e->flags = 0x202;   /* IF and the bit that is always set: no TF, no AC */
    reply(EXCEPTION_WORDS, 0);
}

/* ---- Setting up ---- */

static enum status handler_create(u32 cpu)
{
    const u64 stack = memory_take(HANDLER_STACK_PAGES);
    if (!stack)
        return STATUS_MEMORY;
    const u64 top = stack + HANDLER_STACK_PAGES * PAGE_SIZE;
    /* An entry is a C function: RSP + 8 is a multiple of 16. */
    const enum status s = hv_ec_create(ROOT_SEL_PD, ROOT_SEL_HANDLER(cpu), ROOT_HANDLER_UTCB(cpu), 0, top - 8,
                                       EC_CONFIG(cpu, EC_LOCAL, ROOT_SEL_NO_EVENT));
    if (s != OK)
        return s;
    root.window[cpu] = NO_NAME;
    window_open(cpu);
    return OK;
}

enum status service_init(const char **step)
{
    *step = "semaphores";
    enum status s = hv_sm_create(ROOT_SEL_PD, ROOT_SEL_PARK, 0);
    if (s == OK)
        s = hv_sm_create(ROOT_SEL_PD, ROOT_SEL_MUTEX, 1);
    if (s == OK)
        s = hv_sm_create(ROOT_SEL_PD, ROOT_SEL_ENDED, 0);
    *step = "handlers";
    for (u32 cpu = 0; s == OK && cpu < root.info->cpu_count && cpu < ROOT_CPUS; cpu++)
        s = handler_create(cpu);
    if (s != OK)
        return s;
    *step = "its own exception portals";
    for (u32 v = 0; s == OK && v < EC_EVENTS; v++)
        s = hv_portal_create(ROOT_SEL_PD, ROOT_SEL_EVENT + v, ROOT_SEL_HANDLER(0), (u64)exception_entry, ROOT_ID(ROOT_SELF, 0));
    return s;
}

static enum status events_give(u32 index, u32 cpu)
{
    const u64 portal = ROOT_SEL_PROGRAM(index) + ROOT_OF_EVENT(cpu), pd = ROOT_SEL_PROGRAM(index) + ROOT_OF_PD;
    enum status s = hv_portal_create(ROOT_SEL_PD, portal, ROOT_SEL_HANDLER(cpu), (u64)exception_entry, ROOT_ID(index, cpu));
    for (u32 v = 0; s == OK && v < EC_EVENTS; v++)
        s = hv_delegate(ROOT_SEL_PD, pd, portal, PROGRAM_SEL_EVENT(cpu) + v,
                        DELEGATE(1, PERM_PORTAL_CALL, SPACE_OBJECT, SPACE_OBJECT));
    return s;
}

enum status service_give(u32 index, const char **step)
{
    const u64 pd = ROOT_SEL_PROGRAM(index) + ROOT_OF_PD;
    *step = "its service and exception portals";
    for (u32 cpu = 0; cpu < root.info->cpu_count && cpu < ROOT_CPUS; cpu++) {
        const u64 portal = ROOT_SEL_PROGRAM(index) + ROOT_OF_SERVICE(cpu);
        enum status s = hv_portal_create(ROOT_SEL_PD, portal, ROOT_SEL_HANDLER(cpu), (u64)service_entry, ROOT_ID(index, cpu));
        if (s == OK)
            s = hv_delegate(ROOT_SEL_PD, pd, portal, PROGRAM_SEL_SERVICE(cpu),
                            DELEGATE(1, PERM_PORTAL_CALL, SPACE_OBJECT, SPACE_OBJECT));
        if (s == OK)
            s = events_give(index, cpu);
        if (s != OK)
            return s;
    }
    return OK;
}
