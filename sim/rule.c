/* SPDX-License-Identifier: BSD-2-Clause */
/* A broken rule ends the run: its name goes into the result and in front of the message. */
#include <stdarg.h>
#include "machine_model.h"

const char *sim_rule_name(enum sim_rule rule)
{
    static const char *const names[RULE_COUNT] = {
#define RULE_NAME(area, name, text, source) [RULE_##area##_##name] = #area "-" #name,
        RULE_LIST(RULE_NAME)
#undef RULE_NAME
    };
    return rule < RULE_COUNT ? names[rule] : NULL;
}

void sim_broken(enum sim_rule rule, const char *format, ...)
{
    char text[sizeof(sim_here->message)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sim_here->broken = rule;
    sim_end(sim_here, SIM_FINDING, "[%s] %s", sim_rule_name(rule), text);
}
