/* SPDX-License-Identifier: BSD-2-Clause */
/* A core: one instance of the library, made into a virtual CPU that executes instructions and nothing else. Memory translation, exceptions,
 * privileged instructions, ports and system calls leave it and are decided by its client.
 *
 * How: instructions run with the library's "guest" flag set, so that each of them asks whether it is intercepted; the functions
 * that answer, that fill the TLB and that execute ports, CPUID, RDTSC and SYSCALL are replaced by ours at link time (file wrap).
 * Invariant: between two runs the state is complete in *env; RIP is at the instruction that stopped. */
#pragma once
#include "layout.h"

struct sim_cpu;

enum core_stop_kind {
    STOP_SLICE,        /* the budget is used up */
    STOP_EXCEPTION,    /* vector, error, address; delivering: it happened while core.event was delivered */
    STOP_INT,          /* INT n, INT3, INTO: vector; bytes */
    STOP_INTERCEPT,    /* code: INTERCEPT_* */
    STOP_IO,           /* port, bytes, in */
    STOP_SYSCALL,
    STOP_INVLPG,       /* address */
    STOP_LMSW,         /* address: the operand */
    STOP_WINDOW,       /* interruptible, and core.window is set */
    STOP_CLIENT,       /* translate() said so, and noted why */
    STOP_LIBRARY,      /* the library gave up: message */
};

struct core_stop {
    enum core_stop_kind kind;
    u32 code, vector, error, bytes;
    u64 address;
    u16 port;
    bool in, delivering;
    const char *message;
};

enum core_answer { CORE_OK, CORE_FAULT, CORE_LEAVE };
enum core_mode { CORE_SMAP, CORE_CPL3, CORE_SUPERVISOR };   /* the library's MMU indexes; SMAP: supervisor that may not touch user pages */

struct core_page {
    u64 frame;         /* physical page number */
    u32 rights;        /* RIGHT_* the library may use without asking again */
    u32 vector, error; /* CORE_FAULT: exception */
};

/* Who runs on the core. Called in the middle of an instruction. */
struct core_client {
    /* Translate. access: one RIGHT_*. CORE_FAULT: raise page->vector. CORE_LEAVE: stop with STOP_CLIENT, RIP at the instruction. */
    enum core_answer (*translate)(void *arg, u64 linear, u32 access, enum core_mode mode, struct core_page *page);
    /* CPUID and RDTSC(P): true: executed here, go on. */
    bool (*execute)(void *arg, u32 code);
};

struct core {
    uc_engine *uc;
    uc_hook hook[2];
    struct lib_env *env;
    u8 *cpu;                      /* the library's CPU object */
    s32 *exception_index;
    struct lib_msrs *msrs;
    struct lib_exception *exception;
    u8 *xmm;                      /* 16 registers, LIB_XMM_STRIDE apart */
    void *translator, *region;
    u32 number;                   /* bit in the masks of coherence.c */
    struct coherence *coherence;
    u8 *ram;
    u64 frames;

    /* One run. */
    const struct core_client *client;
    void *arg;
    u64 budget, executed;         /* instructions */
    bool window;
    u32 pass;                     /* the next intercept of this code + 1 lets its instruction execute; 0: none */
    u64 event;                    /* format of abi/vcpu.h: delivered before the first instruction; 0 once it is delivered */
    u32 event_bytes;              /* length of the instruction of a software event */
    bool delivering, running;
    struct core_stop stop;

    /* Instructions of recently seen blocks, by the address they return to. */
    struct { uintptr_t host_pc; u32 instructions; } block[4096];

    /* Whose state it holds: private to user.c and guest.c. */
    const struct sim_cpu *owner;
    u64 root, tag;
    bool stale;                   /* its translations must go before it runs again */
};

/* A page of the core's own, beyond any RAM: a GDT at its beginning with selectors 0x23 (data) and 0x2b (64-bit code) for CPL 3. */
#define CORE_SCRATCH      0x8000000000ul
#define CORE_SCRATCH_CODE 0x800u

/* NULL: *why says what is wrong. ram is mapped at physical address 0. */
struct core *core_create(u8 *ram, u64 ram_bytes, const char **why);
void core_destroy(struct core *c);
/* Run until something stops it; at least budget instructions unless something else does. */
void core_run(struct core *c, u64 budget);
void core_flush(struct core *c);
void core_flush_page(struct core *c, u64 linear);

/* The core that runs; stop it in the middle of an instruction whose code returns to host_pc. */
struct core *core_running(void);
void core_continue(struct core *c);   /* after a call to the client: other CPUs may have run their cores on this thread meanwhile */
void core_leave(struct core *c, enum core_stop_kind kind, uintptr_t host_pc) __attribute__((noreturn));
void core_block(uc_engine *uc, u64 address, u32 bytes, void *arg);   /* UC_HOOK_BLOCK */
void core_raise(struct core *c, u32 vector, u32 error, u64 address, uintptr_t host_pc) __attribute__((noreturn));

/* What this library must do for all this to hold: NULL, or what it does not. Under 50 ms. */
const char *core_selftest(struct core *c);
/* Two fresh cores over the same memory, joined by one struct coherence. */
const char *core_selftest_pair(struct core *a, struct core *b);
