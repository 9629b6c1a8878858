/* SPDX-License-Identifier: BSD-2-Clause */
/* A simulated machine in this process: RAM, CPUs, APICs, clock, VMX or SVM. Many may live side by side; one runs at a time per thread.
 *
 *   struct sim *s = sim_create(&config);      boots like firmware would: ACPI tables and a multiboot2 structure in RAM, BSP in kern_boot
 *   enum sim_end end = sim_run(s, steps);     until shutdown, deadlock, panic, finding or the step budget
 *   sim_result(s)                             what happened: event hash, steps, message
 *   sim_destroy(s);
 *
 * event_hash: docs/machine.md fixes which events in which order. It never depends on host addresses. */
#pragma once
#include "choice.h"
#include "engine.h"
#include "sim_counts.h"

#define SIM_LINE 1024u

enum sim_vendor { SIM_NONE = 0, SIM_VMX = 1, SIM_SVM = 2 };

enum sim_end {
    SIM_SHUTDOWN,    /* mach_shutdown: result.code */
    SIM_PANIC,       /* mach_panic: result.message */
    SIM_DEADLOCK,    /* every CPU halted, no interrupt pending, no timer armed */
    SIM_BUDGET,      /* steps used up */
    SIM_FINDING,     /* a checker's finding: result.message */
    SIM_ENGINE,      /* the engine gave up: result.message */
    SIM_STOPPED,     /* sim_stop */
};

struct sim_config {
    u32 cpus;                        /* 1 .. 64 */
    u64 ram_bytes;                   /* multiple of 1 MiB, 16 MiB to 64 GiB; what is above 3 GiB begins at 4 GiB */
    enum sim_vendor vendor;
    bool x2apic;
    const void *bundle;              /* copied into RAM */
    u64 bundle_bytes;
    const char *line;                /* the kernel's command line, shorter than SIM_LINE; NULL: none */
    struct engine *user, *guest;     /* may be the same; NULL: EVENT_END at once, which ends the run (SIM_STOPPED). The caller's: they
                                        outlive the machine, and so does the chooser */
    struct chooser *chooser;         /* NULL: all zeros */
    enum mach_trace trace;           /* mach_trace_wanted */
    void (*console)(void *arg, const char *text, u32 bytes);
    void (*trace_sink)(void *arg, const void *bytes, u32 count);
    void (*tsc_read)(void *arg, u64 tsc, const struct sim_counts *counts);   /* user mode read the TSC; NULL: nobody wants to know */
    void *arg;
    u64 slice;                       /* instructions an engine runs between two schedule points; 0: 5000 */
};

struct sim_result {
    enum sim_end end;
    u32 code;
    const char *message;             /* "" if there is none */
    const char *rule;                /* the broken rule's name (rule.h); NULL: none */
    u64 event_hash, steps, instructions, traps;
};

struct sim;
struct sim *sim_create(const struct sim_config *config);   /* NULL: errno says why */
enum sim_end sim_run(struct sim *s, u64 max_steps);   /* after SIM_BUDGET and SIM_STOPPED by sim_stop: goes on; else the same end again */
const struct sim_result *sim_result(const struct sim *s);
void sim_stop(struct sim *s);   /* from a callback: sim_run returns SIM_STOPPED at the next step and may be called again */
void sim_destroy(struct sim *s);

/* For unit tests of kernel code without booting: a machine whose CPU 0 is current and outside any trap; mach_* and atomics work
 * at once on the calling stack, every fault choice is 0 unless set. */
struct sim *sim_unit(u32 cpus, u64 ram_bytes, enum sim_vendor vendor);
void sim_unit_cpu(struct sim *s, u32 cpu);                 /* make it the current CPU */
void sim_unit_fail(struct sim *s, u64 nth);                /* mach_fault answers true at its n-th call from now, once; 0: never */
/* Called before every atomic and every mach_* of the kernel, never inside itself: look at each intermediate state, or act as another CPU
 * (sim_unit_cpu) that writes at the same time. NULL: none. */
void sim_unit_hook(struct sim *s, void (*hook)(void *arg), void *arg);
/* Run f(arg), which must end in mach_panic or in a finding: the message, or NULL if it returned. */
const char *sim_unit_expect_panic(struct sim *s, void (*f)(void *arg), void *arg);
