/* SPDX-License-Identifier: BSD-2-Clause */
/* What if the boot bundle is corrupt? The kernel boots with it on a whole simulated machine: it must run root or stop with a message of its own, never
 * trip a checker, never hang. */
#include <stdlib.h>
#include <string.h>
#include "sim.h"

#define BUNDLE_MAX (64ul << 10)

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    static u8 bundle[BUNDLE_MAX];
    if (bytes > BUNDLE_MAX)
        return 0;
    const u64 whole = align_up(bytes + !bytes, PAGE_SIZE);
    memset(bundle, 0, whole);
    memcpy(bundle, data, bytes);
    const struct sim_config config = { .cpus = 1, .ram_bytes = 16ul << 20, .vendor = SIM_NONE, .bundle = bundle, .bundle_bytes = whole };
    struct sim *const s = sim_create(&config);
    if (!s)
        return 0;
    const enum sim_end end = sim_run(s, 50000000);
    if (end != SIM_STOPPED && !(end == SIM_PANIC && (!strncmp(sim_result(s)->message, "root: ", 6) || !strncmp(sim_result(s)->message, "elf: ", 5))))
        abort();
    sim_destroy(s);
    return 0;
}
