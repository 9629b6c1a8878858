/* SPDX-License-Identifier: BSD-2-Clause */
/* The program engine: does on the CPU's fiber what programs ask for on theirs.
 *
 * Where a thread is, its RIP says: an entry, or its own token plus a phase. So the kernel's restart (RIP back by 2, onto the SYSCALL), a
 * retried access and a thread moved by a handler all follow from registers alone. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "arch/x86.h"
#include "engine_program.h"
#include "sanitizer.h"

#define PROGRAM_STACK (16 * PAGE_SIZE)
#define PROGRAM_GUARD (16 * PAGE_SIZE)

static struct thread *thread_new(struct program *p)
{
    if (p->threads == PROGRAM_THREADS)
        return NULL;
    struct thread *t = p->thread[p->threads];
    if (t) {   /* from a run before */
        p->threads++;
        return t;
    }
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->map = mmap(NULL, PROGRAM_GUARD + PROGRAM_STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->map == MAP_FAILED || mprotect((u8 *)t->map + PROGRAM_GUARD, PROGRAM_STACK, PROT_READ | PROT_WRITE) != 0) {
        free(t);
        return NULL;
    }
    t->program = p;
    t->token = PROGRAM_TOKEN + p->threads * TOKEN_BYTES;
    p->thread[p->threads++] = t;
    return t;
}

/* The thread that these registers had goes on at an entry: its old stack is dropped. */
static struct thread *thread_start(struct program *p, struct resume *r)
{
    struct thread *t = NULL;
    for (u32 i = 0; i < p->threads && !t; i++)
        if (p->thread[i]->regs == r)
            t = p->thread[i];
    if (!t)
        t = thread_new(p);
    if (!t)
        return NULL;
    t->regs = r;
    t->entry = (u32)((r->rip - PROGRAM_BASE) / TOKEN_BYTES);
    fiber_init(&t->fiber, (u8 *)t->map + PROGRAM_GUARD, PROGRAM_STACK, program_main, t);
    return t;
}

static inline void thread_run(struct thread *t, struct resume *r)
{
    struct fiber self;
    self.stack = sim_this()->fiber.stack;   /* the rest is written when it is left */
    self.bytes = sim_this()->fiber.bytes;
    t->gpr = r->gpr;
    struct thread *const before = program_here;
    t->runner = &self;
    program_here = t;
    fiber_switch(&self, &t->fiber);
    program_here = before;
}

static void report(struct engine_event *out, enum engine_event_kind kind)
{
    out->kind = kind;
}

static void report_fault(struct engine_event *out, const struct sim_fault *f)
{
    out->kind = EVENT_EXCEPTION;
    out->vector = f->vector;
    out->error = f->error;
    out->error_valid = true;
    out->address = f->address;
}

/* One page's part of a load or store: one instruction. True: an event is to be reported. */
static bool do_memory(struct thread *t, struct sim_cpu *cpu, struct engine_event *out)
{
    struct sim_fault fault;
    const u64 part = min(t->count, PAGE_SIZE - (t->address & PAGE_MASK));
    const bool done = t->request == REQUEST_LOAD ? sim_user_load(cpu, t->address, t->buffer, part, &fault)
                                                 : sim_user_store(cpu, t->address, t->buffer, part, &fault);
    if (!done) {
        report_fault(out, &fault);
        return true;
    }
    t->address += part;
    t->buffer += part;
    t->count -= part;
    return false;
}

/* Do the thread's request; sets *phase. True: an event is to be reported. */
static bool do_request(struct thread *t, struct sim_cpu *cpu, struct resume *r, u64 left, enum phase *phase, struct engine_event *out)
{
    *phase = AT_DONE;
    out->steps++;
    switch (t->request) {
    case REQUEST_SYSCALL:
        report(out, EVENT_SYSCALL);
        return true;
    case REQUEST_LOAD:
    case REQUEST_STORE:
        if (do_memory(t, cpu, out)) {
            *phase = AT_REQUEST;
            return true;
        }
        if (t->count)
            *phase = AT_REQUEST;
        return false;
    case REQUEST_RAISE:
        *phase = AT_REQUEST;
        out->vector = t->vector;
        out->error = t->error;
        out->error_valid = VECTORS_WITH_ERROR >> t->vector & 1;
        report(out, EVENT_EXCEPTION);
        return true;
    case REQUEST_SPEND:
        out->steps += min(left, t->count) - 1;
        t->count -= min(left, t->count);
        if (t->count)
            *phase = AT_REQUEST;
        return false;
    case REQUEST_WAIT:
        report(out, EVENT_WAIT);
        return true;
    case REQUEST_END:
        break;
    }
    *phase = AT_REQUEST;
    report(out, EVENT_END);
    return true;
}

