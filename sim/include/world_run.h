/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds for whoever explores them: made once, run again and again from the snapshot. */
#pragma once
#include "event.h"
#include "world.h"

struct world *world_open(const struct world_test *t, bool verify);   /* setup and snapshot; NULL: a message was printed. verify: see below */
void world_close(struct world *w);
/* One run from the snapshot. SIM_SHUTDOWN: every program returned, nothing is pending, .end is content. */
enum sim_end world_run_once(struct world *w, struct chooser *c, bool await_last);
struct sim *world_machine(struct world *w);
void world_take_apart(struct world *w, bool on);                     /* from the next run on; at first on. Off: .after is left out */
u32 world_current(const struct world *w);                            /* the CPU that steps */
u32 world_steps(const struct world *w);                              /* steps since the snapshot */
u32 world_awaits(const struct world *w);                             /* turns of waiting loops that failed in the last run */
/* If the last run ended in a race: what was done on a side (0 the later access, 1 the earlier) into `what`, and the code addresses of the access and
 * of the calls around it, innermost first; how many. 0: there was no race. */
u32 world_race(const struct world *w, u32 side, char *what, u32 bytes, u64 *sites, u32 room);
/* Opened with verify: put the snapshot back and compare all of RAM with it: ~0 if equal, else the first physical address that differs, which
 * somebody wrote unlogged. */
u64 world_verify(struct world *w);
/* What a label says about an object: name and offset, e.g. "queue.head+8"; "-" if none. */
const char *world_name(const struct world *w, u64 object, char *room, u32 bytes);
u32 world_label_count(const struct world *w);
const char *world_label_at(const struct world *w, u32 index, u64 *object, u64 *bytes);
bool world_instrumented(void);   /* are the programs of this binary watched by sanitizer calls? */
