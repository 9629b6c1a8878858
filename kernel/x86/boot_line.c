/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's command line, words between spaces. Ours: sched=fair, sched=fair:CPU,CPU..., and mitigations= (protect.h). Others pass: boot loaders
 * add their own. Untrusted: it must end with a NUL where it says, and in memory. */
#include "boot.h"
#include "machine.h"
#include "protect.h"

/* at: behind "fair". */
static bool cpus(const char *at, u64 *fair)
{
    *fair = *at == ':' ? 0 : ~0ul;
    for (char c = ':'; *at == c; c = ',') {
        const char *const digits = ++at;
        u32 n = 0;
        for (u32 d; (d = (u32)*at - '0') <= 9 && n < BOOT_CPUS; at++)
            n = 10 * n + d;
        if (at == digits || n >= BOOT_CPUS)
            return false;
        *fair |= bit(n);
    }
    return !*at || *at == ' ';
}

/* Not ours, or good. */
static bool word(const char *at, u64 *fair)
{
    static const char ours[] = "sched=fair";
    u32 same = 0;
    for (; ours[same] && at[same] == ours[same]; same++)
        ;
    return ours[same] ? same < sizeof("sched=") - 1 : cpus(at + same, fair);
}

const char *boot_line(struct boot_info *out, u64 phys, u64 bytes)
{
    const char *const text = boot_view(phys, 1);
    u64 end = 0;
    bytes = min(bytes, mach_direct_end() - phys);
    while (text && end < bytes && text[end])
        end++;
    if (!text || end == bytes)
        return "boot: the command line has no end";
    for (u64 i = 0; i < end; i++)
        if ((i == 0 || text[i - 1] == ' ') && !word(text + i, &out->fair))
            return "boot: sched= takes fair or fair:CPU,CPU";
    return protect_parse(text, end, &out->protect);
}
