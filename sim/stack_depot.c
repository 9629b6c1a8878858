/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree of call stacks: see stack_depot.h. */
#include <stdlib.h>
#include "stack_depot.h"

#define NODE_BITS 17u                 /* a child's key: 47 bits of code address, then its parent */
#define PC_BITS   (64 - NODE_BITS)

bool stack_create(struct stack_depot *d)
{
    *d = (struct stack_depot){ .count = 1 };
    d->nodes = calloc(bit(NODE_BITS), sizeof(*d->nodes));
    if (d->nodes && keymap_create(&d->children, NODE_BITS + 1))
        return true;
    stack_destroy(d);
    return false;
}

void stack_destroy(struct stack_depot *d)
{
    free(d->nodes);
    keymap_destroy(&d->children);
    *d = (struct stack_depot){ 0 };
}

u32 stack_push(struct stack_depot *d, u32 node, u64 pc)
{
    u32 *child = keymap_take(&d->children, (u64)node << PC_BITS | (pc & (bit(PC_BITS) - 1)));
    if (!child)
        return 0;
    if (*child || d->count == bit(NODE_BITS))
        return *child;
    d->nodes[d->count] = (struct stack_node){ pc, node };
    *child = d->count++;
    return *child;
}

u32 stack_pop(const struct stack_depot *d, u32 node)
{
    return d->nodes[node].parent;
}

u32 stack_read(const struct stack_depot *d, u32 node, u64 *pcs, u32 room)
{
    u32 n = 0;
    for (; node && n < room; node = d->nodes[node].parent)
        pcs[n++] = d->nodes[node].pc;
    return n;
}
