/* SPDX-License-Identifier: BSD-2-Clause */
/* What -fsanitize=thread calls in the exploring build of the kernel: our own functions instead of the sanitizer's runtime. They observe plain
 * accesses, each before it is made, and cannot redirect them. Found: an access outside RAM and stack inside the machine's mapping, to memory
 * that is not live, a plain store into a page table (walkers read those at any time: it must be atomic), and while races are judged, a race.
 * Constants and a test's own memory are judged for races only. */
#include <string.h>
#include "exposed.h"
#include "memory.h"
#include "race.h"
#include "snapshot.h"
#include "world_run.h"

static void tsan_check(struct sim *s, const void *address, u64 bytes, bool write)
{
    const u64 phys = (u64)address - (u64)s->ram;
    if (phys >= s->ram_bytes) {
        const u64 stack = (u64)address - (u64)s->current->fiber.stack;
        if (stack >= s->current->fiber.bytes)
            sim_broken(RULE_MEM_BOUNDS, "plain %s outside RAM and this CPU's stack", write ? "write" : "read");
        return;
    }
    memory_check(s, address, bytes, write ? "plain write" : "plain read");
    if (!write)
        fetch_read(s->current, address, bytes);
    if (write)
        memory_stored(s, address, bytes);
    if (write && memory_is_table(s, phys))
        sim_broken(RULE_TAB_PLAIN, "plain write into the page table at 0x%lx: walkers read it at any time", align_down(phys, PAGE_SIZE));
}

#define OUTSIDE_STACK (64ul << 10)

/* A fiber's own stack begins anew with each run; what a world does outside of runs lives on the caller's stack, which must stay as it is. */
static bool tsan_logged(const struct sim *s, const void *address)
{
    if (s->unit)
        return (u64)address - (u64)__builtin_frame_address(0) >= OUTSIDE_STACK;
    return (u64)address - (u64)s->current->fiber.stack >= s->current->fiber.bytes;
}

/* The long way, for worlds. Apart, so that the short one saves no register. */
static __attribute__((noinline)) void tsan_watch(struct sim *s, const void *address, u64 bytes, bool write, const void *site)
{
    if ((u64)address - (u64)s->map < s->map_bytes)
        tsan_check(s, address, bytes, write);
    race_plain(s->current, address, bytes, write, (u64)site);
    if (write && tsan_logged(s, address))
        undo_write(s, address, bytes);
}

static inline void tsan_access(const void *address, u64 bytes, bool write, const void *site)
{
    struct sim *s = sim_here;
    if (!s)
        return;
    if (write)
        s->plain_writes++;
    else
        s->plain_reads++;
    if (unlikely(s->race || s->snapshot))
        tsan_watch(s, address, bytes, write, site);
    else if ((u64)address - (u64)s->map < s->map_bytes)
        tsan_check(s, address, bytes, write);
}

#define TSAN_CALL(name, bytes, write)                                                                                  \
    void __tsan_##name##bytes(void *a);                                                                                \
    void __tsan_##name##bytes(void *a) { tsan_access(a, bytes, write, __builtin_return_address(0)); }
#define TSAN_SIZED(bytes)                                                                                              \
    TSAN_CALL(read, bytes, false)                                                                                      \
    TSAN_CALL(write, bytes, true)                                                                                      \
    TSAN_CALL(read_write, bytes, true)                                                                                 \
    TSAN_CALL(unaligned_read, bytes, false)                                                                            \
    TSAN_CALL(unaligned_write, bytes, true)                                                                            \
    TSAN_CALL(unaligned_read_write, bytes, true)

TSAN_SIZED(1)
TSAN_SIZED(2)
TSAN_SIZED(4)
TSAN_SIZED(8)
TSAN_SIZED(16)

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *a, u64 bytes);
void __tsan_write_range(void *a, u64 bytes);

static bool watched;   /* set before main: every instrumented file has a constructor that calls this */

void __tsan_init(void)
{
    watched = true;
}

bool world_instrumented(void)
{
    return watched;
}

void __tsan_func_entry(void *caller)
{
    struct sim *s = sim_here;
    if (unlikely(s && s->race))
        race_enter(s->current, (u64)caller);
}

void __tsan_func_exit(void)
{
    struct sim *s = sim_here;
    if (unlikely(s && s->race))
        race_leave(s->current);
}

void __tsan_read_range(void *a, u64 bytes)
{
    if (bytes)
        tsan_access(a, bytes, false, __builtin_return_address(0));
}

void __tsan_write_range(void *a, u64 bytes)
{
    if (bytes)
        tsan_access(a, bytes, true, __builtin_return_address(0));
}

/* Structure copies and the like become calls of libc's, which announce nothing: instrumented code is made to call these instead. */
void *world_memcpy(void *to, const void *from, size_t bytes);
void *world_memmove(void *to, const void *from, size_t bytes);
void *world_memset(void *to, int value, size_t bytes);

static void tsan_copy(const void *to, const void *from, size_t bytes, const void *site)
{
    if (!bytes)
        return;
    if (from)
        tsan_access(from, bytes, false, site);
    tsan_access(to, bytes, true, site);
}

void *world_memcpy(void *to, const void *from, size_t bytes)
{
    tsan_copy(to, from, bytes, __builtin_return_address(0));
    return memcpy(to, from, bytes);
}

void *world_memmove(void *to, const void *from, size_t bytes)
{
    tsan_copy(to, from, bytes, __builtin_return_address(0));
    return memmove(to, from, bytes);
}

void *world_memset(void *to, int value, size_t bytes)
{
    tsan_copy(to, NULL, bytes, __builtin_return_address(0));
    return memset(to, value, bytes);
}
