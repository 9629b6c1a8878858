/* SPDX-License-Identifier: BSD-2-Clause */
/* Schedule files (docs/exploration.md): a failing run as text that survives changes of the code. Only answers that differ from the default are
 * in it, each at an anchor: who was about to do what, where, for the how-manieth time.
 * Here is the text alone: what it means for a run is anchor.h and strategy_replay.h. */
#pragma once
#include <stdio.h>
#include "choice.h"
#include "event.h"
#include "sim.h"

#define SCHEDULE_DECISIONS 65536u
#define SCHEDULE_BYTES     (16u << 20)
#define NAME_ROOM          64u          /* longer names are cut */

struct anchor {
    char function[NAME_ROOM], object[NAME_ROOM];   /* "-": unknown, no label */
    u32 occurrence;                                /* counts from 1: the agent has been at such an operation */
    u32 visit;                                     /* counts from 1: it has been asked while there */
    u8 agent, op;
};

struct decision {
    struct anchor at;
    u32 step;
    u32 value;        /* STEP: the agent that goes on; else the answer */
    u8 kind;          /* enum choice_kind */
    bool critical;    /* with it the run fails, without it it does not */
};

struct schedule {
    char test[NAME_ROOM], mutant[NAME_ROOM];   /* mutant "-": none */
    bool sc;
    enum sim_vendor vendor;
    u64 seed, hash;
    enum sim_end end;
    char message[512];
    struct decision *decision;
    u32 count;
};

/* False: a line on stderr names file and line. Free with schedule_free in any case. */
must_check bool schedule_read(struct schedule *s, const char *file);
must_check bool schedule_parse(struct schedule *s, const char *name, char *text, u64 bytes);   /* text[bytes] is 0; it is written to */
void schedule_write(const struct schedule *s, FILE *f);
void schedule_free(struct schedule *s);
/* A decision as the file has it, without step and mark. */
void decision_text(const struct decision *d, char *room, u32 bytes);
void agent_text(u32 agent, char *room, u32 bytes);
void name_clean(char *room, const char *text, u32 bytes);   /* so that it is one word of a schedule file */

extern const char *const choice_name[CHOICE_KINDS];
const char *vendor_name(enum sim_vendor v);
const char *end_name(enum sim_end end);   /* finding, panic, deadlock, livelock, ... */
