/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's command line, words between spaces. Ours: sched=fair, sched=fair:CPU,CPU..., trace=memory and trace=all (abi/trace.h), and mitigations= (protect.h).
 * Others pass: boot loaders add their own. Untrusted: it must end with a NUL where it says, and in memory. */
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

/* How many characters of ours stand at `at`. */
static u32 same(const char *at, const char *ours)
{
    u32 n = 0;
    while (ours[n] && at[n] == ours[n])
        n++;
    return n;
}

/* Not ours, or good. */
static bool sched(const char *at, u64 *fair)
{
    const u32 n = same(at, "sched=fair");
    return n == sizeof("sched=fair") - 1 ? cpus(at + n, fair) : n < sizeof("sched=") - 1;
}

static bool is(const char *at, const char *ours)
{
    const u32 n = same(at, ours);
    return !ours[n] && (!at[n] || at[n] == ' ');
}

static bool trace(const char *at, struct boot_info *out)
{
    const bool memory = is(at, "trace=memory"), all = is(at, "trace=all");
    out->trace_memory |= memory;
    out->trace_all |= all;
    return memory || all || same(at, "trace=") < sizeof("trace=") - 1;
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
    for (u64 i = 0; i < end; i++) {
        if (i && text[i - 1] != ' ')
            continue;
        if (!sched(text + i, &out->fair))
            return "boot: sched= takes fair or fair:CPU,CPU";
        if (!trace(text + i, out))
            return "boot: trace= takes memory or all";
    }
    return protect_parse(text, end, &out->protect);
}
