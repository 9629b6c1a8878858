/* SPDX-License-Identifier: BSD-2-Clause */
/* Data races: two accesses to the same byte by different CPUs, one of them a write, one of them plain, that nothing orders. A race is a finding.
 *
 * What orders: program order; a load that acquires what a store or a locked operation released; an IPI and the interrupt it becomes; everything
 * before race_reset and everything after it. Judged while sim->race is set. One thread runs all CPUs: no locks here.
 * Not judged: plain accesses of a CPU to its own kernel stack; DMA, walkers and engines; accesses of code that is not instrumented. */
#pragma once
#include "base.h"

struct sim;
struct sim_cpu;
struct race;

must_check bool race_create(struct sim *s);   /* sets sim->race */
void race_destroy(struct sim *s);

/* All CPUs meet here: nothing earlier races with anything later. At a snapshot, at each return to it, at the start of a CPU. */
void race_reset(struct sim *s);
/* A test's own checks look at memory between the steps: they are nobody's accesses. Ends with the next reset. */
void race_pause(struct sim *s, bool paused);
/* The memory was given to somebody else: what was done to it before is forgotten. */
void race_forget(struct sim *s, const void *address, u64 bytes);

/* Before the access. site: the code address that a report names. */
void race_plain(struct sim_cpu *cpu, const void *address, u64 bytes, bool write, u64 site);
void race_atomic(struct sim_cpu *cpu, const void *address, u64 bytes, bool write, u64 site);

/* sync: the address of an atomic word or an object's number (event.h). A load acquires, unless it was answered from its CPU's own buffer. What is
 * released is a number that a store in its buffer, or an IPI, carries; one of before the last reset, and RACE_NOTHING, say nothing. */
#define RACE_NOTHING 0ul
void race_acquire(struct sim_cpu *cpu, u64 sync);
/* What this CPU has done so far. Of a store, after its race_atomic, when it is made; of a fence. */
u64 race_store(struct sim_cpu *cpu);
/* A store reaches memory, even if it changes nothing there: the word says what the store carried and no more. Relaxed: RACE_NOTHING. */
void race_flush(struct sim *s, u64 sync, u64 carried);
/* A locked operation: race_acquire, race_atomic, then this, which is both of the above. It is a fence, too. */
u64 race_release(struct sim_cpu *cpu, u64 sync);
/* An IPI: adds to OBJECT_APIC(target), which the target acquires with the interrupt. An xAPIC's carries race_store of now, an x2APIC's that of its
 * CPU's last fence, locked or serializing operation: the command waits for no store (Intel SDM 3A 10.12.3). */
void race_send(struct sim *s, u64 sync, u64 carried);

/* The call stack of the CPU that acts, as nodes of a stack depot (fiber.node). */
void race_enter(struct sim_cpu *cpu, u64 caller);
void race_leave(struct sim_cpu *cpu);

struct race_side {
    u64 site, bytes;
    u32 cpu, node;
    bool write, atomic;
};
struct race_report {
    const void *address;                      /* of the later access */
    struct race_side later, earlier;          /* later: the one that was about to be made */
};
const struct race_report *race_last(const struct sim *s);   /* NULL: none yet */
u32 race_stack(const struct sim *s, u32 node, u64 *pcs, u32 room);   /* return addresses, innermost first, without the site; how many */
bool race_full(const struct sim *s);          /* a table is full: nothing has been judged since, nor will be before the next reset */
