/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMM: one VM, one EC per vCPU, each on its own CPU. It knows no vendor: exits are neutral, state moves by the group rules of
 * abi/vcpu.h.
 *
 * Machine the guest sees (scenarios/guests/guest.h has the numbers): RAM from guest-physical 0, mapped when first touched; the image at 0,
 * entered in real mode; a UART at 0x3f8; a page of test registers; a timer that fires when the vCPU halts; a mailbox that starts vCPUs.
 * Lock: the semaphore VMM_SEL_LOCK guards devices and memory: exits of different vCPUs are handled in parallel. */
#pragma once
#include "../guests/guest.h"
#include "abi/vcpu.h"
#include "client.h"
#include "uart.h"

#define VMM_VCPUS 4u

/* Selectors. */
#define VMM_SEL_LOCK    4096u
#define VMM_SEL_ENDED   4097u                 /* one up for each started vCPU that ended, but the first */
#define VMM_SEL_VCPU(n) (4112u + (n))
#define VMM_SEL_WAKE(n) (4120u + (n))         /* up: started, or an interrupt for a halted vCPU */
#define VMM_SEL_EC(n)   (4128u + (n))
#define VMM_SEL_SC(n)   (4136u + (n))

#define VMM_STATE(n) (PROGRAM_FREE + (n) * 0x10000ul)   /* state pages of vCPU n */

struct vm;

struct vmm_vcpu {
    struct vm *vm;
    struct vcpu_state *state;
    struct thread thread;
    u32 number;
    /* Guarded by the lock: other vCPUs write them. */
    bool started;
    u64 start_page;         /* where a started vCPU begins: CS base, in pages */
    u32 interrupt;          /* vector to inject when it can be taken, 0: none */
    bool on_halt;           /* it waits for HLT (the timer), else for the next moment it can be taken */
    /* Own. */
    u32 faults;             /* nested faults in a row at one address */
    u64 fault_gpa;
};

struct vm {
    u64 ram_bytes;
    u32 vcpu_count, started_count;
    struct vmm_vcpu vcpu[VMM_VCPUS];
    struct uart uart;
    u64 scratch, writes;    /* test device */
    u64 msr;                /* test MSR */
};

/* What becomes of a vCPU after an exit. */
enum vmm_next {
    VMM_RUN,
    VMM_HALT,   /* run again when somebody wakes it */
    VMM_END,    /* halted with interrupts off */
    VMM_FAIL,   /* something was printed */
};

/* exits.c: the dispatch table. */
enum vmm_next exit_handle(struct vmm_vcpu *v);
/* Set the vCPU to real mode, CS base and IP as given. */
void vcpu_reset(struct vmm_vcpu *v, u64 cs_base, u64 ip);

/* state.c: access by the group rules. */
void state_need(struct vmm_vcpu *v, u32 groups);           /* fetch those that are not valid yet */
void state_dirty(struct vmm_vcpu *v, u32 groups);          /* they are valid and were written */
void state_inject(struct vmm_vcpu *v, u64 event);          /* at the next entry */
bool state_length(struct vmm_vcpu *v, u32 *length);        /* of the instruction that exited, decoded if the machine does not say */
bool state_skip(struct vmm_vcpu *v);                       /* RIP to the next instruction; false: unknown, printed */
void state_register(struct vmm_vcpu *v, u32 reg, u32 bytes, u64 value);   /* as an instruction would: 4 bytes clear the upper half */
struct decoded;
bool state_decode(struct vmm_vcpu *v, struct decoded *out);   /* the instruction at RIP; false: printed */

/* memory.c: RAM and the test device. */
void *ram_at(struct vm *vm, u64 gpa, u64 bytes);           /* NULL: not all of it RAM */
#define RAM_READ_BYTES 24ul
bool ram_read(struct vmm_vcpu *v, u64 gpa, void *to, u32 bytes);   /* not more than that; the one way to read what a guest wrote: a trace notes it */
bool ram_translate(struct vmm_vcpu *v, u64 linear, u64 *gpa);
enum vmm_next exit_mmio(struct vmm_vcpu *v);

/* devices.c: ports. */
enum vmm_next exit_io(struct vmm_vcpu *v);

/* identity.c: CPUID and MSRs. */
enum vmm_next exit_cpuid(struct vmm_vcpu *v);
enum vmm_next exit_msr_read(struct vmm_vcpu *v);
enum vmm_next exit_msr_write(struct vmm_vcpu *v);

/* vmm.c */
void vm_lock(void);
void vm_unlock(void);
