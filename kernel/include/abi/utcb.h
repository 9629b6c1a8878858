/* SPDX-License-Identifier: BSD-2-Clause */
/* UTCB: the two pages through which an EC and the kernel exchange what does not fit into registers. Allocated by the kernel, mapped
 * read-write into the EC's PD. The kernel copies; it never trusts or re-reads a word. Page 0: control. Page 1: message words. */
#pragma once
#include "base.h"
#include "abi/hypercall.h"

#define UTCB_WORDS 512u   /* message words of one call or reply */
#define UTCB_ITEMS 32u    /* typed items of one call or reply */
#define UTCB_PAGES 2u

/* A typed item delegates `count` units from the sender's space to the receiver's window of the same type. Items are tried in order;
 * `status` of the sender's item says what became of it, the receiver's copy has base and count of what arrived (count 0: nothing).
 * An object item goes to window.base + units already used. */
struct utcb_item {
    u64 base;     /* first unit, in the sender's space; for the receiver: in its own space */
    u64 count;    /* units */
    u32 rights;   /* asked for, in both copies: each unit is cut to what the sender holds of it; lookup tells */
    u16 type;     /* enum space_type: SPACE_OBJECT or SPACE_MEMORY */
    u16 status;   /* enum status, written by the kernel */
};

struct utcb_window {
    u64 base;
    u64 count;   /* 0: accept nothing */
};

/* What an exception message carries; a reply with EXCEPTION_WORDS words resumes the EC with what stands there then.
 * The message words 0..20 of page 1 hold this structure. */
struct utcb_exception {
    u64 vector, error, address;   /* address: CR2 for a page fault */
    u64 gpr[16];                  /* x86 encoding order: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
    u64 ip, flags;
};
#define EXCEPTION_WORDS (sizeof(struct utcb_exception) / 8)

struct utcb {
    struct utcb_window window[2];   /* by enum space_type: OBJECT, MEMORY; read when a message arrives */
    u64 reserved[28];
    struct utcb_item item[UTCB_ITEMS];
    u8 page_rest[PAGE_SIZE - 256 - UTCB_ITEMS * 24];
    u64 word[UTCB_WORDS];
};
static_assert(sizeof(struct utcb_item) == 24, "ABI");
static_assert(offset_of(struct utcb, item) == 256, "ABI");
static_assert(offset_of(struct utcb, word) == PAGE_SIZE, "message words fill page 1");
static_assert(sizeof(struct utcb) == UTCB_PAGES * PAGE_SIZE, "ABI");
