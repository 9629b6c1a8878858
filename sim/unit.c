/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine for unit tests: nothing boots, nothing is scheduled; the kernel's code runs on the test's own stack, as CPU 0 or as whichever CPU
 * the test names. The hook is how a test looks between two steps. */
#include <errno.h>
#include <stdlib.h>
#include "machine_model.h"
#include "translations.h"

struct sim *sim_unit(u32 cpus, u64 ram_bytes, enum sim_vendor vendor)
{
    struct sim *s = sim_create(&(struct sim_config){ .cpus = cpus, .ram_bytes = ram_bytes, .vendor = vendor, .x2apic = true });
    if (!s || !translations_record(s, true))
        return NULL;
    s->unit = true;
    s->steppable = ~0ul >> (64 - cpus);
    for (u32 i = 0; i < cpus; i++)
        s->cpu[i].state = CPU_KERNEL;
    sim_here = s;
    return s;
}

void sim_unit_cpu(struct sim *s, u32 cpu)
{
    sim_here = s;
    s->current = &s->cpu[cpu];
}

void sim_unit_fail(struct sim *s, u64 nth)
{
    s->fail_in = nth;
}

void sim_unit_hook(struct sim *s, void (*hook)(void *arg), void *arg)
{
    s->hook = hook;
    s->hook_arg = arg;
}

const char *sim_unit_expect_panic(struct sim *s, void (*f)(void *arg), void *arg)
{
    jmp_buf here;
    jmp_buf *const outer = s->expected;   /* f may expect one of its own */
    s->expected = &here;
    if (setjmp(here) == 0) {
        f(arg);
        s->expected = outer;
        return NULL;
    }
    s->expected = outer;
    s->in_hook = false;
    return s->message;
}

void unit_end(struct sim *s)
{
    if (s->expected)
        longjmp(*s->expected, 1);
    fprintf(stderr, "simulated machine: %s\n", s->message);
    abort();
}
