/* SPDX-License-Identifier: BSD-2-Clause */
/* From a recorded exit to the state of the guest and the engine event it came from: neutral, so that it becomes an exit of either vendor. Only
 * what the trace knows is loaded; everything else stays as the model has it. */
#pragma once
#include "engine.h"
#include "sim.h"
#include "trace/reader.h"

void replay_load(const struct trace_words *w, enum sim_vendor vendor, struct sim_guest *g);
/* The event that makes this exit, of a guest that was loaded from w. A window's is EVENT_INTR_WINDOW or EVENT_SLICE: the model then sees that it is open.
 * False: none does: STARTUP, KICKED and ENTRY_FAILED are the kernel's own; OTHER if its raw reason has none on this vendor; the window of a guest
 * that blocks it; on SVM the NMI window; what no guest can do, such as a port access of three bytes. */
bool replay_event(const struct trace_words *w, enum sim_vendor vendor, struct sim_guest *g, struct engine_event *out);
