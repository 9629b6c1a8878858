/* SPDX-License-Identifier: BSD-2-Clause */
/* The contracts between the roles of kill-backend: one supervisor (the program that root starts), which starts one backend and three VMs from
 * the same image. VM 3 and the backend are the victims. */
#pragma once
#include "../guests/guest.h"
#include "abi/vcpu.h"
#include "program.h"

#define KILL_VMS    3u
#define KILL_VICTIM 3u
#define KILL_CPUS   4u   /* used, if there are so many */

/* CPU of the backend's (0) or a VM's (1..) threads; the supervisor's is 0. */
static inline u32 kill_cpu(u32 instance)
{
    return instance % min(program_page()->cpu_count, KILL_CPUS);
}

/* Selectors of backend and VMs. */
#define KILL_SEL_READY   8u             /* backend: up when its portals are there */
#define KILL_SEL_PORTAL  9u             /* VM: call the backend. Empty while there is none */
#define KILL_SEL_BACK    10u            /* VM: down until there is a new backend */
#define KILL_SEL_GO      11u            /* VM: down for each round of its guest */
#define KILL_SEL_ENDED   12u            /* VM: up when its guest has ended */
#define KILL_SEL_SERVE(vm) (16u + (vm)) /* backend: the portal for that VM */
#define KILL_SEL_HANDLER(cpu) (24u + (cpu))

/* A request: word 0 operation, 1 block, then the block to write. Answer: word 0 status, then the block read. It may be repeated. */
enum { KILL_READ = 0, KILL_WRITE = 1 };
#define KILL_HEAD_WORDS 2u

/* The backend's memory: the blocks of VM n. They outlive it. */
struct kill_disk {
    u64 word[KILL_VMS][GUEST_DISK_BLOCKS][GUEST_DISK_WORDS];
};

/* A VM's memory: guest RAM, then a page with this, kept up to date. */
struct kill_report {
    u64 exits, hash;         /* of the guest: what it did and what it was given */
    u64 aborted;             /* calls during which the backend ended */
    u64 refused;             /* calls of no backend */
};
#define KILL_RAM_BYTES 0x8000ul

/* backend.c, vm.c: their mains. args: the VM's number and its rounds. */
void backend_main(void) __attribute__((noreturn));
void vm_main(const char *args) __attribute__((noreturn));
