/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations of the table in lifetime.h. */
#pragma once
#include "lifetime.h"

enum life_effect { KEEPS, LOSES /* root's capability */, ENDS /* the subject, if nothing else holds it */, ENDS_ALL /* and companions */, ENDS_OWNER };
enum life_on { ON_OBJECT, ON_MEMORY, ON_ALL };

struct life_op {
    const char *name;
    u64 number, args[6];             /* hypercall */
    enum life_type names;            /* what its selector must be; LIFE_TYPES: it is about any */
    enum life_on on;
    enum life_effect effect;
    enum life_answer answer;         /* ANSWERS: status, in each state */
    enum status status, blocked;     /* instead of OK, of BLOCKED */
    bool home;                       /* on the subject's CPU only */
    bool partners;                   /* applies where there are any */
    u32 needs, excludes;             /* S_* of the state */
    void (*happens)(struct life *l); /* no hypercall: the machine's doing */
};
extern const struct life_op life_ops[];
extern const u32 life_op_count;

bool life_applies(const struct life_state *s, const struct life_op *op, enum life_by who);
bool life_matches(const struct life_state *s, const struct life_op *op);   /* else its hypercall names an object of another type */
u64 life_answer(const struct life *l, const struct life_op *op);
void life_time_passes(struct life *l);
void life_faults(struct life *l);
