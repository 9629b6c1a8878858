/* SPDX-License-Identifier: BSD-2-Clause */
/* A simulated CPU: its registers, its local APIC, and the fiber that is its kernel stack.
 * Only the CPU's own fiber changes it, except: apic.irr, nmi, start (other CPUs' IPIs and timers) and the masks in struct sim. */
#pragma once
#include "engine.h"
#include "event.h"
#include "fiber.h"

struct sim;

enum cpu_state {
    CPU_OFF,        /* never started, or INIT came: waits for SIPI */
    CPU_KERNEL,     /* inside kern_boot or kern_trap */
    CPU_USER,
    CPU_GUEST,      /* the VMX or SVM model has it */
    CPU_IDLE,       /* halted, interrupts on */
};

/* Local APIC. Vectors are bits of 256-bit maps. */
struct sim_apic {
    u64 base;                  /* IA32_APIC_BASE: bit 11 enabled, bit 10 x2APIC, bit 8 BSP */
    u64 irr[4], isr[4];
    u32 tpr, ldr, dfr, spurious, esr, esr_shadow;
    u32 lvt_timer, lvt_other[6];   /* thermal, performance, LINT0, LINT1, error, CMCI */
    u64 icr;
    u32 icr_pending;           /* xAPIC: reads of the ICR that still see the last command pending. Delivery is at once, so only tests set it */
    u32 divide, initial_count;
    u64 timer_start;           /* clock when the count began */
    u64 deadline;              /* IA32_TSC_DEADLINE as written; 0: not armed */
    u64 expires;               /* clock at which the timer fires; 0: not armed */
    bool counted;              /* the one-shot count has expired */
};

struct store_entry {
    void *address;
    u64 value, site;
    u32 bytes;
    u64 carried;               /* race.h */
};

#define TURN_WORDS 16u         /* words a turn of a spin loop may look at; more: any write wakes it */

struct sim_cpu {
    struct sim *sim;
    u32 id, apic_id;
    enum cpu_state state;
    struct fiber fiber;
    u64 turn;                  /* engine steps since others were last let go on */
    void *kern_cpu;            /* mach_cpu_set; NULL: not yet */
    struct resume *resume;     /* what the CPU was last told to run */
    struct resume *held;       /* held.h; NULL: nothing is */
    u64 held_value[7];
    u32 start;                 /* SIPI vector | 0x100 once one has come */
    bool nmi;                  /* pending */
    bool in_nmi;               /* NMIs are blocked: inside kern_nmi, or since a VMX exit took one, until a window */

    /* Registers. User segment bases stay 0. */
    u64 cr0, cr2, cr3, cr4, xcr0, dr[8];
    u64 efer, pat, star, lstar, cstar, fmask, fs_base, gs_base, kernel_gs, tsc_aux;
    u64 sysenter_cs, sysenter_esp, sysenter_eip, feature_control, misc_enable, mtrr_def_type;
    u8 fpu[512] aligned_to(64);   /* x87 and SSE registers as FXSAVE64 lays them out; engines load and store them here */

    u64 barriers, buffer_clears, l1d_flushes;   /* IBPB, VERW, L1D_FLUSH so far */

    struct sim_apic apic;
    u64 tsc_skew;              /* this CPU's TSC - the machine's clock */

    /* Spinning: see sched.c. */
    u64 turn_writes;           /* sim->writes at the last mach_relax */
    struct { u64 object, value; u32 bytes; } turn_word[TURN_WORDS];   /* what the turn has read since it last changed anything */
    u32 turn_words;            /* TURN_WORDS + 1: too many */
    u64 turn_last;             /* the object read last: surely read in the loop, not before it */
    bool turn_again;           /* this turn began at a mach_relax: all it reads is read in the loop */
    bool turn_moot;            /* asleep, and a word surely read in the loop has changed */
    bool turn_wrote;           /* the turn changed something: the next one will be another */
    bool turn_cas;             /* a compare-and-swap of the turn has failed */
    u64 cas_object, cas_value; /* ... there, on this value: failing on the same one again teaches nothing new */
    bool turn_polled;          /* a program's turn looked for interrupts: it must not sleep while one waits */
    bool turn_outside;         /* the turn looked at something that changes without a write: clock, device */

    struct sim_pending pending, flushing;         /* what it, and what its flusher, does when it is chosen */
    u64 ticks;                                    /* worlds: its own time */
    struct store_entry store[STORE_BUFFER_MAX];   /* oldest first */
    u32 store_count;
    u64 fenced;                                   /* what it had released at its last fence: race.h */
    bool draining;                                /* cannot go on before the buffer is empty */

    void *virt;                /* private to the VMX or SVM model */
    u64 virt_bytes;
    void *engine[2];           /* private to the user and guest engine */
};

/* What is on this CPU's clock. */
u64 sim_tsc(struct sim_cpu *cpu);
/* Interrupts. look: the schedule point before a look. pending: a vector above the processor priority waits and has arrived (a choice). accept:
 * IRR to ISR. */
void sim_look(struct sim_cpu *cpu, const void *site);
bool sim_irq_pending(struct sim_cpu *cpu);
u32 sim_irq_accept(struct sim_cpu *cpu);
/* Registers with their rules; false: #GP. */
must_check bool sim_msr_read(struct sim_cpu *cpu, u32 msr, u64 *value);
must_check bool sim_msr_write(struct sim_cpu *cpu, u32 msr, u64 value);
struct mach_cpuid sim_cpuid(struct sim_cpu *cpu, u32 leaf, u32 subleaf);
