/* SPDX-License-Identifier: BSD-2-Clause */
/* User-mode memory accesses through the MMU, page by page. What is mapped but no RAM reads as ones and swallows writes. */
#include <string.h>
#include "machine_model.h"
#include "snapshot.h"

static bool user_access(struct sim_cpu *cpu, u64 address, u8 *buffer, u64 bytes, u32 access, struct sim_fault *fault)
{
    while (bytes) {
        const u64 part = min(bytes, PAGE_SIZE - (address & PAGE_MASK));
        struct sim_translation t;
        if (!sim_translate(cpu, address, access, true, &t, fault))
            return false;
        u8 *ram = sim_phys(cpu->sim, t.phys, part);
        if (!ram && access != RIGHT_W)
            memset(buffer, 0xff, part);
        else if (ram && access != RIGHT_W)
            memcpy(buffer, ram, part);
        else if (ram) {
            undo_write(cpu->sim, ram, part);
            memcpy(ram, buffer, part);
            sim_wrote(cpu->sim, OBJECT_NONE);
        }
        address += part;
        buffer += part;
        bytes -= part;
    }
    return true;
}

bool sim_user_load(struct sim_cpu *cpu, u64 address, void *to, u64 bytes, struct sim_fault *fault)
{
    return user_access(cpu, address, to, bytes, RIGHT_R, fault);
}

bool sim_user_store(struct sim_cpu *cpu, u64 address, const void *from, u64 bytes, struct sim_fault *fault)
{
    return user_access(cpu, address, (u8 *)from, bytes, RIGHT_W, fault);
}

bool sim_user_fetch(struct sim_cpu *cpu, u64 address, void *to, u64 bytes, struct sim_fault *fault)
{
    return user_access(cpu, address, to, bytes, RIGHT_X, fault);
}
