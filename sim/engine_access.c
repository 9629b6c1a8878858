/* SPDX-License-Identifier: BSD-2-Clause */
/* What engine.h shows of a CPU. The structure a CPU was resumed from lies inside the EC or vCPU it belongs to, and does not move. */
#include "cpu.h"

u32 sim_cpu_id(const struct sim_cpu *cpu)
{
    return cpu->id;
}

u64 sim_cpu_context(const struct sim_cpu *cpu)
{
    return (u64)cpu->resume;
}
