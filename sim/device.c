/* SPDX-License-Identifier: BSD-2-Clause */
/* mach_*: devices. There is the local APIC's page, and ports: the two PICs and the PIT take writes, nothing else is there. */
#include "irq.h"
#include "mach.h"
#include "race.h"
#include "start.h"
#include "store_buffer.h"

u32 mach_port_in(u16 port, u32 bytes)
{
    struct sim_cpu *cpu = mach_point_outside();
    store_drain(cpu);
    if (bytes != 1 && bytes != 2 && bytes != 4)
        sim_broken(RULE_PORT_WIDTH, "port 0x%x read with %u bytes", port, bytes);
    return bytes == 4 ? ~0u : (1u << 8 * bytes) - 1;   /* nobody answers: all ones */
}

void mach_port_out(u16 port, u32 bytes, u32 value)
{
    struct sim_cpu *cpu = mach_point_outside();
    store_drain(cpu);
    if (bytes != 1 && bytes != 2 && bytes != 4)
        sim_broken(RULE_PORT_WIDTH, "port 0x%x written with %u bytes", port, bytes);
}

static void device_check(u64 phys, const char *what)
{
    if (phys & 3)
        sim_broken(RULE_DEV_ALIGN, "%s of 0x%lx: device registers are aligned", what, phys);
    if (sim_phys(sim_here, phys, 4))
        sim_broken(RULE_DEV_RAM, "%s of 0x%lx as a device: this is RAM", what, phys);
}

u32 mach_dev_read32(u64 phys)
{
    struct sim_cpu *cpu = mach_point_outside();
    store_drain(cpu);
    device_check(phys, "read");
    return apic_page_read(cpu, phys);
}

void mach_dev_write32(u64 phys, u32 value)
{
    struct sim_cpu *cpu = mach_point_outside();
    store_drain(cpu);   /* an uncached store follows all earlier ones; a WRMSR to an x2APIC register does not (SDM 3A 10.12.3) */
    device_check(phys, "write");
    apic_page_write(cpu, phys, value);
}

void mach_fence(void)
{
    sim_count(SIM_COUNT_FENCE);
    struct sim_cpu *cpu = sim_this();
    sim_point(cpu, OP_FENCE, OBJECT_CPU(cpu->id), 0, __builtin_return_address(0));
    store_drain(cpu);
    cpu->fenced = race_store(cpu);
    sim_did(cpu, OP_FENCE, EFFECT_NONE, OBJECT_CPU(cpu->id), 0, 0);
}

void mach_console_write(const char *text, u32 bytes)
{
    struct sim *s = mach_point_outside()->sim;
    for (u32 i = 0; i < bytes; i += 8) {
        u64 word = 0;
        for (u32 k = 0; k < 8 && i + k < bytes; k++)
            word |= (u64)(u8)text[i + k] << 8 * k;
        sim_hash_event(s, HASH_CONSOLE, min(bytes - i, 8u), word, 0, 0);
    }
    if (s->config.console)
        s->config.console(s->config.arg, text, bytes);
}

void mach_trace_write(const void *bytes, u32 count)
{
    struct sim *s = mach_point()->sim;
    if (s->config.trace_sink)
        s->config.trace_sink(s->config.arg, bytes, count);
}

enum mach_trace mach_trace_wanted(void)
{
    return sim_here->config.trace;
}

void mach_shutdown(u32 code)
{
    struct sim *s = mach_point()->sim;
    if (!s->shutdown)
        s->result.code = code;
    s->shutdown = true;
}

u32 mach_ap_vector(void)
{
    return START_VECTOR;
}

void mach_panic(const char *message)
{
    sim_end(sim_here, SIM_PANIC, "%s", message);
}
