/* SPDX-License-Identifier: BSD-2-Clause */
/* A program's side of root's services, and ECs of its own. Each thread (EC) has a struct thread: its UTCB and its CPU. */
#pragma once
#include "abi/status.h"
#include "abi/utcb.h"
#include "program.h"

struct thread {
    struct utcb *utcb;
    u32 cpu;
};

/* The first EC's. */
struct thread thread_first(void);

/* Report the end of the program; the calling EC then waits for ever. */
void client_done(const struct thread *self, u64 status) __attribute__((noreturn));
/* Make a capability known under a name / get what is known under it into an empty selector. */
must_check enum status client_register(const struct thread *self, const char *name, u64 selector, u32 permissions);
must_check enum status client_lookup(const struct thread *self, const char *name, u64 selector);
/* A semaphore shared by name, made with count 0 by whoever asks first. */
must_check enum status client_semaphore(const struct thread *self, const char *name, u64 selector);

/* For deadlines of sm_down. */
static inline u64 thread_tsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

/* Its low half: one register to keep, where each instruction counts. */
static inline u32 thread_tsc_low(void)
{
    u32 low;
    __asm__ volatile("rdtsc" : "=a"(low) : : "rdx");
    return low;
}

/* An exception 6 on purpose: whoever handles it goes on THREAD_UNDEFINED_BYTES further. */
#define THREAD_UNDEFINED_BYTES 2u
static inline void thread_undefined(void)
{
    __asm__ volatile("ud2");
}

/* Stop this EC for good. */
void thread_park(void) __attribute__((noreturn));

/* An EC of this program on a CPU. number >= 1 chooses its UTCB; it is used once per program. */
struct thread_config {
    u32 number;
    u32 cpu;
    u32 priority;
    u64 ec, sc;                  /* selectors to fill; a local EC has no sc */
    u64 event_base;              /* 0: PROGRAM_SEL_EVENT(cpu), exceptions go to root */
    void *stack_top;             /* a multiple of 16 */
    void (*entry)(void *arg);    /* must not return; local ECs: not used */
    void *arg;
};
must_check enum status thread_create(const struct thread_config *config, struct thread *out);
must_check enum status thread_create_local(const struct thread_config *config, struct thread *out);

/* Say what failed and report it as the program's end. */
void client_fail(const struct thread *self, const char *what, enum status status) __attribute__((noreturn));
