/* SPDX-License-Identifier: BSD-2-Clause */
/* Synchronous call and reply: copies the message, links caller and callee, donates the scheduling context; helping. */
#pragma once
#include "abi/status.h"
#include "base.h"

struct cpu;
struct ec;
struct portal;

must_check enum status ipc_call(struct cpu *cpu, struct ec *caller, struct portal *portal, u64 mtr);
must_check enum status ipc_reply(struct cpu *cpu, struct ec *ec, u64 mtr);
/* Exception of ec: a call of the kernel's making to its event portal; without one the EC is killed. */
void ipc_exception(struct cpu *cpu, struct ec *ec, u32 vector, u64 error);
