/* SPDX-License-Identifier: BSD-2-Clause */
/* A memory fault of the process while a world runs is a finding like any other: the program or the kernel followed a pointer to nowhere.
 * Not handled: a fault of the explorer itself. Between runs it ends the process as ever, inside one it is taken for the world's. */
#include <signal.h>
#include "machine_model.h"
#include "world_model.h"

#define STACK_BYTES (64ul << 10)

static u8 fault_stack[STACK_BYTES];

static void fault_caught(int signal_number, siginfo_t *info, void *context)
{
    struct sim *s = sim_here;
    const u64 address = (u64)info->si_addr;
    if (!s || (!s->in_run && !s->expected)) {
        signal(signal_number, SIG_DFL);   /* happens again, for good */
        return;
    }
    if (address < PAGE_SIZE)
        sim_broken(RULE_MEM_BOUNDS, "CPU %u: access to address 0x%lx: a pointer that is NULL", s->current->id, address);
    if (address - (u64)s->map < s->map_bytes)
        sim_broken(RULE_MEM_BOUNDS, "CPU %u: access outside RAM and stacks", s->current->id);
    sim_broken(RULE_MEM_BOUNDS, "CPU %u: access to memory that does not exist", s->current->id);
}

void world_catch_faults(void)
{
    const stack_t stack = { .ss_sp = fault_stack, .ss_size = sizeof(fault_stack) };
    struct sigaction action = { .sa_sigaction = fault_caught, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}
