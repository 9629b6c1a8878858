/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the program engine share: the engine on the CPU's fiber (engine_program.c) and the program on its own (program.c). */
#pragma once
#include "fiber.h"
#include "machine_model.h"
#include "program.h"

#define PROGRAM_TOKEN   0x5a0000000000ul
#define TOKEN_BYTES     16ul
#define PROGRAM_THREADS 4096u

/* RIP - token: what is done when the thread goes on there. */
enum phase {
    AT_REQUEST = 0,    /* do the request (again) */
    AT_DONE = 2,       /* the request is done: run the program */
};

enum request { REQUEST_SYSCALL, REQUEST_LOAD, REQUEST_STORE, REQUEST_RAISE, REQUEST_SPEND, REQUEST_WAIT, REQUEST_END };

struct thread {
    struct program *program;
    struct resume *regs;       /* whose thread it is; NULL: free */
    struct fiber fiber, *runner;
    void *map;
    u64 *gpr;                  /* where it runs: the CPU's, which are the kernel's structure */
    u64 token;
    u32 entry;
    enum request request;
    u64 address, count;        /* LOAD, STORE: user address, bytes left; SPEND: steps left */
    u8 *buffer;
    u32 vector, error;
};

struct program {
    struct engine engine;
    struct { void (*run)(void *); void *arg; } entry[PROGRAM_ENTRIES];
    u32 entries;
    struct thread *thread[PROGRAM_THREADS];
    u32 threads;               /* of this run; behind them are those of earlier ones, kept */
    bool replay;               /* program_replay */
};

extern _Thread_local struct thread *program_here;   /* on a program's fiber: its thread */

void program_main(void *arg);   /* a thread's fiber begins here; arg: the thread */
