/* SPDX-License-Identifier: BSD-2-Clause */
/* FPU state: switched eagerly between ECs and vCPUs that have one, by owner; ECs without run with CR0.TS set, so that nobody sees another's
 * registers (no lazy switching). An image is 64-byte aligned, fpu_image_bytes() long, and never one that XRSTOR refuses: images from user
 * level pass fpu_image_legal first.
 * A guest has a CR0 of its own: it is entered with the host's TS set, and TS is set when it is back. Its XCR0 stays until somebody else than the EC
 * that ran it runs, or an image is moved. This CPU only. */
#pragma once
#include "cpu.h"

void fpu_cpu_init(struct cpu *cpu);                      /* CR0, CR4.OSFXSR/OSXSAVE, XCR0 */
u32 fpu_image_bytes(void);                               /* of this machine: 512 (FXSAVE) or the XSAVE size for XCR0 in use, at most PAGE_SIZE */
void fpu_image_init(void *image);                        /* the reset state */
void fpu_switch(struct cpu *cpu, void *image);           /* the registers shall hold image's state (NULL: none, TS set) */
void fpu_lend(struct cpu *cpu, void *image, u64 xcr0);   /* a guest with this image and this legal XCR0 is entered next */
static inline bool fpu_lends(const struct cpu *cpu, const void *image, u64 xcr0)   /* is there anything to do for that? */
{
    return cpu->fpu_owner != image || cpu->due & DUE_FPU || cpu->xcr0_now != xcr0;
}
void fpu_flush(struct cpu *cpu, void *image);            /* if the registers hold it: save to the image */
void fpu_forget(struct cpu *cpu, void *image);           /* the image dies, or is written anew */
u64 fpu_xcr0(const struct cpu *cpu);                     /* the kernel's XCR0: all that images hold; 0: no XSAVE */
/* May a guest have this XCR0 here? (Intel SDM 1 13.3) */
bool fpu_xcr0_legal(const struct cpu *cpu, u64 xcr0);
/* Check an image from a state page without loading it: false if XRSTOR under the kernel's XCR0 (0: FXRSTOR) would fault. */
bool fpu_image_legal(const void *image, u64 xcr0);
