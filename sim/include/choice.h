/* SPDX-License-Identifier: BSD-2-Clause */
/* The one question of the simulated world. A run is a pure function of the answers: its list of small integers.
 * Answer 0 is always the undisturbed default, so that a run of zeros is the straight run and shrinking goes towards it. */
#pragma once
#include "base.h"

#define CHOICE_LIST(X)                                                                                     \
    X(0, STEP, "which agent steps next: 0 = the undisturbed order, n = the n-th of sim_agents()")          \
    X(1, INTERRUPT, "a CPU looks for interrupts while one is pending: 0 = sees it, 1 = not yet")           \
    X(2, TIMER, "a CPU looks for interrupts while its timer is armed: 1 = the clock jumps there now")      \
    X(3, TRANSLATION, "which of the translations the CPU may use: 0 = a fresh walk, n = n-th stale one")   \
    X(4, DIRTY, "the walker sets A and D now (0) or after others may have stepped")                        \
    X(5, DRAIN, "an atomic store: 0 = reaches memory at once, 1 = waits in the buffer for its flusher")    \
    X(6, FAULT, "an operation that can fail: 0 = it does not")                                             \
    X(7, SKEW, "clock difference between CPUs, in ticks")                                                  \
    X(8, SPURIOUS, "a spurious event happens: 0 = no")                                                     \
    X(9, SLICE, "length of an engine slice: 0 = the default")                                              \
    X(10, INPUT, "a byte of outside input")
enum choice_kind {
#define CHOICE_ENUM(number, name, text) CHOICE_##name = number,
    CHOICE_LIST(CHOICE_ENUM)
#undef CHOICE_ENUM
            CHOICE_KINDS,
};

/* An answerer: random, straight, replay, exploration... one file each. */
struct chooser {
    u32 (*choose)(struct chooser *self, u32 bound, enum choice_kind kind);   /* 0 .. bound - 1, or CHOICE_CUT: end this run here */
};
#define CHOICE_CUT (~0u)

/* Ask the current machine's answerer. bound >= 1; with bound 1 nobody is asked. */
u32 choice(u32 bound, enum choice_kind kind);
