/* SPDX-License-Identifier: BSD-2-Clause */
/* What `env` in a folder's metadata says, for who makes another folder of it. */
#pragma once
#include "trace/writer.h"

struct env {
    struct trace_env *pair;    /* ends with a NULL key */
    char *text;                /* what they point into */
};
/* Without those that the writer adds by itself; `more`, ended by a NULL key, comes behind and replaces. A trace that has none: only these. False: no memory. */
bool env_read(struct env *env, const char *folder, const struct trace_env *more);
void env_free(struct env *env);
