/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's half of the program engine: on its own fiber it never touches the machine but asks for one thing at a time. */
#include "engine_program.h"

_Thread_local struct thread *program_here;

static inline __attribute__((always_inline)) void ask(enum request request)
{
    struct thread *t = program_here;
    t->request = request;
    fiber_switch(&t->fiber, t->runner);
}

void program_main(void *arg)
{
    struct thread *t = arg;
    t->program->entry[t->entry].run(t->program->entry[t->entry].arg);
    for (;;)
        ask(REQUEST_END);
}

u64 *program_registers(void)
{
    return program_here->gpr;
}

void program_syscall(void)
{
    ask(REQUEST_SYSCALL);
}

u64 program_hypercall(u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    u64 *g = program_here->gpr;
    g[RDI] = number, g[RSI] = a0, g[RDX] = a1, g[R8] = a2, g[R9] = a3, g[R10] = a4, g[RAX] = a5;
    ask(REQUEST_SYSCALL);
    return program_here->gpr[RAX];
}

static void ask_memory(enum request request, u64 address, void *buffer, u64 bytes)
{
    program_here->address = address;
    program_here->buffer = buffer;
    program_here->count = bytes;
    if (bytes)
        ask(request);
}

void user_load(void *to, u64 address, u64 bytes)
{
    ask_memory(REQUEST_LOAD, address, to, bytes);
}

void user_store(u64 address, const void *from, u64 bytes)
{
    ask_memory(REQUEST_STORE, address, (void *)from, bytes);
}

void user_copy(u64 to, u64 from, u64 bytes)
{
    u8 part[256];
    for (u64 at = 0; at < bytes; at += sizeof(part)) {
        const u64 n = min(bytes - at, sizeof(part));
        user_load(part, from + at, n);
        user_store(to + at, part, n);
    }
}

u64 user_load64(u64 address)
{
    u64 value;
    user_load(&value, address, 8);
    return value;
}

void user_store64(u64 address, u64 value)
{
    user_store(address, &value, 8);
}

void program_raise(u32 vector, u32 error)
{
    program_here->vector = vector;
    program_here->error = error;
    ask(REQUEST_RAISE);
}

void program_spend(u64 steps)
{
    program_here->count = steps;
    if (steps)
        ask(REQUEST_SPEND);
}

void program_wait(void)
{
    ask(REQUEST_WAIT);
}
