/* SPDX-License-Identifier: BSD-2-Clause */
/* The root program: owns everything the kernel leaves over, starts the programs of the boot bundle, waits until each has reported or
 * died, prints the verdict and stops the machine. Verdict lines: "SCENARIO: OK" or "SCENARIO: FAILED (why)". */
#include "hv.h"
#include "loader.h"
#include "print.h"
#include "program.h"
#include "root.h"

struct root root;

enum { EXIT_OK = 0, EXIT_FAILED = 1 };

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

/* All have ended: the first that went wrong decides. */
static void __attribute__((noreturn)) verdict(void)
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
    verdict();
}