/* The thread that goes on at RIP, and in which phase; NULL: none. */
static struct thread *find(struct program *p, struct resume *r, enum phase *phase)
{
    const u64 entry = r->rip - PROGRAM_BASE, token = r->rip - PROGRAM_TOKEN;
    *phase = AT_DONE;
    if (entry < p->entries * TOKEN_BYTES && entry % TOKEN_BYTES == 0)
        return thread_start(p, r);
    if (token >= p->threads * TOKEN_BYTES || (token % TOKEN_BYTES != AT_REQUEST && token % TOKEN_BYTES != AT_DONE))
        return NULL;
    *phase = token % TOKEN_BYTES;
    return p->thread[token / TOKEN_BYTES];
}

/* Tokens stand for instructions of the process, which no page table knows; every other address must be executable. */
static bool fetched(const struct program *p, struct sim_cpu *cpu, const struct resume *r, struct engine_event *out)
{
    struct sim_translation byte;
    struct sim_fault fault;
    if (p->replay && r->rip - PROGRAM_BASE < p->entries * TOKEN_BYTES)
        return true;
    if (r->rip - PROGRAM_TOKEN < PROGRAM_THREADS * TOKEN_BYTES || sim_translate(cpu, r->rip, RIGHT_X, true, &byte, &fault))
        return true;
    report_fault(out, &fault);
    return false;
}

static bool program_user(struct engine *e, struct sim_cpu *cpu, struct resume *r, u64 steps, struct engine_event *out)
{
    struct program *p = container_of(e, struct program, engine);
    enum phase phase;
    if (!fetched(p, cpu, r, out))
        return true;
    struct thread *t = find(p, r, &phase);
    if (!t) {
        fprintf(stderr, "program engine: no program at 0x%lx\n", r->rip);
        return false;
    }
    bool event = false;
    while (!event && out->steps < steps) {
        if (phase == AT_DONE)
            thread_run(t, r);
        event = do_request(t, cpu, r, steps - out->steps, &phase, out);
    }
    if (!event)
        report(out, EVENT_SLICE);
    r->rip = t->token + phase;
    if (out->kind == EVENT_SYSCALL) {
        r->gpr[RCX] = r->rip;
        r->gpr[R11] = r->rflags;
    }
    return true;
}

static void program_destroy(struct engine *e)
{
    struct program *p = container_of(e, struct program, engine);
    for (u32 i = 0; i < PROGRAM_THREADS && p->thread[i]; i++) {   /* those of earlier runs too */
        sanitizer_allow(p->thread[i]->map, PROGRAM_GUARD + PROGRAM_STACK);
        munmap(p->thread[i]->map, PROGRAM_GUARD + PROGRAM_STACK);
        free(p->thread[i]);
    }
    free(p);
}

struct engine *program_engine(void)
{
    struct program *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->engine = (struct engine){ .name = "program", .user = program_user, .destroy = program_destroy };
    return &p->engine;
}

u64 program_entry(struct engine *e, void (*run)(void *arg), void *arg)
{
    struct program *p = container_of(e, struct program, engine);
    if (p->entries == PROGRAM_ENTRIES)
        return 0;
    p->entry[p->entries].run = run;
    p->entry[p->entries].arg = arg;
    return PROGRAM_BASE + p->entries++ * TOKEN_BYTES;
}

void *program_replay(struct engine *e, u64 *bytes)
{
    struct program *p = container_of(e, struct program, engine);
    p->replay = true;
    *bytes = sizeof(p->threads);
    return &p->threads;
}
