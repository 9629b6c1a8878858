/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways show prints the event at which a walk stands. */
#pragma once
#include "tools/walk.h"

void show_raw(const struct walk *k);
void show_json(const struct walk *k);

/* A line is begun by an exit and printed with its answer. */
struct show_lines {
    char **line;             /* per vCPU; NULL: none begun */
    u32 vcpus;
};
bool show_lines_begin(struct show_lines *l, const struct trace *t);   /* false: one line was printed */
void show_lines_next(struct show_lines *l, const struct walk *k);
void show_lines_end(struct show_lines *l);   /* prints what is begun */
