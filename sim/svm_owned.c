/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that belongs to the processor (AMD APM 2 15.5, 15.30.4): the host save area from the write of VM_HSAVE_PA on, a VMCB and what it points
 * to while its guest runs. Software may neither write the first two nor free any. Not judged: reads of the host save area. */
#include "svm_model.h"

static bool saves_at(const struct sim_cpu *cpu, u64 phys, u64 bytes)
{
    const struct svm_cpu *c = svm_of((struct sim_cpu *)cpu);
    return (cpu->efer & EFER_SVME) && c->host_save && virt_overlaps(phys, bytes, c->host_save, PAGE_SIZE);
}

void svm_stored(struct sim *s, u64 phys, u64 bytes)
{
    for (u32 i = 0; i < s->cpu_count; i++) {
        const struct svm_cpu *c = svm_of(&s->cpu[i]);
        if (c->running && virt_overlaps(phys, bytes, c->vmcb_phys, PAGE_SIZE))
            sim_broken(RULE_SVM_STORE, "CPU %u writes to 0x%lx, in the VMCB that CPU %u runs", s->current->id, phys, i);
        if (saves_at(&s->cpu[i], phys, bytes))
            sim_broken(RULE_SVM_STORE, "CPU %u writes to 0x%lx, in the host save area of CPU %u", s->current->id, phys, i);
    }
}

void svm_freed(struct sim *s, u64 phys, u64 bytes)
{
    for (u32 i = 0; i < s->cpu_count; i++) {
        const struct svm_cpu *c = svm_of(&s->cpu[i]);
        const struct {
            u64 at, bytes;
        } used[] = { { c->vmcb_phys, PAGE_SIZE },
                     { c->vmcb.n_cr3 & ~PAGE_MASK, PAGE_SIZE },
                     { c->vmcb.iopm_base & ~PAGE_MASK, SVM_IOPM_BYTES },
                     { c->vmcb.msrpm_base & ~PAGE_MASK, SVM_MSRPM_BYTES } };
        if (saves_at(&s->cpu[i], phys, bytes))
            sim_broken(RULE_SVM_OWNED, "freed 0x%lx: it is the host save area of CPU %u", phys, i);
        for (size_t k = 0; c->running && k < array_size(used); k++)
            if (virt_overlaps(phys, bytes, used[k].at, used[k].bytes))
                sim_broken(RULE_SVM_OWNED, "freed 0x%lx: the guest running on CPU %u needs it", used[k].at, i);
    }
}
