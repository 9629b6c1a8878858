/* SPDX-License-Identifier: BSD-2-Clause */
/* The program engine: user level written in C and linked into the process. Every user thread is a fiber; what it does to memory goes through
 * the simulated MMU, and a hypercall is a trap into the kernel like any other. A thread is known to the kernel only by its registers.
 *
 *   struct engine *e = program_engine();
 *   config.user = e;
 *   config.bundle = program_bundle(program_entry(e, root, NULL), &config.bundle_bytes);
 *
 * A thread that the kernel starts at an address from program_entry runs that function; when the kernel sends a thread there that was
 * somewhere else before (a portal is entered again, a handler moved it), its old stack is gone. A function must not return: it ends
 * in a reply, a shutdown or a wait for ever; if it does return, the run ends (SIM_STOPPED). */
#pragma once
#include "engine.h"

#define PROGRAM_BASE    0x400000ul   /* entries lie in this page: program_bundle maps it */
#define PROGRAM_ENTRIES 256u

struct engine *program_engine(void);                                        /* NULL: no memory */
u64 program_entry(struct engine *e, void (*run)(void *arg), void *arg);     /* a user address */
/* For worlds: an entry need not be mapped; and what to put back before a run, so that its threads begin anew on the stacks of those before. */
void *program_replay(struct engine *e, u64 *bytes);
/* A boot bundle whose root program starts at `entry`. malloc; the caller frees it after sim_create. */
void *program_bundle(u64 entry, u64 *bytes);

/* ---- For the program itself: on its fiber ---- */

u64 *program_registers(void);                       /* its 16 general-purpose registers, x86 encoding order; until it asks for something */
void program_syscall(void);                         /* SYSCALL with these registers; returns with the kernel's */
u64 program_hypercall(u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);   /* arguments by the register convention; RAX */
void user_load(void *to, u64 address, u64 bytes);   /* faults like any access: an exception to the kernel, then the access is done again */
void user_store(u64 address, const void *from, u64 bytes);
void user_copy(u64 to, u64 from, u64 bytes);
u64 user_load64(u64 address);
void user_store64(u64 address, u64 value);
void program_raise(u32 vector, u32 error);          /* an exception of this instruction; a handler that skips it adds 2 to RIP */
void program_spend(u64 steps);                      /* as many instructions of computing */
void program_wait(void);                            /* others first; in worlds: until an interrupt */
