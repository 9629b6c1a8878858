/* SPDX-License-Identifier: BSD-2-Clause */
/* Synchronous call and reply: copies the message, links caller and callee, donates the scheduling context; helping.
 * MTR_PROGRESS in the mtr register says that this is a preempted transfer executed again; how far it came, only the kernel knows. */
#pragma once
#include "abi/hypercall.h"
#include "abi/status.h"
#include "base.h"

struct cpu;
struct ec;
struct portal;

#define MTR_PROGRESS bit(63)
#define MTR_PLAIN(m) ((m)&0xfffffffful)

/* The two ways of a message. */
must_check enum status ipc_call(struct cpu *cpu, struct ec *caller, struct portal *portal, u64 mtr);
must_check enum status ipc_reply(struct cpu *cpu, struct ec *ec, u64 mtr);
/* Exception of ec, which is current: a call of the kernel's making to its event portal; without one the EC is killed. Who goes on then. */
struct resume *ipc_exception(struct cpu *cpu, struct ec *ec, u64 vector, u64 error, u64 address);   /* fastpath.c */
/* Deliver the exception of EC_FLAG_FAULTED: afterwards ec is calling, helping or dead; or still faulted: an interrupt is pending. */
void ipc_fault(struct cpu *cpu, struct ec *ec);

/* ipc_message.c */
bool mtr_legal(u64 mtr);
/* Items, then words (none if !words) from one UTCB to the other. mtr_register: where the sender's mtr came in. OK: *got is the receiver's
 * mtr. STATUS_RESTART: preempted, from->transfer says how far. */
must_check enum status ipc_transfer(struct ec *from, struct ec *to, u64 mtr, u32 mtr_register, bool words, u64 *got);
/* ipc_exception.c */
void exception_message(const struct ec *ec, struct ec *handler, u64 vector, u64 error, u64 address);
must_check bool exception_restore(struct ec *ec, const struct ec *handler, u64 mtr);   /* false: no registers user mode may have */
