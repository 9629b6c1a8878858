/* SPDX-License-Identifier: BSD-2-Clause */
/* x87 and SSE registers between an FXSAVE64 image (Intel SDM 1, 10.5.1) and a core. Copied only when they differ from what the core holds. */
#include <string.h>
#include "pool.h"

struct fxsave {
    u16 control, status;
    u8 tags, reserved;       /* tag bit: 1 in use, by physical register */
    u16 opcode;
    u64 ip, dp;
    u32 mxcsr, mxcsr_mask;
    struct { u64 significand; u16 exponent, pad[3]; } st[8];   /* by stack position */
    u64 xmm[16][2];
    u8 rest[96];
};
static_assert(sizeof(struct fxsave) == 512 && offset_of(struct fxsave, xmm) == 160, "FXSAVE64 format");

void fpu_load(struct core *c, const u8 *image)
{
    const struct fxsave *f = (const struct fxsave *)image;
    struct lib_env *env = c->env;
    u32 mxcsr = f->mxcsr;
    u16 control = f->control;
    (void)!uc_reg_write(c->uc, UC_X86_REG_MXCSR, &mxcsr);   /* these two also set rounding modes */
    (void)!uc_reg_write(c->uc, UC_X86_REG_FPCW, &control);
    env->fp_top = f->status >> 11 & 7;
    env->fp_status = f->status & (u16)~0x3800;
    for (u32 i = 0; i < 8; i++) {
        const u32 physical = (i + env->fp_top) & 7;
        env->fp_empty[i] = !(f->tags >> i & 1);
        env->fp[physical].significand = f->st[i].significand;
        env->fp[physical].exponent = f->st[i].exponent;
    }
    for (u32 i = 0; i < 16; i++)
        memcpy(c->xmm + i * LIB_XMM_STRIDE, f->xmm[i], 16);
}

void fpu_store(struct core *c, u8 *image)
{
    struct fxsave *f = (struct fxsave *)image;
    const struct lib_env *env = c->env;
    u32 mxcsr = 0;
    (void)!uc_reg_read(c->uc, UC_X86_REG_MXCSR, &mxcsr);
    f->mxcsr = mxcsr;
    f->control = env->fp_control;
    f->status = (u16)((env->fp_status & ~0x3800u) | (env->fp_top & 7) << 11);
    f->tags = 0;
    for (u32 i = 0; i < 8; i++) {
        const u32 physical = (i + env->fp_top) & 7;
        f->tags |= (u8)(!env->fp_empty[i] << i);
        f->st[i].significand = env->fp[physical].significand;
        f->st[i].exponent = env->fp[physical].exponent;
    }
    for (u32 i = 0; i < 16; i++)
        memcpy(f->xmm[i], c->xmm + i * LIB_XMM_STRIDE, 16);
}
