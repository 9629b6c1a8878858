/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: interrupt requests and their priorities (irq.c), its registers in both modes (apic_reg.c), inter-processor
 * interrupts (ipi.c). Intel SDM 3A chapter 10. Not modelled: logical destinations, level-triggered interrupts, performance and thermal LVTs. */
#pragma once
#include "machine_model.h"

void irq_reset(struct sim_cpu *cpu);                          /* power-up or INIT */
bool irq_xapic(const struct sim_cpu *cpu);                    /* enabled, registers in memory */
bool irq_x2apic(const struct sim_cpu *cpu);                   /* enabled, registers are MSRs */
void irq_raise(struct sim_cpu *target, u32 vector);           /* a fixed, edge-triggered request; lost if the APIC is disabled */
bool irq_held(const struct sim_cpu *cpu);                     /* something waits, though sim_irq_pending may have said no */
static inline bool irq_none(const struct sim_cpu *cpu)        /* no request at all */
{
    const u64 *irr = cpu->apic.irr;
    return !(irr[0] | irr[1] | irr[2] | irr[3]);
}
void irq_eoi(struct sim_cpu *cpu);
u32 irq_priority(const struct sim_cpu *cpu);                  /* PPR */
u32 apic_read(struct sim_cpu *cpu, u32 offset);               /* offset as in arch/apic.h; a register that exists */
void apic_write(struct sim_cpu *cpu, u32 offset, u32 value);
u32 apic_page_read(struct sim_cpu *cpu, u64 phys);            /* the page of xAPIC mode */
void apic_page_write(struct sim_cpu *cpu, u64 phys, u32 value);
must_check bool apic_msr_read(struct sim_cpu *cpu, u32 msr, u64 *value);    /* MSR_X2APIC range; false: #GP */
must_check bool apic_msr_write(struct sim_cpu *cpu, u32 msr, u64 value);
must_check bool apic_base_write(struct sim_cpu *cpu, u64 value);            /* MSR_APIC_BASE */
void ipi_send(struct sim_cpu *cpu, u64 icr);                  /* icr: destination APIC id in 63:32 in both modes */
