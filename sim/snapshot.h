/* SPDX-License-Identifier: BSD-2-Clause */
/* One snapshot of a machine, and the way back to it: an undo log of what was written since, and copies of the model's own structures. */
#pragma once
#include "machine_model.h"

/* Anything is about to write these bytes, in RAM or not: they are kept, if a snapshot was taken. Every writer says so: atomics, walkers, mach_*,
 * silicon, and instrumented code through its sanitizer calls. Memory of stacks needs none: programs begin anew. */
void snapshot_log(struct sim *s, const void *address, u64 bytes);
static inline void undo_write(struct sim *s, const void *address, u64 bytes)
{
    if (unlikely(s->snapshot != NULL))
        snapshot_log(s, address, bytes);
}

/* The model's own memory, copied at the mark and put back whole. */
must_check bool snapshot_region(struct sim *s, void *p, u64 bytes);
must_check bool snapshot_mark(struct sim *s);      /* false: no memory */
void snapshot_restore(struct sim *s);
void snapshot_destroy(struct sim *s);
/* Compare RAM with a copy made at the mark (snapshot_verify_begin, after snapshot_mark): the physical address of the first difference, ~0: none.
 * A difference after a restore is a write nobody logged. */
must_check bool snapshot_verify_begin(struct sim *s);
u64 snapshot_verify(struct sim *s);
/* Without instrumented code the log is not complete: restore all of RAM from the copy instead. */
void snapshot_whole(struct sim *s);
