/* SPDX-License-Identifier: BSD-2-Clause */
/* The details of a trace's events, as a Perfetto viewer shows them beside a slice or an instant. */
#pragma once
#include "trace/protobuf.h"
#include "trace/reader.h"

void perfetto_exit(struct protobuf *e, const struct trace_words *w, u32 vcpu, u64 exit);   /* what the exit's reason says, RIP */
/* Of an event that is none of a vCPU's turns: category, name and fields. False: such an event has no instant. */
bool perfetto_instant(struct protobuf *e, const struct trace_event *raw);
