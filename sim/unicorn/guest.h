/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest on a core: what the files guest*.c share. */
#pragma once
#include "abi/hypercall.h"
#include "pool.h"

struct guest_run {
    struct sim_cpu *cpu;
    struct core *core;
    struct sim_guest *g;
    struct engine_event *out;
    struct sim_nested nested;
    /* Why translate() left the core. */
    bool outside;                 /* the frame lies outside RAM */
    u64 fault_gpa, fault_linear;
    u32 fault_access;
    bool fault_table;             /* the access was the guest's own page walk */
};

/* guest_state.c */
void guest_load(struct core *c, const struct sim_guest *g);
void guest_store(const struct core *c, struct sim_guest *g);
void guest_hflags(struct core *c);          /* from the registers in the core */
static inline bool guest_code64(const struct core *c)
{
    return c->env->hflags & LIB_CS64;
}

/* guest_walk.c: linear to physical. CORE_LEAVE: the fault_ members of r are filled. */
enum core_answer guest_translate(void *arg, u64 linear, u32 access, enum core_mode mode, struct core_page *page);
bool guest_read(struct guest_run *r, u64 linear, void *to, u32 bytes, u32 access, enum core_mode mode);   /* false: it would fault */

/* guest_insn.c */
struct guest_insn {
    u8 bytes[15];
    u32 length;                   /* 0: not decoded */
    u32 opcode;                   /* 0xf4, 0x0f20, 0x0f01c1: with ModRM for group 0f01 in register form */
    u8 modrm, rex, segment;
    bool repeat, lock;
    u8 operand_size, address_size;   /* bytes */
};
void guest_decode(struct guest_run *r, struct guest_insn *i);
u32 guest_fetch(struct guest_run *r, u8 bytes[15]);   /* at RIP; returns how many could be fetched */

/* guest_event.c: what a stop means. True: *r->out is filled; false: handled, go on. */
bool guest_describe(struct guest_run *r);
