/* SPDX-License-Identifier: BSD-2-Clause */
/* See answer_made.h. */
#include "answer_made.h"
#include <stdlib.h>
#include <string.h>
#include "unit.h"
#include "abi/hypercall.h"
#include "abi/info.h"
#include "abi/status.h"
#include "arch/x86.h"
#include "program.h"

#define STATE(n)    (0x20000000ul + (n) * 0x10000ul)
#define UTCB(n)     (0x10000000ul + (n) * 2 * PAGE_SIZE)
#define SEL_DONE    ROOT_SEL_FREE
#define SEL_VCPU(n) (256u + (n))
#define SEL_EC(n)   (1024u + (n))
#define SEL_SC(n)   (2048u + (n))
#define VCPUS       64u

struct made_vcpu {
    u32 number, turn;
    u64 context;
};

static struct {
    u8 *bytes;
    u64 count, room;
    struct engine *user;
    u32 vcpus, exits;
    struct made_vcpu vcpu[VCPUS], *on[VCPUS];
} made;

static void sink(void *arg, const void *bytes, u32 count)
{
    if (made.count + count > made.room) {
        made.room = 2 * (made.count + count);
        made.bytes = realloc(made.bytes, made.room);
        assert_non_null(made.bytes);
    }
    memcpy(made.bytes + made.count, bytes, count);
    made.count += count;
}

/* ---- The guest ---- */

static bool guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    static const struct engine_event event[] = {
        { .kind = EVENT_CPUID, .insn_len = 2 }, { .kind = EVENT_IO, .insn_len = 1, .io = { .port = 0x3f8, .size = 1 } },
        { .kind = EVENT_IO, .insn_len = 2, .io = { .port = 0x40, .size = 2, .in = 1 } }, { .kind = EVENT_HLT, .insn_len = 1 },
        { .kind = EVENT_NESTED_FAULT, .gpa = 0x12345, .access = RIGHT_W, .gva = 0x2345, .gva_valid = true }, { .kind = EVENT_RDMSR, .insn_len = 2 },
        { .kind = EVENT_WRMSR, .insn_len = 2 }, { .kind = EVENT_MOV_CR, .insn_len = 4, .cr = { .number = 8, .gpr = 5, .write = 1 } },
        { .kind = EVENT_EXCEPTION, .vector = VECTOR_UD }, { .kind = EVENT_XSETBV, .insn_len = 3 }, { .kind = EVENT_TRIPLE_FAULT },
    };
    struct made_vcpu *const v = made.on[sim_cpu_id(cpu)];
    g->gpr[v->turn % 16] += 0x1234567890ul * (v->turn + 1);
    g->rip += 0x20;
    g->seg[VCPU_SEG_DS].base += 0x10;
    g->cr2 = v->turn;
    *out = event[v->turn % array_size(event)];
    if (out->kind != EVENT_NESTED_FAULT && out->kind != EVENT_EXCEPTION)
        g->event = 0;   /* else it was not delivered: that is the access */
    if (g->want_window && g->rflags & RFLAGS_IF && !g->event)
        out->kind = EVENT_INTR_WINDOW;
    out->steps = 1;
    return true;
}

/* ---- The VMM ---- */

static void must(u64 status)
{
    assert_int_equal(status, OK);
}

static void put(u32 vcpu, u64 offset, const void *from, u64 bytes)
{
    user_store(STATE(vcpu) + offset, from, bytes);
}
#define PUT(v, member, value) put((v)->number, offset_of(struct vcpu_state, member), &(__typeof__(((struct vcpu_state *)0)->member)){ value }, \
                                  sizeof(((struct vcpu_state *)0)->member))

