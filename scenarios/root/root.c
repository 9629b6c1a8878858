/* SPDX-License-Identifier: BSD-2-Clause */
/* The root program: owns everything the kernel leaves over, starts the programs of the boot bundle, waits until each has reported or
 * died, ends them, sees that all their kernel memory comes back, prints the verdict and stops the machine. Verdict lines: "SCENARIO: OK" or "SCENARIO: FAILED (why)". */
#include "client.h"
#include "hv.h"
#include "loader.h"
#include "print.h"
#include "program.h"
#include "root.h"

struct root root;

enum { EXIT_OK = 0, EXIT_FAILED = 1 };
#define LEAF_SLOTS 64u    /* selectors for which the kernel takes memory at once */
#define POLLS      1000u  /* of a millisecond */

/* Kernel memory that is charged to root, and its limit. */
struct account {
    u64 used, limit;
};

static void __attribute__((noreturn)) end(u64 code)
{
    (void)!hv_shutdown(code);
    __builtin_trap();
}

static void __attribute__((noreturn)) fail_step(const char *who, const char *step, enum status s)
{
    print("SCENARIO: FAILED (%s: %s: %s)", who, step, hv_status_name(s));
    end(EXIT_FAILED);
}

static void __attribute__((noreturn)) fail(const char *why)
{
    print("SCENARIO: FAILED (%s)", why);
    end(EXIT_FAILED);
}

static void input_check(void)
{
    if (root.info->magic != INFO_MAGIC || root.info->version != INFO_VERSION)
        fail("no info page of this version");
    const char *wrong = bundle_check(root.bundle, root.info->bundle_bytes);
    if (wrong)
        fail(wrong);
    if (root.bundle->cpus > root.info->cpu_count)
        fail("the machine has too few CPUs");
}

static bool program_ok(const struct root_program *p)
{
    if (p->state == PROGRAM_DIED)
        return p->config->flags & BUNDLE_PROGRAM_MAY_DIE;
    return p->state == PROGRAM_DONE && p->status == 0;
}

/* ---- Nothing may be left of the programs ---- */

/* Leaves of root's capability space stay once they are made: made beforehand, they are in the account from the start. */
static enum status leaf_make(u64 selector)
{
    const enum status s = hv_delegate(ROOT_SEL_PD, ROOT_SEL_PD, ROOT_SEL_PARK, selector, DELEGATE(1, 0, SPACE_OBJECT, SPACE_OBJECT));
    return s == OK ? hv_revoke(ROOT_SEL_PD, selector, REVOKE(1, SPACE_OBJECT), REVOKE_SELF) : s;
}

static enum status account_open(struct account *a)
{
    enum status s = OK;
    for (u64 selector = ROOT_SEL_PROGRAM(0); s == OK && selector < ROOT_SEL_PROGRAM(root.bundle->program_count); selector += LEAF_SLOTS)
        s = leaf_make(selector);
    for (u64 selector = ROOT_SEL_NAME(0); s == OK && selector < ROOT_SEL_NAME(SERVICE_NAMES); selector += LEAF_SLOTS)
        s = leaf_make(selector);
    return s == OK ? hv_pd_info(ROOT_SEL_PD, &a->used, &a->limit) : s;
}

static enum status programs_end(void)
{
    const u64 count = root.bundle->program_count * ROOT_BLOCK;
    enum status s = hv_revoke(ROOT_SEL_PD, ROOT_SEL_NAME(0), REVOKE(SERVICE_NAMES, SPACE_OBJECT), REVOKE_SELF);
    if (s == OK)
        s = hv_revoke(ROOT_SEL_PD, ROOT_SEL_PROGRAM(0), REVOKE(count, SPACE_OBJECT), REVOKE_SELF);
    return s;
}

/* Releases wait for an epoch of all CPUs. */
static bool account_balanced(const struct account *before)
{
    struct account now = { 0 };
    for (u32 i = 0; i < POLLS; i++) {
        if (hv_pd_info(ROOT_SEL_PD, &now.used, &now.limit) == OK && now.used == before->used && now.limit == before->limit)
            return true;
        (void)!hv_sm_down(ROOT_SEL_PARK, 0, thread_tsc() + max(root.info->tsc_khz, 1ul));
    }
    print("SCENARIO: FAILED (kernel memory: %lu bytes are used, %lu were; limit %lu, was %lu)", now.used, before->used, now.limit, before->limit);
    return false;
}

static void leaks_check(const struct account *before)
{
    const enum status s = programs_end();
    if (s != OK)
        fail_step("root", "end of the programs", s);
    /* One of them may have ended inside `print`; nobody else prints any more. */
    (void)!hv_sm_down(ROOT_SEL_CONSOLE, 0, 1);
    (void)!hv_sm_up(ROOT_SEL_CONSOLE);
    if (!account_balanced(before))
        end(EXIT_FAILED);
}

/* All have ended: the first that went wrong decides. */
static void __attribute__((noreturn)) verdict(const struct account *before)
{
    for (u32 i = 0; i < root.bundle->program_count; i++) {
        const struct root_program *p = &root.program[i];
        if (program_ok(p))
            continue;
        if (p->state == PROGRAM_DIED)
            print("SCENARIO: FAILED (%s: died: exception %lu)", p->config->name, p->vector);
        else
            print("SCENARIO: FAILED (%s: status %lu)", p->config->name, p->status);
        end(EXIT_FAILED);
    }
    leaks_check(before);
    print("SCENARIO: OK");
    end(EXIT_OK);
}

void program_main(u64 info, u64 utcb)
{
    root.info = (const struct info *)info;
    root.bundle = (const struct bundle *)ROOT_BUNDLE;
    print_lock(ROOT_SEL_CONSOLE);
    const char *step = "console";
    enum status s = hv_sm_create(ROOT_SEL_PD, ROOT_SEL_CONSOLE, 1);
    if (s != OK)
        fail_step("root", step, s);
    input_check();
    s = service_init(&step);
    if (s != OK)
        fail_step("root", step, s);
    struct account before;
    s = account_open(&before);
    if (s != OK)
        fail_step("root", "account", s);
    for (u32 i = 0; i < root.bundle->program_count; i++) {
        s = program_prepare(i, &step);
        if (s != OK)
            fail_step(bundle_program(root.bundle, i)->name, step, s);
    }
    for (u32 i = 0; i < root.bundle->program_count; i++) {
        s = program_start(i, &step);
        if (s != OK)
            fail_step(bundle_program(root.bundle, i)->name, step, s);
    }
    for (u32 i = 0; i < root.bundle->program_count; i++) {
        s = hv_sm_down(ROOT_SEL_ENDED, 0, 0);
        if (s != OK)
            fail_step("root", "waiting for programs", s);
    }
    verdict(&before);
}
