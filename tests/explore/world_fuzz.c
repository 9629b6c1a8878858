/* SPDX-License-Identifier: BSD-2-Clause */
/* A world under libFuzzer: the input's bytes are the answers, coverage of kernel and world tells which are worth keeping. ORRERY_WORLD names the
 * world (default: ring). Races are not judged here: the counters of coverage are plain memory of all CPUs. `make fuzz-worlds`; with AFL++: afl-fuzz ... -- orrery-explore run ring --strategy bytes --input @@ */
#include <stdio.h>
#include <stdlib.h>
#include "explore.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    static struct explore x;
    if (!x.world) {
        const char *name = getenv("ORRERY_WORLD");
        const struct world_test *t = world_find(name ? name : "ring");
        const struct explore_options o = { .strategy = "bytes" };
        if (!t || !explore_open(&x, t, &o)) {
            fprintf(stderr, "world_fuzz: no world '%s'\n", name ? name : "ring");
            exit(2);
        }
        world_take_apart(x.world, false);
    }
    if (!explore_bytes(&x, data, bytes)) {
        fprintf(stderr, "%s: %s\n", x.test->name, x.outcome.message);
        abort();
    }
    return 0;
}