static void answer(struct made_vcpu *v)
{
    static struct vcpu_state s;   /* the page as it is; one thread at a time is between two hypercalls */
    const u32 n = v->turn;
    u32 dirty = 0;
    user_load(&s, STATE(v->number), offset_of(struct vcpu_state, page_rest));
    if (s.valid & VCPU_GROUP_RIP) {
        PUT(v, rip, s.rip + s.exit.insn_len);
        PUT(v, rflags, n % 3 ? s.rflags | RFLAGS_IF : s.rflags & ~RFLAGS_IF);
        dirty |= VCPU_GROUP_RIP;
    }
    if (n % 4 == 1) {
        PUT(v, inject, n % 8 == 1 && s.valid & VCPU_GROUP_RIP && n % 3 ? VCPU_EVENT_INTERRUPT(0x40 + n % 16) : VCPU_EVENT_EXCEPTION(VECTOR_UD));
        PUT(v, windows, n % 8 == 5 ? VCPU_WINDOW_INTR : 0);
        dirty |= VCPU_GROUP_INJECT;
    }
    if (n % 6 == 2) {
        PUT(v, exceptions, 1u << VECTOR_UD);
        PUT(v, tsc_offset, n);
        dirty |= VCPU_GROUP_CONTROL | VCPU_GROUP_TSC;
    }
    if (n % 10 == 3) {
        must(program_hypercall(HYPERCALL_vcpu_fetch, SEL_VCPU(v->number), VCPU_GROUP_SYSCALL | VCPU_GROUP_SYSENTER, 0, 0, 0, 0));
        PUT(v, star, n);
        PUT(v, sysenter_cs, n);
        PUT(v, lstar, 0x1000 + n);
        dirty |= VCPU_GROUP_SYSCALL | VCPU_GROUP_SYSENTER;
    }
    PUT(v, want, n % 7 ? 0 : VCPU_GROUP_CR | VCPU_GROUP_SEG);
    PUT(v, dirty, dirty);
    if (n % 9 == 8)
        must(program_hypercall(HYPERCALL_vcpu_kick, SEL_VCPU(v->number), 0, 0, 0, 0, 0));
}

static void vmm(void *arg)
{
    struct made_vcpu *const v = arg;
    made.on[v->number] = v;
    for (v->turn = 0; v->turn < made.exits; v->turn++) {
        must(program_hypercall(HYPERCALL_vcpu_run, SEL_VCPU(v->number), 0, 0, 0, 0, 0));
        answer(v);
    }
    must(program_hypercall(HYPERCALL_sm_up, SEL_DONE, 0, 0, 0, 0, 0));
    program_hypercall(HYPERCALL_sm_down, SEL_DONE + 1, 0, 0, 0, 0, 0);
}

static void root(void *arg)
{
    must(program_hypercall(HYPERCALL_sm_create, ROOT_SEL_PD, SEL_DONE, 0, 0, 0, 0));
    must(program_hypercall(HYPERCALL_sm_create, ROOT_SEL_PD, SEL_DONE + 1, 0, 0, 0, 0));
    for (u32 i = 0; i < made.vcpus; i++) {
        const u64 entry = program_entry(made.user, vmm, &made.vcpu[i]);
        made.vcpu[i] = (struct made_vcpu){ .number = i };
        must(program_hypercall(HYPERCALL_vcpu_create, ROOT_SEL_PD, SEL_VCPU(i), i, STATE(i), 0, 0));
        must(program_hypercall(HYPERCALL_ec_create, ROOT_SEL_PD, SEL_EC(i), UTCB(i), entry, 0, EC_CONFIG(i, EC_GLOBAL, ROOT_SEL_EVENT)));
        must(program_hypercall(HYPERCALL_sc_create, ROOT_SEL_PD, SEL_SC(i), SEL_EC(i), PRIORITY_COUNT - 1, 1000000000, 0));
    }
    for (u32 i = 0; i < made.vcpus; i++)
        must(program_hypercall(HYPERCALL_sm_down, SEL_DONE, 0, 0, 0, 0, 0));
    program_hypercall(HYPERCALL_shutdown, 0, 0, 0, 0, 0, 0);
}

u8 *answer_made(enum sim_vendor vendor, u32 vcpus, u32 exits, u64 *bytes)
{
    struct engine engine = { .name = "made", .guest = guest };
    u64 size;
    memset(&made, 0, sizeof(made));
    made.vcpus = vcpus;
    made.exits = exits;
    made.user = program_engine();
    assert_non_null(made.user);
    void *const bundle = program_bundle(program_entry(made.user, root, NULL), &size);
    const struct sim_config config = {
        .cpus = vcpus, .ram_bytes = (32ul + 2 * vcpus) << 20, .vendor = vendor, .x2apic = true, .bundle = bundle, .bundle_bytes = size,
        .user = made.user, .guest = &engine, .trace = MACH_TRACE_ON, .trace_sink = sink,
    };
    struct sim *const s = sim_create(&config);
    free(bundle);
    assert_non_null(s);
    if (sim_run(s, 1ul << 32) != SIM_SHUTDOWN)
        fail_msg("%s", sim_result(s)->message);
    sim_destroy(s);
    made.user->destroy(made.user);
    *bytes = made.count;
    return made.bytes;
}
