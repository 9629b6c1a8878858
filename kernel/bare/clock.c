/* SPDX-License-Identifier: BSD-2-Clause */
/* The PC's old interrupt controllers and timer. The 8259s are silenced. How fast the TSC and the local APIC's timer run is counted over one
 * period of PIT channel 2 (Intel 8254; its gate and output are at port 0x61). Once, by the boot CPU. Bounded: without a working PIT both
 * are taken for 1 GHz. */
#include "bare.h"
#include "arch/apic.h"
#include "arch/x86.h"

#define PIT_HZ      1193182u
#define PIT_COUNT   11000u       /* 9.2 ms */
#define PIT_CHANNEL 0x42
#define PIT_MODE    0x43
#define PIT_MODE_0  0xb0u        /* channel 2, both bytes, output rises at the end of the count */
#define PIT_GATE    0x61
#define GATE_ON     0x01u
#define GATE_SPEAKER 0x02u
#define GATE_OUTPUT 0x20u
#define POLLS_MAX   4000000u
#define KHZ_DEFAULT 1000000u

/* All lines masked; a spurious interrupt comes as vector 0x27 or 0x2f, not as an exception. */
void bare_pic_off(void)
{
    static const u8 setup[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}, {0x21, 0xff},
                                  {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2}, {0xa1, 1}, {0xa1, 0xff}};
    for (u32 i = 0; i < array_size(setup); i++)
        mach_port_out(setup[i][0], 1, setup[i][1]);
}

static void apic_write(u64 base, u32 reg, u32 value)
{
    if (base & APIC_BASE_X2APIC)
        mach_msr_write(MSR_X2APIC(reg), value);
    else
        mach_dev_write32((base & APIC_BASE_PHYS) + reg, value);
}

static u32 apic_read(u64 base, u32 reg)
{
    return base & APIC_BASE_X2APIC ? (u32)mach_msr_read(MSR_X2APIC(reg)) : mach_dev_read32((base & APIC_BASE_PHYS) + reg);
}

/* From the start of the count to the rise of its output; false: the output never rose. */
static bool pit_wait(void)
{
    const u32 gate = mach_port_in(PIT_GATE, 1) & ~(GATE_ON | GATE_SPEAKER);
    mach_port_out(PIT_GATE, 1, gate | GATE_ON);
    mach_port_out(PIT_MODE, 1, PIT_MODE_0);
    mach_port_out(PIT_CHANNEL, 1, PIT_COUNT & 0xff);
    mach_port_out(PIT_CHANNEL, 1, PIT_COUNT >> 8);
    u32 polls = 0;
    while (polls < POLLS_MAX && !(mach_port_in(PIT_GATE, 1) & GATE_OUTPUT))
        polls++;
    return polls > 0 && polls < POLLS_MAX;
}

static struct mach_clock measure(void)
{
    const u64 base = mach_msr_read(MSR_APIC_BASE);
    apic_write(base, APIC_SVR, apic_read(base, APIC_SVR) | APIC_SVR_ENABLE);
    apic_write(base, APIC_LVT_TIMER, APIC_LVT_MASKED | APIC_LVT_TIMER_ONESHOT);
    apic_write(base, APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_1);
    apic_write(base, APIC_TIMER_INITIAL, ~0u);
    const u64 tsc_start = mach_tsc_read();
    const u64 apic_start = apic_read(base, APIC_TIMER_CURRENT);
    const bool good = pit_wait();
    const u64 tsc = mach_tsc_read() - tsc_start;
    const u64 apic = apic_start - apic_read(base, APIC_TIMER_CURRENT);
    apic_write(base, APIC_TIMER_INITIAL, 0);
    if (!good)
        return (struct mach_clock){KHZ_DEFAULT, KHZ_DEFAULT};
    return (struct mach_clock){tsc * PIT_HZ / PIT_COUNT / 1000, apic * PIT_HZ / PIT_COUNT / 1000};
}

__attribute__((used)) out_of_line struct mach_clock mach_clock(void)   /* bench finds it by its name */
{
    static struct mach_clock clock;
    if (!clock.tsc_khz)
        clock = measure();
    return clock;
}
