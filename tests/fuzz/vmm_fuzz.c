/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a guest does anything at all to the VMM? An input is a trace, changed by traces/mutate.c: the VMM's own code handles its exits, one after the
 * other, with what the trace says that it read from guest memory. Out of bounds, undefined, or against the rules of the state page is a crash:
 *
 *   a group that is not valid is poison until it is fetched; only groups that are valid may be written; RAM ends where it ends;
 *   what is delegated lies in RAM; the lock is free when an exit is done.
 *
 * What no kernel says (a port access of three bytes) is made into something that one does. */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm.h"
#include "hv.h"
#include "print.h"
#include "abi/vcpu_groups.h"
#include "replay/course.h"

#define RAM_BYTES   0x40000ul
#define TURNS_MAX   256u
#define OWN_GROUPS  ((u32)(VCPU_GROUP_INJECT | VCPU_GROUP_CONTROL))   /* the VMM may write them unread */

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

u8 *vmm_memory;
static struct vm vm;
static const struct trace_words *now;
static u32 locks;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "vmm_fuzz: %s\n", what);
    abort();
}

/* ---- The state page ---- */

static void fill(struct vcpu_state *s, u32 groups)
{
    for (u32 left = groups; left; left &= left - 1) {
        const u32 group = (u32)__builtin_ctz(left);
        u8 *const at = (u8 *)s + vcpu_group_range[group].offset;
        ASAN_UNPOISON_MEMORY_REGION(at, vcpu_group_range[group].bytes);
        memcpy(at, now->word + trace_group_word(group), vcpu_group_range[group].bytes);
    }
    s->valid |= groups;
}

static void page_exit(struct vcpu_state *s)
{
    ASAN_UNPOISON_MEMORY_REGION(s, sizeof(*s));
    memset(s, 0, sizeof(*s));
    memcpy(&s->exit, now->word, sizeof(s->exit));
    s->version = VCPU_STATE_VERSION;
    s->capabilities = VCPU_GROUP_ALL | (now->word[0] & 1 ? VCPU_TRACED : 0);
    s->pending = now->word[TRACE_WORD_pending];
    s->want = VCPU_GROUP_ACTIVITY;
    s->exit.reason %= VCPU_EXIT_COUNT;
    s->exit.insn_len %= 16;
    if (s->exit.reason == VCPU_EXIT_IO) {
        s->exit.u.io.size = (u8)(1u << s->exit.u.io.size % 3);
        s->exit.u.io.in &= 1, s->exit.u.io.string &= 1, s->exit.u.io.rep &= 1;
    }
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        if (!(OWN_GROUPS >> i & 1))
            ASAN_POISON_MEMORY_REGION((u8 *)s + vcpu_group_range[i].offset, vcpu_group_range[i].bytes);
    ASAN_POISON_MEMORY_REGION(s->page_rest, sizeof(s->page_rest) + sizeof(s->fpu));
    fill(s, (vcpu_exit_groups[s->exit.reason] | s->want | trace_valid(now)) & VCPU_GROUP_ALL);
}

/* ---- Around the VMM ---- */

void client_fail(const struct thread *self, const char *what, enum status status)
{
    must(false, what);
    abort();
}

void print(const char *format, ...)
{
    char line[PRINT_LINE];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
}

void vm_lock(void)
{
    must(!locks++, "the lock is taken twice");
}

void vm_unlock(void)
{
    must(!--locks, "the lock is given back by somebody who has it not");
}

const char *hv_status_name(enum status status)
{
    return "status";
}

enum status hv_sm_up(u64 sm)
{
    must(sm >= VMM_SEL_WAKE(0) && sm < VMM_SEL_WAKE(VMM_VCPUS), "up of no semaphore");
    return OK;
}

static struct vmm_vcpu *vcpu(u64 selector)
{
    must(selector >= VMM_SEL_VCPU(0) && selector < VMM_SEL_VCPU(VMM_VCPUS), "no vCPU");
    return &vm.vcpu[selector - VMM_SEL_VCPU(0)];
}

