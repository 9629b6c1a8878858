/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine object: its cores, and what user.c and guest.c share. */
#pragma once
#include "coherence.h"
#include "machine_model.h"
#include "unicorn_engine.h"

struct unicorn_engine {
    struct engine engine;
    struct coherence coherence;   /* owns the cores */
    u8 *ram;                      /* of the machine they are attached to */
    u64 ram_bytes;
};

enum core_use { CORE_USER, CORE_GUEST };
/* The core for this CPU, translations flushed if it last ran for another CPU, root or tag. NULL: a message was printed. */
struct core *pool_core(struct unicorn_engine *u, struct sim_cpu *cpu, enum core_use use, u64 root, u64 tag);
void pool_report(const struct core *c, const char *what);   /* print why the engine cannot go on */

/* x87 and SSE registers between cpu->fpu and the core. */
void fpu_load(struct core *c, const u8 *image);
void fpu_store(struct core *c, u8 *image);

bool engine_user(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out);
bool engine_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out);
