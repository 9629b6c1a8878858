/* SPDX-License-Identifier: BSD-2-Clause */
/* Call stacks as nodes of one tree, each stored once: a node is a return address below its caller's node. Nodes are numbers that stay valid; 0 is
 * the root, the empty stack. Bounded: a stack that no longer fits is the root, and its callers are unknown from there on. */
#pragma once
#include "keymap.h"

struct stack_node {
    u64 pc;
    u32 parent;
};

struct stack_depot {
    struct keymap children;        /* (parent, pc) to node */
    struct stack_node *nodes;
    u32 count;
};

must_check bool stack_create(struct stack_depot *d);
void stack_destroy(struct stack_depot *d);
u32 stack_push(struct stack_depot *d, u32 node, u64 pc);
u32 stack_pop(const struct stack_depot *d, u32 node);        /* the root's caller is the root */
u32 stack_read(const struct stack_depot *d, u32 node, u64 *pcs, u32 room);   /* innermost first; how many were written */
