/* SPDX-License-Identifier: BSD-2-Clause */
/* Semaphore: a counter or a queue of waiting ECs, first come first served; the form an interrupt takes. Lock: sm.lock. */
#pragma once
#include "lock.h"
#include "object.h"

struct ec;

struct sm {
    struct object object;
    struct lock lock;
    u64 count;                     /* 0 while anybody waits */
    struct ec *first, *last;
};

must_check enum status sm_create(struct cpu *cpu, struct pd *pd, u64 count, struct sm **out);
void sm_destroy(struct cpu *cpu, struct sm *sm);
must_check enum status sm_up(struct cpu *cpu, struct sm *sm);   /* STATUS_BUSY: the count would wrap */
must_check enum status sm_down(struct cpu *cpu, struct ec *ec, struct sm *sm, bool zero, u64 deadline);
void sm_timeout(struct cpu *cpu, struct ec *ec);   /* ec's deadline passed */
must_check bool sm_leave(struct ec *ec);           /* on ec's CPU, in EC_WAIT_SM: out of the queue; false: a wake-up was faster */
