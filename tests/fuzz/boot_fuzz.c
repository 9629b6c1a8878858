/* SPDX-License-Identifier: BSD-2-Clause */
/* What if boot loader and firmware hand over garbage? The input lies at BLOB in RAM; its first byte says which parser reads it. Every read must stay
 * in RAM (ASan and the simulated machine watch), and what is accepted must make sense. */
#include <stdlib.h>
#include <string.h>
#include "boot_info.h"
#include "machine.h"
#include "sim.h"

#define RAM_BYTES (16ul << 20)
#define BLOB      0x100000ul
#define BLOB_MAX  0x10000ul

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

static void check_accepted(const struct boot_info *b)
{
    if (b->range_count > BOOT_RANGES || b->cpu_count > BOOT_CPUS)
        abort();
    for (u32 i = 0; i < b->range_count; i++)
        if (b->range[i].start >= b->range[i].end)
            abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    static struct sim *s;
    static const u32 magic[] = { BOOT_MAGIC_MULTIBOOT2, BOOT_MAGIC_PVH };
    if (!s)
        s = sim_unit(1, RAM_BYTES, SIM_NONE);
    if (!s || !bytes || bytes > BLOB_MAX)
        return 0;
    memset(mach_phys_to_virt(BLOB), 0, BLOB_MAX);
    memcpy(mach_phys_to_virt(BLOB), data + 1, bytes - 1);
    struct boot_info info;
    memset(&info, 0, sizeof(info));
    if (data[0] % 3 == 2) {
        info.rsdp = BLOB;
        if (!acpi_parse(&info))
            check_accepted(&info);
    } else if (!boot_parse(magic[data[0] % 3], BLOB, &info)) {
        check_accepted(&info);
    }
    return 0;
}
