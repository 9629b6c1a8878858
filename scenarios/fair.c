/* SPDX-License-Identifier: BSD-2-Clause */
/* Two programs on a CPU with fair groups: one never waits, the other has some work to do and then tells it to stop. With priorities of the same
 * numbers the first would keep the CPU for ever. */
#include "client.h"
#include "hv.h"
#include "print.h"

#define SEL_DONE 4096u
#define WORK_MS  100u
#define PAST     1ul       /* a deadline that has passed */

static struct thread self;

static void work(u64 ticks)
{
    const u64 start = thread_tsc();
    while (thread_tsc() - start < ticks)
        (void)!hv_null();
    print("fair: the work is done");
    if (hv_sm_up(SEL_DONE) != OK)
        client_done(&self, 1);
}

static void spin(void)
{
    enum status s;
    do
        s = hv_sm_down(SEL_DONE, 0, PAST);
    while (s == STATUS_TIMEOUT);
    if (s != OK)
        client_fail(&self, "wait", s);
    print("fair: told to stop");
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    const struct program *const p = program_page();
    if (client_semaphore(&self, "done", SEL_DONE) != OK)
        client_done(&self, 3);
    if (p->args[0] == 'w')
        work(p->tsc_khz * WORK_MS);
    else
        spin();
    client_done(&self, 0);
}
