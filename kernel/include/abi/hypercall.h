/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall table: the single source of numbers, argument structures, user stubs, the tracer's name table and
 * docs/hypercalls.md.
 *
 * Register convention (SYSCALL): RDI = number; RSI, RDX, R8, R9, R10, RAX = arguments 0..5 in table order.
 * On return RAX = enum status, RSI and RDX = results where the row names them; RCX, R11 are destroyed, all else is kept.
 * A hypercall interrupted at a preemption point is executed again from its SYSCALL instruction, with argument registers
 * that say that it goes on; user level sees one hypercall.
 *
 * Row: X(number, name, (arguments), (results), "summary"). A "selector" indexes the caller's object space. */
#pragma once

#define HYPERCALL_LIST(X)                                                                                              \
    X(0, null, (none), (none), "do nothing: measures entry and exit")                                                  \
    X(1, call, (portal, mtr), (mtr), "call a portal: message out of and back into the caller's UTCB")                  \
    X(2, reply, (mtr), (none), "reply to the caller and wait for the next call; local ECs only")                       \
    X(3, pd_create, (pd, selector, quota_bytes, flags), (none), "new PD charged to pd, which hands it quota_bytes")    \
    X(4, ec_create, (pd, selector, utcb, ip, sp, config), (none), "new EC in pd with its two UTCB pages at utcb")   \
    X(5, sc_create, (pd, selector, ec, priority, budget_tsc), (none), "give ec time: it becomes runnable; on a CPU with fair groups priority names its group, SC_GROUP_*") \
    X(6, portal_create, (pd, selector, ec, ip, id), (none), "new portal into the local EC ec, entered at ip")          \
    X(7, sm_create, (pd, selector, count), (none), "new semaphore")                                                    \
    X(8, vcpu_create, (pd, selector, cpu, state), (none), "new vCPU in pd; its two state pages appear at state")       \
    X(9, delegate, (from, to, base, target, order_type), (none), "copy rights from PD to PD, never more than held")    \
    X(10, revoke, (pd, base, count_type, flags), (none), "take back what was derived from a range; synchronous")       \
    X(11, lookup, (pd, type, base), (base, rights), "what a PD holds at a selector or page")                           \
    X(12, sm_up, (sm), (none), "increment or wake one waiter")                                                         \
    X(13, sm_down, (sm, flags, deadline_tsc), (none), "decrement or block; deadline 0: for ever")                      \
    X(14, vcpu_run, (vcpu), (none), "enter the guest; returns at the next exit, described in the state page")          \
    X(15, vcpu_kick, (vcpu), (none), "make the running or next vcpu_run return; sticky")                               \
    X(16, vcpu_fetch, (vcpu, groups), (none), "bring further state groups of a stopped vCPU into its state page")      \
    X(17, portal_ctrl, (portal, id), (none), "set the id a portal passes to its handler")                              \
    X(18, pd_info, (pd), (used_bytes, limit_bytes), "kernel memory charged to a PD and its limit")                     \
    X(19, console, (word0, word1, word2, word3, bytes), (none), "print up to 32 bytes; needs PD_FLAG_CONSOLE")         \
    X(20, shutdown, (code), (none), "stop the machine with an exit code; needs PD_FLAG_SHUTDOWN")                      \
    X(21, sc_info, (sc), (used_tsc), "time consumed by a scheduling context")                             \
    X(22, clock, (none), (tsc), "read the clock; a trace notes what was read")                                         \
    X(23, trace, (vcpu, kind_bytes, address, word0, word1, word2), (none), "put into the trace what a VMM took from outside; without a trace: nothing")

enum hypercall {
#define HYPERCALL_ENUM(number, name, arguments, results, summary) HYPERCALL_##name = number,
    HYPERCALL_LIST(HYPERCALL_ENUM)
#undef HYPERCALL_ENUM
            HYPERCALL_COUNT,
};

/* Apply f(index, name) to each of up to six names. */
#define HC_EACH(f, ...)                   HC_PICK(__VA_ARGS__, HC_6, HC_5, HC_4, HC_3, HC_2, HC_1)(f, __VA_ARGS__)
#define HC_PICK(a, b, c, d, e, g, n, ...) n
#define HC_1(f, a)                        f(0, a)
#define HC_2(f, a, b)                     f(0, a) f(1, b)
#define HC_3(f, a, b, c)                  f(0, a) f(1, b) f(2, c)
#define HC_4(f, a, b, c, d)               f(0, a) f(1, b) f(2, c) f(3, d)
#define HC_5(f, a, b, c, d, e)            f(0, a) f(1, b) f(2, c) f(3, d) f(4, e)
#define HC_6(f, a, b, c, d, e, g)         f(0, a) f(1, b) f(2, c) f(3, d) f(4, e) f(5, g)

/* Selectors and types. */
#define SEL_NULL      0x7fffffffffffffffu   /* never a valid selector */
#define SEL_COUNT     32768u                /* selectors of an object space: 0 .. SEL_COUNT - 1 */

enum space_type {
    SPACE_OBJECT = 0,   /* unit: one selector */
    SPACE_MEMORY = 1,   /* unit: one 4 KiB page of the PD's host memory space */
    SPACE_GUEST  = 2,   /* unit: one 4 KiB page of the PD's guest-physical space; as a target only, its source is SPACE_MEMORY */
};

