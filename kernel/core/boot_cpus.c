/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot. The boot CPU parses, chooses the pool, makes struct kern and a struct cpu for every CPU the MADT names, starts the others and goes
 * idle; each that arrives sends it an interrupt; with the last one, or after BOOT_WAIT_MS, it starts root.
 * Invariant: a CPU is in cpus_online once it can take every kind of request; one that comes late is welcome, root just does not know it. */
#include "boot_cpus.h"
#include "abi/trace.h"
#include "apic.h"
#include "arch/x86.h"
#include "cpu.h"
#include "fpu.h"
#include "protect.h"
#include "root.h"

static void check(const char *message)
{
    if (message)
        mach_panic(message);
}

static void require(enum status s, const char *message)
{
    if (s != OK)
        mach_panic(message);
}

/* Taken out like what the machine keeps, but it must be there. */
static void trace_area_take(struct ranges *r)
{
    const u64 start = TRACE_MEMORY_ADDRESS, end = start + TRACE_MEMORY_BYTES;
    bool there = false;
    for (u32 i = 0; i < r->count; i++)
        there |= r->range[i].start <= start && end <= min(r->range[i].end, mach_direct_end());
    check(there ? NULL : "boot: trace=memory: no 4 MiB of free memory at 64 MiB");
    ranges_remove(r, start, end);
}

void boot_memory_free(const struct boot_info *boot, struct ranges *r)
{
    u64 start, end;
    r->count = boot->range_count;
    mach_copy(r->range, boot->range, sizeof(r->range));
    ranges_remove(r, 0, BOOT_LOW_END);
    for (u32 i = 0; mach_reserved(i, &start, &end); i++)   /* bound: the machine's few ranges */
        ranges_remove(r, align_down(start, PAGE_SIZE), align_up(end, PAGE_SIZE));
    if (boot->bundle_bytes)
        ranges_remove(r, align_down(boot->bundle, PAGE_SIZE), align_up(boot->bundle + boot->bundle_bytes, PAGE_SIZE));
    ranges_align(r);
    if (boot->trace_memory)
        trace_area_take(r);
}

/* A quarter of memory within limits, from the top of the largest range the kernel can address. */
u64 boot_pool_take(struct ranges *r, u64 *bytes)
{
    u64 total = 0;
    for (u32 i = 0; i < r->count; i++)
        total += r->range[i].end - r->range[i].start;
    const u64 wish = max(min(total / 4, BOOT_POOL_MAX), BOOT_POOL_MIN);
    *bytes = align_down(min(wish, ranges_largest(r, mach_direct_end())), PAGE_SIZE);
    if (*bytes < BOOT_POOL_MIN)
        mach_panic("boot: no 4 MiB of free memory in one piece");
    return ranges_take(r, *bytes, mach_direct_end());
}

static void cpus_make(struct kern *k)
{
    for (u32 i = 0; i < k->cpu_count; i++) {
        void *p;
        require(mem_alloc(k->mem, &k->quota, sizeof(struct cpu), &p), "boot: no memory for a CPU");
        struct cpu *const cpu = p;
        cpu->kern = k;
        cpu->id = i;
        cpu->self = bit(i);
        cpu->apic_id = k->boot.apic_id[i];
        k->cpu[i] = cpu;
        sched_init(cpu, k->boot.fair & bit(i));
    }
}

struct kern *boot_kern_make(const struct boot_info *boot, const struct ranges *user, u64 pool, u64 bytes)
{
    struct quota q = {0};
    struct mem *const m = mem_init(pool, bytes);
    void *p;
    atomic_store(&q.limit, mem_free_bytes(m));
    require(mem_alloc(m, &q, sizeof(struct kern), &p), "boot: no memory for the kernel's root structure");
    struct kern *const k = p;
    k->boot = *boot;
    k->user = *user;
    k->mem = m;
    k->quota = q;
    k->clock = mach_clock();
    k->cpu_count = min(boot->cpu_count, CPU_MAX);
    k->host_leaf_level = mach_cpuid(0x80000001, 0).edx & CPUID_81_EDX_1G ? 2 : 1;
    mach_kern_set(k);
    cpus_make(k);
    k->virt = virt_probe();
    k->vcpu_capabilities = k->virt ? k->virt->groups : 0;
    return k;
}

void boot_cpu_start(struct cpu *cpu)
{
    struct kern *const k = cpu->kern;
    mach_cpu_set(cpu);
    protect_cpu_init(cpu);
    apic_cpu_init(cpu);
    fpu_cpu_init(cpu);
    /* A failure leaves cpu->virt.region 0: no vCPU can be created there. */
    if (k->virt && k->virt->cpu_enable(cpu) != OK)
        cpu->virt.region = 0;
    trace_init(cpu);
    epoch_init(cpu);
    atomic_fetch_or(&k->cpus_online, bit(cpu->id));
}

static bool all_online(const struct kern *k)
{
    const u64 all = k->cpu_count == CPU_MAX ? ~0ul : bit(k->cpu_count) - 1;
    return atomic_load(&k->cpus_online) == all;
}

void boot_continue(struct cpu *cpu)
{
    struct kern *const k = cpu->kern;
    if (!all_online(k) && mach_tsc_read() < k->boot_deadline)
        return;
    k->boot_deadline = 0;
    root_create(cpu);
}

struct cpu *boot_bsp(u32 magic, u64 info)
{
    struct boot_info boot;
    struct ranges user;
    u64 bytes;
    mach_zero(&boot, sizeof(boot));
    check(boot_parse(magic, info, &boot));
    check(acpi_parse(&boot));
    boot_memory_free(&boot, &user);
    const u64 pool = boot_pool_take(&user, &bytes);
    struct kern *const k = boot_kern_make(&boot, &user, pool, bytes);
    struct cpu *const cpu = k->cpu[0];
    boot_cpu_start(cpu);
    k->boot_deadline = mach_tsc_read() + k->clock.tsc_khz * BOOT_WAIT_MS;
    for (u32 i = 1; i < k->cpu_count; i++)
        apic_start_cpu(cpu, k->cpu[i]->apic_id, mach_ap_vector());
    boot_continue(cpu);
    return cpu;
}

struct cpu *boot_ap(void)
{
    struct kern *const k = kern();
    const u32 id = apic_id(NULL);   /* asks the hardware only */
    for (u32 i = 1; i < k->cpu_count; i++) {
        struct cpu *const cpu = k->cpu[i];
        if (k->boot.apic_id[i] != id)
            continue;
        boot_cpu_start(cpu);
        apic_ipi(cpu, k->cpu[0]);
        return cpu;
    }
    mach_panic("boot: a CPU that nobody started");
}
