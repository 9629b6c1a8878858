/* SPDX-License-Identifier: BSD-2-Clause */
/* FPU state: switched eagerly between ECs and vCPUs that have one, by owner; ECs without run with CR0.TS set, so that nobody sees another's
 * registers (no lazy switching). */
#pragma once
#include "machine.h"

struct cpu;
struct ec;
struct vcpu;

void fpu_cpu_init(struct cpu *cpu);                      /* CR0, CR4.OSFXSR/OSXSAVE, XCR0 */
u32 fpu_image_bytes(void);                               /* of this machine: 512 (FXSAVE) or the XSAVE size for XCR0 in use, at most PAGE_SIZE */
void fpu_image_init(void *image);                        /* the reset state */
void fpu_switch(struct cpu *cpu, void *image);           /* the registers shall hold image's state (NULL: none, TS set) */
void fpu_flush(struct cpu *cpu, void *image);            /* if the registers hold it: save to the image */
void fpu_forget(struct cpu *cpu, void *image);           /* the image dies */
/* Check an image from a state page without loading it: false if XRSTOR would fault. */
bool fpu_image_legal(const void *image, u64 xcr0);
