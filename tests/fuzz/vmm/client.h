/* SPDX-License-Identifier: BSD-2-Clause */
/* What the VMM's parts use of scenarios/lib/client.h and program.h, for the process: memory is a buffer of vmm_fuzz.c. */
#pragma once
#include "abi/status.h"
#include "base.h"

#define PROGRAM_SEL_PD 1u
#define PROGRAM_FREE   0x3000000000ul
#define PROGRAM_MEMORY ((u64)vmm_memory)

extern u8 *vmm_memory;

struct thread {
    u32 cpu;
};

void client_fail(const struct thread *self, const char *what, enum status status) __attribute__((noreturn));
