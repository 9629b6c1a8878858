/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated SVM: what its files share. The seam to the rest of the machine is virt_model.h. A VMCB is read at VMRUN and written at #VMEXIT as
 * bytes of RAM; between them the model works on its copy, as a processor that caches it. */
#pragma once
#include "abi/vcpu.h"
#include "arch/svm.h"
#include "arch/x86.h"
#include "virt_model.h"

struct svm_profile {
    const char *name;
    u64 features;            /* CPUID 8000000a EDX */
    u32 asids;
    u64 cr4_valid;
    bool long_mode;
    bool refusal_spoils;     /* a refused VMRUN leaves the host's state in the save area */
};
/* svm_full has next-RIP save, decode assists, flush by ASID and clean bits; svm_plain, like QEMU 7.2, has none of them and spoils. */
extern const struct svm_profile svm_full, svm_plain;
#define SVM_FEATURE_CLEAN bit(5)

struct svm_cpu {
    const struct svm_profile *profile;
    u64 host_save;           /* VM_HSAVE_PA */
    u64 vmcb_phys;           /* of `vmcb`; the last one this CPU ran */
    bool running;            /* inside VMRUN of vmcb_phys */
    bool cached;             /* `vmcb` is what the last #VMEXIT left in RAM */
    struct vmcb vmcb;
    u64 rip_back;            /* RIP of an injected software interrupt, if it cannot be delivered; 0: none */
    u32 last_check;
    struct sim_guest guest;
};

static inline struct svm_cpu *svm_of(struct sim_cpu *cpu)
{
    return cpu->virt;
}
static inline bool svm_has(const struct svm_cpu *c, u64 feature)
{
    return c->profile->features & feature;
}
u32 svm_check(struct sim_cpu *cpu, const struct vmcb *b);                       /* V02 to V27: id or 0 */
void svm_check_clean(const struct svm_cpu *c, const struct vmcb *now);          /* finding: a clean bit that lies */
void svm_stored(struct sim *s, u64 phys, u64 bytes);                            /* svm_owned.c */
void svm_freed(struct sim *s, u64 phys, u64 bytes);
u64 svm_enter(struct sim_cpu *cpu, struct resume *resume, u64 *info);
void svm_load_guest(struct sim_cpu *cpu, const struct resume *resume);
void svm_store_guest(struct sim_cpu *cpu, struct resume *resume);
void svm_exit_code(struct svm_cpu *c, u64 code, u64 info1, u64 info2);
bool svm_event_exits(struct sim_cpu *cpu, struct engine_event *e);