enum status hv_vcpu_kick(u64 selector)
{
    (void)!vcpu(selector);
    return OK;
}

enum status hv_vcpu_fetch(u64 selector, u64 groups)
{
    must(groups && !(groups & ~(u64)VCPU_GROUP_ALL), "fetch of unknown groups");
    fill(vcpu(selector)->state, (u32)groups);
    return OK;
}

enum status hv_delegate(u64 from, u64 to, u64 base, u64 target, u64 order_type)
{
    const u64 pages = RAM_BYTES >> PAGE_BITS, count = order_type >> 16, first = base - ((u64)vmm_memory >> PAGE_BITS);
    must(count && first < pages && count <= pages - first && target == first, "what is delegated is no RAM");
    return now->word[TRACE_WORD_info0] & PAGE_SIZE ? STATUS_EXISTS : OK;
}

enum status hv_trace(u64 selector, u64 kind_and_bytes, u64 address, u64 word0, u64 word1, u64 word2)
{
    (void)!vcpu(selector);
    must((kind_and_bytes & 0xff) <= TRACE_VALUE_BYTES && kind_and_bytes >> 8 && kind_and_bytes >> 8 < TRACE_VALUE_COUNT, "no value of a trace");
    return OK;
}

static void line_out(void *arg, const char *text, u32 bytes)
{
    must(bytes <= UART_LINE, "a line that is too long");
}

/* ---- An input ---- */

static void values(const struct course *c, const struct course_turn *turn)
{
    for (u32 i = 0; i < turn->values; i++) {
        const struct trace_item *const e = &c->trace->event[c->value[turn->first_value + i]];
        const struct trace_value *const v = (const struct trace_value *)e->raw;
        const struct trace_tail tail = trace_tail(e->raw);
        if (v->kind == TRACE_VALUE_memory && v->address < RAM_BYTES && tail.bytes <= RAM_BYTES - v->address)
            memcpy(vmm_memory + v->address, tail.data, tail.bytes);
    }
}

static void handle(struct vmm_vcpu *v)
{
    page_exit(v->state);
    const enum vmm_next next = exit_handle(v);
    must(!locks, "an exit is done, the lock is taken");
    must(next <= VMM_FAIL, "no such result");
    must(!(v->state->dirty & ~(v->state->valid | OWN_GROUPS)), "a group is written that was not read");
}

static void vm_make(void)
{
    vm = (struct vm){ .ram_bytes = RAM_BYTES, .vcpu_count = VMM_VCPUS, .uart.sink = line_out };
    for (u32 i = 0; i < VMM_VCPUS; i++) {
        static struct vcpu_state *page[VMM_VCPUS];
        if (!page[i])
            page[i] = malloc(sizeof(*page[i]));
        vm.vcpu[i] = (struct vmm_vcpu){ .vm = &vm, .state = page[i], .number = i, .started = i == 0 };
    }
    if (!vmm_memory)
        vmm_memory = aligned_alloc(PAGE_SIZE, RAM_BYTES);
    memset(vmm_memory, 0x90, RAM_BYTES);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    struct trace t;
    struct course c;
    if (!trace_open_bytes("input", data, bytes, &t))
        return 0;
    if (course_open(&c, &t)) {
        vm_make();
        for (u32 i = 0; i < c.vcpus; i++) {
            struct course_cursor k;
            course_begin(&k, &c, i);
            now = &k.words;
            for (u32 n = 0; n < TURNS_MAX && course_exit(&k); n++, (void)!course_entry(&k)) {
                values(&c, &c.vcpu[i].turn[k.turn]);
                handle(&vm.vcpu[i % VMM_VCPUS]);
            }
        }
        uart_flush(&vm.uart);
        course_close(&c);
    }
    trace_close(&t);
    return 0;
}