/* Rights on memory. Host memory that holds both W and X is entered writable and not executable, the X can be passed on; guest memory is
 * entered as it is. */
#define RIGHT_R        0x1u
#define RIGHT_W        0x2u
#define RIGHT_X        0x4u
#define RIGHT_MEMORY   0x7u
/* Permissions on objects, by type. Bit 0..4; what a bit means is per type. */
#define PERM_PD_CREATE   0x1u   /* create objects in it, charge to it */
#define PERM_PD_SPACE    0x2u   /* source or target of delegate and revoke */
#define PERM_EC_PORTAL   0x1u   /* bind a portal to it */
#define PERM_EC_SC       0x2u   /* bind a scheduling context to it */
#define PERM_SC_CTRL     0x1u
#define PERM_PORTAL_CALL 0x1u
#define PERM_PORTAL_CTRL 0x2u
#define PERM_SM_UP       0x1u
#define PERM_SM_DOWN     0x2u
#define PERM_VCPU_RUN    0x1u
#define PERM_VCPU_KICK   0x2u
#define PERM_ALL         0x1fu

/* delegate: order_type = count << 16 | rights << 8 | source type << 4 | target type; base, target, count in units of the
 * types (selectors or page numbers). Types must agree, but MEMORY -> GUEST is allowed. Fails with nothing changed.
 * revoke:   count_type = count << 4 | type; flags: REVOKE_SELF removes the PD's own right too.
 * lookup:   base is the unit asked for, rights those held there (permissions of a capability), 0: none.
 * The last capability of a PD: its object space is emptied, what its threads created goes, too, wherever it was passed on to; its memory stays
 * until the last EC in it is gone. */
#define DELEGATE(count, rights, from_type, to_type) ((u64)(count) << 16 | (u64)(rights) << 8 | (u64)(from_type) << 4 | (u64)(to_type))
#define REVOKE(count, type)                         ((u64)(count) << 4 | (u64)(type))
#define REVOKE_SELF                                 0x1u
#define DELEGATE_COUNT_MAX                          bit(36)   /* units per delegate or revoke */

#define PD_FLAG_CONSOLE  0x1u   /* may call console; a PD can pass on only the flags it has */
#define PD_FLAG_SHUTDOWN 0x2u

/* trace: kind (abi/trace.h, TRACE_VALUE_*) and number of bytes in the words, at most TRACE_VALUE_BYTES. Worth it only if the state page says so:
 * VCPU_TRACED (abi/vcpu.h). */
#define TRACE_KIND_BYTES(kind, bytes) ((u64)(kind) << 8 | (u64)(bytes))

#define SM_DOWN_ZERO 0x1u   /* sm_down: take the whole count, not one */

/* ec_create: config = EC_CONFIG(cpu, kind, event base). A global EC starts at ip with stack pointer sp, RDI = 0 and RSI = utcb when
 * it first gets time; a local EC has no time of its own and runs when one of its portals is called: it enters at the portal's
 * ip with RSP = sp, RDI = portal id, RSI = mtr (ip of ec_create is ignored).
 * Event base: exception v of this EC calls the portal at selector event base + v of its PD; without a portal there the EC is
 * stopped for good. */
#define EC_GLOBAL                       0u
#define EC_LOCAL                        1u
#define EC_FPU                          2u   /* has FPU state; without it, FPU instructions are exception 7 */
#define EC_CONFIG(cpu, kind_fpu, event) ((u64)(cpu) | (u64)(kind_fpu) << 8 | (u64)(event) << 16)
#define EC_EVENTS                       32u

/* mtr: message transfer register: words 0..UTCB_WORDS, typed items 0..UTCB_ITEMS. */
#define MTR(words, items) ((u64)(words) | (u64)(items) << 16)
#define MTR_WORDS(mtr)    ((u64)(mtr)&0xffff)
#define MTR_ITEMS(mtr)    ((u64)(mtr) >> 16 & 0xffff)

#define PRIORITY_COUNT 128u   /* 0 lowest */

/* sc_create: what priority is depends on the EC's CPU. The kernel's command line says which CPUs have fair groups: sched=fair all, sched=fair:1,3
 * these, without the word none; of several the last counts. There priority is a group, SC_GROUP_* (0 driver, 1 multimedia, 2 default, 3 background), all
 * else is STATUS_ARG. Groups share the CPU by weight (10, 5, 5, 1), with bounded latency (kernel/core/sched_fair.h). Within a group SCs take turns by
 * budget, and nothing else orders them. A call takes the caller's SC along, group and all; a vCPU runs in the group of the SC whose EC called vcpu_run, so
 * a VMM in the background keeps its guest there. sc_info tells what an SC has used, under both policies. */
#define SC_GROUP_DRIVER     0u
#define SC_GROUP_MULTIMEDIA 1u
#define SC_GROUP_DEFAULT    2u
#define SC_GROUP_BACKGROUND 3u
#define SC_GROUP_COUNT      4u

#define USER_END 0x00007ffffffff000ul   /* first address user level may not map: the last page stays empty so that no return address
                                           is non-canonical */
