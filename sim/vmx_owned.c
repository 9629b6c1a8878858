/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that belongs to the processor (Intel SDM 3C 25.11): the VMXON region in VMX operation, a VMCS from VMPTRLD to VMCLEAR, and what the
 * VMCS points to while its guest runs. Software may read it, but neither write nor free it. Not judged: stores into bitmaps and MSR areas of a
 * running guest, which only may be seen late. */
#include "vmx_model.h"

/* The CPU in whose VMXON region the range lies, and the active VMCS in whose page; NULL: none. */
static const struct sim_cpu *region_at(struct sim *s, u64 phys, u64 bytes)
{
    for (u32 i = 0; i < s->cpu_count; i++)
        if (vmx_of(&s->cpu[i])->on && virt_overlaps(phys, bytes, vmx_of(&s->cpu[i])->region, PAGE_SIZE))
            return &s->cpu[i];
    return NULL;
}

static const struct vmcs *vmcs_at(struct sim *s, u64 phys, u64 bytes)
{
    for (const struct vmcs *v = vmx_of(&s->cpu[0])->machine->all; v; v = v->next)
        if (v->active && virt_overlaps(phys, bytes, v->phys, PAGE_SIZE))
            return v;
    return NULL;
}

void vmx_stored(struct sim *s, u64 phys, u64 bytes)
{
    const struct sim_cpu *cpu = region_at(s, phys, bytes);
    if (cpu)
        sim_broken(RULE_VMX_STORE, "CPU %u writes to 0x%lx, in the VMXON region of CPU %u", s->current->id, phys, cpu->id);
    const struct vmcs *v = vmcs_at(s, phys, bytes);
    if (v)
        sim_broken(RULE_VMX_STORE, "CPU %u writes to 0x%lx, in the VMCS that is active on CPU %u", s->current->id, phys, v->active->id);
}

/* What the VMCS of a running guest names. */
static void freed_named(const struct sim_cpu *cpu, const struct vmcs *v, u64 phys, u64 bytes)
{
    static const struct {
        u32 field, control, count;   /* control: of the primary ones; count: field that says how many entries of 16 bytes; 0: a page */
    } named[] = { { VMCS_EPTP, VMX_PROC_SECONDARY, 0 },
                  { VMCS_MSR_BITMAP, VMX_PROC_MSR_BITMAPS, 0 },
                  { VMCS_IO_BITMAP_A, VMX_PROC_IO_BITMAPS, 0 },
                  { VMCS_IO_BITMAP_B, VMX_PROC_IO_BITMAPS, 0 },
                  { VMCS_EXIT_MSR_STORE_ADDR, ~0u, VMCS_EXIT_MSR_STORE_COUNT },
                  { VMCS_EXIT_MSR_LOAD_ADDR, ~0u, VMCS_EXIT_MSR_LOAD_COUNT } };
    for (size_t i = 0; i < array_size(named); i++) {
        const u64 at = named[i].count ? vmcs_get(v, named[i].field) : vmcs_get(v, named[i].field) & PTE_PHYS_MASK;
        const u64 length = named[i].count ? vmcs_get(v, named[i].count) * sizeof(struct vmx_msr_entry) : PAGE_SIZE;
        if ((vmcs_get(v, VMCS_PROC_CTRL) & named[i].control) && virt_overlaps(phys, bytes, at, length))
            sim_broken(RULE_VMX_OWNED, "freed 0x%lx: the guest running on CPU %u needs it (field %x of its VMCS)", at, cpu->id, named[i].field);
    }
}

void vmx_freed(struct sim *s, u64 phys, u64 bytes)
{
    const struct sim_cpu *cpu = region_at(s, phys, bytes);
    if (cpu)
        sim_broken(RULE_VMX_OWNED, "freed 0x%lx: it is the VMXON region of CPU %u", phys, cpu->id);
    const struct vmcs *v = vmcs_at(s, phys, bytes);
    if (v)
        sim_broken(RULE_VMX_OWNED, "freed 0x%lx: it is a VMCS that is active on CPU %u; a VMCLEAR there is missing", phys, v->active->id);
    for (u32 i = 0; i < s->cpu_count; i++) {
        const struct vmx_cpu *c = vmx_of(&s->cpu[i]);
        if (c->running && c->current)
            freed_named(&s->cpu[i], c->current, phys, bytes);
    }
}
