/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace as Perfetto's viewer reads it (https://ui.perfetto.dev): the TrackEvent messages of its protobuf format, time in ns.
 *
 *   CPU n               guest slices, named by the reason of the exit that ends them; VMM and other ECs between them; hypercalls, interrupts,
 *                       exceptions, messages, schedule, shootdowns as instants
 *   vCPU n              each exit a slice, from the exit to the entry, named by its reason, with its details; guest slices between them;
 *                       what the VMM took from outside as instants
 *   CPU n, lost events  a counter
 *
 * The same trace gives the same bytes. */
#pragma once
#include "trace/reader.h"

/* title: what the tracks stand under. False: no memory, or the file could not be written (errno says which). */
bool trace_perfetto(const struct trace *t, const char *title, FILE *out);
