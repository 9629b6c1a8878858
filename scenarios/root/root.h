/* SPDX-License-Identifier: BSD-2-Clause */
/* The root program's state and the contracts between its files.
 *
 * Root's selectors: 64.. its semaphores, ROOT_SEL_HANDLER(cpu) its handler ECs, one block of ROOT_BLOCK selectors per program,
 * ROOT_SEL_NAME(n) what is registered under the n-th name.
 * Lock: the semaphore ROOT_SEL_MUTEX guards `names` and the end state of programs: handlers of different CPUs run in parallel. */
#pragma once
#include "abi/bundle.h"
#include "abi/info.h"
#include "abi/status.h"
#include "abi/utcb.h"
#include "base.h"
#include "service.h"

#define ROOT_CPUS 64u

#define ROOT_SEL_PARK         64u
#define ROOT_SEL_CONSOLE      65u
#define ROOT_SEL_MUTEX        66u
#define ROOT_SEL_ENDED        67u                     /* one up for each program that ended */
#define ROOT_SEL_HANDLER(cpu) (128u + (cpu))
#define ROOT_SEL_NO_EVENT     192u                    /* 32 empty slots: event base of the handlers */
#define ROOT_BLOCK            256u
#define ROOT_SEL_PROGRAM(n)   (256u + (n) * ROOT_BLOCK)   /* + ROOT_OF_* */
#define ROOT_OF_PD            0u
#define ROOT_OF_EC            1u
#define ROOT_OF_SC            2u
#define ROOT_OF_SERVICE(cpu)  (64u + (cpu))
#define ROOT_OF_EVENT(cpu)    (128u + (cpu))
#define ROOT_SEL_NAME(n)      (16384u + (n))

#define ROOT_HANDLER_UTCB(cpu) (ROOT_UTCB + (1u + (cpu)) * 0x10000ul)

/* Portal ids: the program and the handler's CPU. Program ROOT_SELF is root itself. */
#define ROOT_ID(program, cpu) ((u64)(program) << 8 | (u64)(cpu))
#define ROOT_SELF             0xffu

enum program_state { PROGRAM_UNUSED, PROGRAM_RUNS, PROGRAM_DONE, PROGRAM_DIED };

struct root_program {
    const struct bundle_program *config;
    enum program_state state;
    u64 status;              /* of done */
    u64 vector;              /* of its death */
    u64 entry;
};

enum name_state { NAME_FREE, NAME_WINDOW, NAME_USED };   /* WINDOW: the slot is open in some handler's receive window */

struct root_name {
    enum name_state state;
    char name[SERVICE_NAME_BYTES];
};

struct root {
    const struct info *info;
    const struct bundle *bundle;
    struct root_program program[BUNDLE_PROGRAMS];
    struct root_name name[SERVICE_NAMES];
    u32 window[ROOT_CPUS];   /* name slot open in the handler's window, SERVICE_NAMES: none. Handler's own */
    /* Frames for programs: the next free byte of range `range`. Main EC only. */
    u32 range;
    u64 taken;
};
extern struct root root;

/* memory.c: zeroed pages, never given back; 0: none left. Address in root's view of user memory. */
u64 memory_take(u64 pages);
/* The same pages into a program's space at `page`. */
must_check enum status memory_give(u64 pd, u64 address, u64 pages, u64 page, u32 rights);

/* start.c: everything up to, and then the start of, a program. *step names what failed. */
must_check enum status program_prepare(u32 index, const char **step);
must_check enum status program_start(u32 index, const char **step);

/* services.c: the handlers, one per CPU; the portals of a program. */
must_check enum status service_init(const char **step);
must_check enum status service_give(u32 index, const char **step);
