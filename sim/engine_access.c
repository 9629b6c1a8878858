/* SPDX-License-Identifier: BSD-2-Clause */
/* What engine.h shows of a CPU. The structure a CPU was resumed from lies inside the EC or vCPU it belongs to, and does not move. */
#include "machine_model.h"

u32 sim_cpu_id(const struct sim_cpu *cpu)
{
    return cpu->id;
}

u64 sim_user_tsc(struct sim_cpu *cpu, u64 executed)
{
    struct sim *s = cpu->sim;
    const u64 tsc = sim_tsc(cpu) + executed;
    if (s->config.tsc_read)
        s->config.tsc_read(s->config.arg, tsc, &s->counts);
    return tsc;
}

u64 sim_cpu_context(const struct sim_cpu *cpu)
{
    return (u64)cpu->resume;
}
