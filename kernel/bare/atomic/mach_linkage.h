/* SPDX-License-Identifier: BSD-2-Clause */
/* The seam on hardware: a function is one inlined instruction (mach_ops.h, atomic_ops.h), or a symbol of kernel/bare. */
#pragma once
#define MACH_API    extern
#define MACH_INLINE extern inline __attribute__((gnu_inline, always_inline))   /* never emitted, always inlined */
