/* SPDX-License-Identifier: BSD-2-Clause */
/* What -fsanitize=thread calls in the exploring build of the kernel: our own functions instead of the sanitizer's runtime. They observe plain
 * accesses and cannot redirect them. Found: an access outside RAM and stack inside the machine's mapping, to memory that is not live, and a
 * plain store into a page table (walkers read those at any time: it must be atomic). Constants and a test's own memory are not judged. */
#include "memory.h"
#include "snapshot.h"
#include "world_run.h"

#define OUTSIDE_STACK (64ul << 10)

/* A fiber's own stack begins anew with each run; what a world does outside of runs lives on the caller's stack, which must stay as it is. */
static void tsan_undo(struct sim *s, const void *address, u64 bytes)
{
    if (s->unit && (u64)address - (u64)__builtin_frame_address(0) < OUTSIDE_STACK)
        return;
    if (s->snapshot && (u64)address - (u64)s->current->fiber.stack >= s->current->fiber.bytes)
        snapshot_log(s, address, bytes);
}

static void tsan_access(const void *address, u64 bytes, bool write)
{
    struct sim *s = sim_here;
    if (!s)
        return;
    if (write) {
        s->plain_writes++;
        tsan_undo(s, address, bytes);
    } else {
        s->plain_reads++;
    }
    const u64 offset = (u64)address - (u64)s->map;
    if (offset >= s->map_bytes)
        return;
    const u64 phys = (u64)address - (u64)s->ram;
    if (phys >= s->ram_bytes) {
        const u64 stack = (u64)address - (u64)s->current->fiber.stack;
        if (stack >= s->current->fiber.bytes)
            sim_finding("plain %s outside RAM and this CPU's stack", write ? "write" : "read");
        return;
    }
    memory_check(s, address, bytes, write ? "plain write" : "plain read");
    if (write && memory_is_table(s, phys))
        sim_finding("plain write into the page table at 0x%lx: walkers read it at any time", align_down(phys, PAGE_SIZE));
}

#define TSAN_SIZED(bytes)                                                                                              \
    void __tsan_read##bytes(void *a);                                                                                  \
    void __tsan_write##bytes(void *a);                                                                                 \
    void __tsan_read_write##bytes(void *a);                                                                            \
    void __tsan_unaligned_read##bytes(void *a);                                                                        \
    void __tsan_unaligned_write##bytes(void *a);                                                                       \
    void __tsan_unaligned_read_write##bytes(void *a);                                                                  \
    void __tsan_read##bytes(void *a) { tsan_access(a, bytes, false); }                                                 \
    void __tsan_write##bytes(void *a) { tsan_access(a, bytes, true); }                                                 \
    void __tsan_read_write##bytes(void *a) { tsan_access(a, bytes, true); }                                            \
    void __tsan_unaligned_read##bytes(void *a) { tsan_access(a, bytes, false); }                                       \
    void __tsan_unaligned_write##bytes(void *a) { tsan_access(a, bytes, true); }                                       \
    void __tsan_unaligned_read_write##bytes(void *a) { tsan_access(a, bytes, true); }

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
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *a, u64 bytes)
{
    if (bytes)
        tsan_access(a, bytes, false);
}

void __tsan_write_range(void *a, u64 bytes)
{
    if (bytes)
        tsan_access(a, bytes, true);
}
