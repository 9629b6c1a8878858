/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a guest and a VMM do anything at all? An input is a trace, changed by traces/mutate.c: its exits and answers are replayed without a VMM on the
 * whole simulated machine, on both models. The kernel must take each answer or refuse it with a status, and no rule of the machine may be broken.
 * That something differs from the recording is no finding; an exit that a model cannot make is skipped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "replay/answer.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

/* Rules about the machine itself are no fault of the kernel's: what the model leaves out. */
static void replay(const struct course *c, enum sim_vendor vendor, enum answer_mode mode)
{
    struct answer_result r;
    answer_run(c, &(struct answer_options){ .vendor = vendor, .mode = mode, .fetch = mode == ANSWER_LOAD }, &r);
    if (r.end == ANSWER_DONE || (r.rule && !strncmp(r.rule, "MACHINE", 7)))
        return;
    fprintf(stderr, "replay_fuzz: %s: %s\n", vendor == SIM_VMX ? "VMX" : "SVM", r.message);
    abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    struct trace t;
    struct course c;
    if (!trace_open_bytes("input", data, bytes, &t))
        return 0;
    if (course_open(&c, &t)) {
        const enum answer_mode mode = bytes % 4 ? ANSWER_CONTINUE : ANSWER_LOAD;
        replay(&c, SIM_VMX, mode);
        replay(&c, SIM_SVM, mode);
        course_close(&c);
    }
    trace_close(&t);
    return 0;
}
