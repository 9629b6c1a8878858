/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel a machine runs: what it exports, or a test's own. Not kern_syscall: here a SYSCALL is a trap as others are. */
#pragma once
#include "machine.h"

struct sim_upcall {
    struct resume *(*boot)(u32 magic, u64 info);
    struct resume *(*trap)(void *cpu, u64 trap, u64 info);
    void (*nmi)(void *cpu, u32 vector);
};
