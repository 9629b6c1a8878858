/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine did, step by step, and who may act next: for answerers that look before they answer, for checkers and for reports.
 *
 * Agents are numbered: CPU i is agent i, the flusher of its store buffer is agent SIM_FLUSHER + i. A step is what one agent does between two
 * schedule points; each of its accesses to anything that another agent can see is an event. Two events depend on each other if they name the
 * same object and one of them writes (two ADDs do not). Objects never hold host addresses. */
#pragma once
#include "base.h"

#define SIM_FLUSHER 64u
#define SIM_AGENTS  128u
#define STORE_BUFFER_MAX 8u   /* entries; one more store flushes the oldest */

enum sim_op {
    OP_NONE,
    OP_LOAD,        /* atomic load */
    OP_STORE,       /* atomic store: into the buffer if it waits (nobody else sees it yet), else to memory */
    OP_FLUSH,       /* the oldest entry of a store buffer reaches memory */
    OP_RMW,         /* locked read-modify-write that changed memory */
    OP_RMW_SAME,    /* one that did not: compare failed, or the same value */
    OP_ADD,         /* locked add, or, and without a result */
    OP_FENCE,
    OP_WALK,        /* a page walk read this table word */
    OP_WALK_MARK,   /* ... set A or D in it */
    OP_IPI,         /* interrupt command */
    OP_LOOK,        /* looked for a pending interrupt */
    OP_ACCEPT,      /* took one */
    OP_INVALIDATE,  /* INVLPG, CR3, INVEPT, ... */
    OP_STATE,       /* mach_mem_state */
    OP_MACHINE,     /* any other mach_*: this CPU's own */
    OP_RELAX,       /* mach_relax */
    OP_END,         /* the program of this CPU ended */
    OP_COUNT,
};
extern const char *const sim_op_name[OP_COUNT];

/* Objects: a byte offset in RAM; memory of the process outside RAM; a thing of the machine. */
#define OBJECT_NONE         0ul
#define OBJECT_RAM(phys)    (1ul << 60 | (phys))
#define OBJECT_HOST(offset) (2ul << 60 | (offset))    /* offset from the image's base: constant for one binary */
#define OBJECT_APIC(cpu)    (3ul << 60 | (cpu))
#define OBJECT_VMCS(phys)   (4ul << 60 | (phys))
#define OBJECT_CPU(cpu)     (5ul << 60 | (cpu))       /* state no other agent sees */
#define OBJECT_TABLES       (6ul << 60)               /* words that a CPU may have cached: they change and are freed (ADD), CPUs load and
                                                         invalidate (READ); which came first decides what may be stale */
#define OBJECT_CLASS(o)     ((o) >> 60)
#define OBJECT_ADDRESS(o)   ((o) & ~(15ul << 60))

enum sim_effect { EFFECT_NONE, EFFECT_READ, EFFECT_ADD, EFFECT_WRITE };   /* on the object, as others see it */

struct sim_event {
    u64 object;
    u64 before, after;   /* values of the word; loads: both are what was read */
    u64 site;            /* code address in the program or kernel */
    u32 step;            /* events of one step have the same number; steps count from 0 at the snapshot */
    u32 bytes;
    u8 agent, op, effect;
    u8 own;              /* a load that was answered from the CPU's own store buffer */
};

/* What an agent will do when it is chosen. */
struct sim_pending {
    u64 object, site;
    u32 bytes;
    u8 op;
};

struct sim;
/* The agents of the STEP question that is being asked: answer n is agent list[n]. Valid inside choose(). */
struct sim_agents {
    u32 count;
    u8 list[SIM_AGENTS];
    u8 current;          /* who stepped last */
    bool free;           /* the one that stepped last cannot go on: to choose another is no preemption */
};
const struct sim_agents *sim_agents(const struct sim *s);
const struct sim_pending *sim_pending(const struct sim *s, u32 agent);
/* The events since the snapshot (world.h), oldest first. Recorded only in worlds. At most EVENTS_MAX: then the run ends (SIM_BUDGET). */
const struct sim_event *sim_events(const struct sim *s, u32 *count);
u32 sim_step_agent(const struct sim *s, u32 step);
#define EVENTS_MAX (1u << 18)   /* steps, too */
