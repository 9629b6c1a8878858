/* SPDX-License-Identifier: BSD-2-Clause */
/* What the manual says that a hypercall does: first its status, from the model alone, nothing changed; then, if it came out so, its effect. */
#pragma once
#include "model.h"
#include "op.h"

/* What a hypercall needs of a quota, if it comes so far: at least, at most (page tables and ranges are the kernel's business). */
struct m_charge {
    struct m_object *pd;
    u64 min, max;
};

struct m_call {
    struct model *m;
    struct m_object *ec;       /* who calls */
    const struct op *op;
    u64 a[OP_ARGS], now;       /* as they stand in the registers; the clock */
    bool donated;              /* it runs on time of another EC */
    bool kick_stays;           /* vcpu_run was refused before the kick was looked at */

    enum status status;        /* STATUS_BLOCKED: waits; STATUS_SWITCH: delivered; STATUS_RESTART: helps */
    bool has_result[2];        /* of RSI, RDX; else they are kept */
    u64 result[2];
    struct m_charge charge[4];
    u32 charges;
    struct m_object *pd, *to, *object;   /* what the arguments name */
};

void m_predict(struct m_call *c);
void m_apply(struct m_call *c, void *kernel);   /* kernel: the address of the object it made */

/* What they use of each other. */
enum status m_cap(struct m_call *c, u64 selector, enum object_type type, u32 perms, struct m_object **out);
void m_charge(struct m_call *c, struct m_object *pd, u64 min, u64 max);

/* predict_space.c: `from` to `to`, units of a type; also for the typed items of a message. */
struct m_units {
    struct m_object *from, *to;
    u64 base, target, count;
    u32 rights, from_type, to_type;
};
enum status m_units_status(struct m_call *c, const struct m_units *u);
void m_units_move(const struct m_units *u);
enum status m_delegate(struct m_call *c);
enum status m_revoke(struct m_call *c);
enum status m_lookup(struct m_call *c);
void m_delegate_apply(struct m_call *c);
void m_revoke_apply(struct m_call *c);
bool m_revoke_takes_own(const struct m_call *c);   /* the very capability it names the PD by: then it must not be preempted */

/* predict_ipc.c: status without the items; who gets the message, if anybody. */
enum status m_ipc_call(struct m_call *c);
enum status m_ipc_reply(struct m_call *c);
struct m_object *m_receiver(const struct m_call *c);
void m_ipc_apply(struct m_call *c);
