/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU on the kernel fixture, and a guest that does what the test says: the test's list of engine events goes through the simulated VMX or
 * SVM, which turns them into exits of its vendor.
 *
 *   struct guest *g = guest_open(SIM_SVM);          the first run is done: STARTUP
 *   guest_does(g, (struct engine_event){ .kind = EVENT_CPUID });
 *   assert_int_equal(guest_run(g, 0), VCPU_EXIT_CPUID);     dirty groups; the exit's reason
 *   guest_close(g);                                 everything is released, nothing leaks
 *
 * With no event left the guest executes a hypercall instruction. */
#pragma once
#include "engine.h"
#include "kernel_fixture.h"
#include "vcpu.h"

#define GUEST_EVENTS   8u
#define GUEST_SEL_VCPU 200u
#define GUEST_SEL_EC   100u
#define GUEST_STATE    0x20000000ul

struct guest {
    struct fixture *f;
    struct fixture_books books;
    struct engine engine;
    enum sim_vendor vendor;
    struct ec *ec;
    struct vcpu *v;
    struct vcpu_state *s;
    struct engine_event todo[GUEST_EVENTS];
    u32 count, next;
    u32 entries;                    /* slices since guest_run began */
    bool keep_event;                /* the injected event is not delivered */
    void (*before)(struct guest *g, struct sim_guest *guest);   /* called in each slice */
    struct sim_guest seen;          /* as the guest found itself in its last slice */
    u64 arg;
    u32 flushes;                    /* of the engine's translations */
};

struct guest *guest_open_cpus(u32 cpus, enum sim_vendor vendor);
static inline struct guest *guest_open(enum sim_vendor vendor)
{
    return guest_open_cpus(1, vendor);
}
void guest_close(struct guest *g);
void guest_does(struct guest *g, struct engine_event e);
/* vcpu_run with these dirty groups until the hypercall has returned: its exit reason. Its status must be OK. */
u32 guest_run(struct guest *g, u32 dirty);
/* The same as single steps: the hypercall; then what the machine does with what was resumed. False: nothing for the guest to do. */
u64 guest_enter(struct guest *g, u32 dirty);
bool guest_step(struct guest *g);
bool guest_inside(const struct guest *g);
void guest_fetch(struct guest *g, u32 groups);

/* A group of tests that each run on the simulated VMX and on the simulated SVM; the test asks VENDOR(state) which:
 *     GUEST_GROUP(vcpu_event, GUEST_TEST(event_is_delivered), GUEST_TEST(kick_is_sticky)); */
struct guest_test {
    const char *name;
    void (*test)(void **state);
};
void guest_register(struct unit_group *group, struct CMUnitTest *out, const struct guest_test *tests, u32 count);
#define VENDOR(state)    ((enum sim_vendor)(u64)*(state))
#define GUEST_TEST(test) { #test, test }
#define GUEST_GROUP(group, ...)                                                                          \
    static const struct guest_test group##_both[] = { __VA_ARGS__ };                                     \
    static struct CMUnitTest group##_tests[2 * array_size(group##_both)];                                \
    static struct unit_group group##_group = { #group, group##_tests, 0, NULL };                         \
    __attribute__((constructor)) static void group##_register(void)                                      \
    {                                                                                                    \
        guest_register(&group##_group, group##_tests, group##_both, array_size(group##_both));           \
    }                                                                                                    \
    extern int group##_needs_semicolon

/* guest_fixture_sim.c */
void guest_sim_engine(struct sim *s, struct engine *e);
u64 guest_sim_enter(struct sim *s, u32 cpu, struct resume *r, u64 *info);
void guest_sim_interrupt(struct sim *s, u32 cpu, u32 vector);
void guest_sim_nmi(struct sim *s, u32 cpu);
bool guest_sim_nmi_blocked(struct sim *s, u32 cpu);
void guest_sim_window(struct sim *s, u32 cpu);               /* what a window does beside taking an interrupt */
u64 guest_sim_register(struct sim *s, u32 cpu, u32 which);   /* of the host: enum below */
enum { GUEST_HOST_DR0, GUEST_HOST_XCR0, GUEST_HOST_LSTAR, GUEST_HOST_KERNEL_GS, GUEST_HOST_TSC_AUX, GUEST_HOST_CR0 };
u32 guest_sim_last_check(struct sim *s, u32 cpu);            /* id of the check that failed the last entry, as the model knows it */
void guest_sim_svm_plain(struct sim *s);                     /* an SVM machine without next RIP and decode assists */
void guest_sim_trace(struct sim *s, void (*sink)(void *arg, const void *bytes, u32 count), void *arg);
void guest_sim_trace_live(struct sim *s);
void guest_sim_trace_off(struct sim *s);
u8 *guest_sim_fpu(struct sim *s, u32 cpu);                   /* the FPU registers, as FXSAVE lays them out */
bool guest_sim_vmcs_active(struct sim *s, u64 phys);         /* not cleared since it was loaded somewhere */
void guest_sim_iret_faulted(struct sim *s, u32 cpu);         /* the current VMCS: the exit's qualification says "NMI unblocking due to IRET" */
