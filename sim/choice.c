/* SPDX-License-Identifier: BSD-2-Clause */
/* The one question: handed to the current machine's answerer. An answer outside the bound is a fault of the answerer. */
#include "machine_model.h"

u32 choice(u32 bound, enum choice_kind kind)
{
    struct sim *s = sim_here;
    if (bound <= 1 || !s || !s->config.chooser)
        return 0;
    const u32 answer = s->config.chooser->choose(s->config.chooser, bound, kind);
    if (answer == CHOICE_CUT)
        sim_end(s, SIM_STOPPED, "%s", "");
    if (answer >= bound)
        sim_broken(RULE_CHOICE_BOUND, "chooser answered %u of %u to kind %u", answer, bound, kind);
    return answer;
}
