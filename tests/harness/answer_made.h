/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace as a kernel writes it, made in the process: vCPUs on CPUs of their own, guests that exit for one reason after the other, a VMM of a few lines
 * that answers with registers, injections, windows, control registers, kicks. */
#pragma once
#include "trace/reader.h"
#include "sim.h"

u8 *answer_made(enum sim_vendor vendor, u32 vcpus, u32 exits, u64 *bytes);   /* of each vCPU so many exits. One stream; the caller frees it */
