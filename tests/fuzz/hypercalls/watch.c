/* SPDX-License-Identifier: BSD-2-Clause */
/* Watching pages by page faults and the trap flag. A fault anywhere else is somebody's mistake: it gets the handler there was before.
 * Not handled: threads. */
#define _GNU_SOURCE   /* REG_EFL */
#include "watch.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

static struct {
    struct watch_range range[WATCH_RANGES];
    bool (*before)(void *arg);
    void *arg;
    bool on;
    struct sigaction fault, step;   /* as they were */
} watch;

static void protect(int access)
{
    for (u32 i = 0; i < WATCH_RANGES; i++)
        if (watch.range[i].bytes && mprotect(watch.range[i].start, watch.range[i].bytes, access))
            abort();
}

static bool is_watched(u64 address)
{
    for (u32 i = 0; i < WATCH_RANGES; i++)
        if (address - (u64)watch.range[i].start < watch.range[i].bytes)
            return watch.on;
    return false;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    if (!is_watched((u64)info->si_addr)) {
        sigaction(SIGSEGV, &watch.fault, NULL);   /* it faults again */
        return;
    }
    protect(PROT_READ | PROT_WRITE);
    watch.on = watch.before(watch.arg);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    if (watch.on)
        protect(PROT_NONE);
}

void watch_begin(const struct watch_range range[WATCH_RANGES], bool (*before)(void *arg), void *arg)
{
    struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    memcpy(watch.range, range, sizeof(watch.range));
    watch.before = before;
    watch.arg = arg;
    watch.on = true;
    sigaction(SIGSEGV, &fault, &watch.fault);
    sigaction(SIGTRAP, &step, &watch.step);
    protect(PROT_NONE);
}

void watch_end(void)
{
    watch.on = false;
    protect(PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &watch.fault, NULL);
    sigaction(SIGTRAP, &watch.step, NULL);
}
