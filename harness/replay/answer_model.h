/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of replay without the VMM share: the root program (answer.c), the thread of each vCPU, which stands for its VMM (answer_vcpu.c), and the
 * engine that stands for its guest (answer_guest.c). All on the host's one thread. */
#pragma once
#include "replay/answer.h"

#define ANSWER_NONE VCPU_EXIT_COUNT   /* as a reason: there was no exit */

struct answer;

struct answer_vcpu {
    struct answer *answer;
    u32 number;
    u64 context;                 /* sim_cpu_context of its guest; 0: it was not entered yet */
    struct course_cursor cursor; /* its exit is the one that comes next, or came last */
    struct trace_words left;     /* the words as the VMM left them: what the coming entry loads */
    bool told;                   /* left is what was recorded */
    u32 answered;                /* the turn that left answers */
    bool entered;                /* in this run */
    bool last;                   /* nothing is recorded after this entry */
    bool moved;                  /* before this kick the guest went on, unseen */
    bool ready;                  /* root was told that it may start the next one */
    u32 owed;                    /* groups to be written besides: skipped turns wrote them, or the guest did unseen */
    u8 page[offset_of(struct vcpu_state, page_rest)] aligned_to(8);   /* the state page as it was read */
};

struct answer {
    const struct course *course;
    const struct answer_options *options;
    struct answer_result *result;
    struct engine guest, *user;
    struct compare_machines machines;
    u32 groups;                  /* that the model has */
    u16 word[VCPU_GROUP_COUNT];  /* trace_group_word of each */
    bool stop;                   /* the run is to end */
    bool finished;               /* every turn of every vCPU was done */
    struct answer_vcpu *starting, *on[COURSE_VCPUS];   /* root waits for its first entry; which ran last on each CPU */
    struct answer_vcpu *vcpu;
};

#define ANSWER_STATE(n)    (0x20000000ul + (n) * 0x10000ul)   /* state pages */
#define ANSWER_SEL_READY   ROOT_SEL_FREE
#define ANSWER_SEL_DONE    (ROOT_SEL_FREE + 1)
#define ANSWER_SEL_PARK    (ROOT_SEL_FREE + 2)
#define ANSWER_SEL_VCPU(n) (256u + (n))

void answer_hypercall(struct answer *a, const char *name, u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);   /* returns if it was OK */
void answer_vcpu_main(void *vcpu);
bool answer_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out);
void answer_skip(struct answer_vcpu *v);   /* to the next recorded exit, if there is one */
void answer_differs(struct answer_vcpu *v, const struct difference *d, u32 exit);
