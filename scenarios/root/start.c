/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs: PD, memory, capabilities, first EC; then, when all are prepared, the scheduling context that starts it.
 * The contract is lib/program.h. */
#include "hv.h"
#include "loader.h"
#include "mem.h"
#include "program.h"
#include "root.h"

/* Code of PROGRAM_PARK: sm_down(PROGRAM_SEL_PARK, 0, 0) for ever. */
static const u8 park_code[] = {
    0xbf, HYPERCALL_sm_down, 0, 0, 0,   /* mov $HYPERCALL_sm_down, %edi */
    0xbe, PROGRAM_SEL_PARK, 0, 0, 0,    /* mov $PROGRAM_SEL_PARK, %esi */
    0x31, 0xd2,                         /* xor %edx, %edx */
    0x45, 0x31, 0xc0,                   /* xor %r8d, %r8d */
    0x0f, 0x05,                         /* syscall */
    0xeb, 0xed,                         /* jmp to the first mov: -19 */
};
static_assert(sizeof(park_code) == 19, "the jump's distance");

static u64 pd_of(u32 index)
{
    return ROOT_SEL_PROGRAM(index) + ROOT_OF_PD;
}

static enum status image_load(u32 index, const char **step)
{
    const struct bundle_file *file = bundle_file(root.bundle, root.program[index].config->file);
    const u8 *bytes = (const u8 *)root.bundle + file->offset;
    struct image image;
    *step = image_parse(bytes, file->bytes, &image);
    if (*step)
        return STATUS_ARG;
    root.program[index].entry = image.entry;
    for (u32 i = 0; i < image.count; i++) {
        const struct image_segment *s = &image.segment[i];
        const u64 address = memory_take(s->pages);
        *step = "memory for the image";
        if (!address)
            return STATUS_MEMORY;
        memcpy((u8 *)address + s->lead, bytes + s->offset, s->bytes);
        const enum status status = memory_give(pd_of(index), address, s->pages, s->page, s->rights);
        if (status != OK)
            return status;
    }
    return OK;
}

static void page_fill(struct program *p, u32 index)
{
    const struct bundle_program *c = root.program[index].config;
    const struct info *info = root.info;
    *p = (struct program){
        .magic = PROGRAM_MAGIC,
        .index = index,
        .cpu = c->cpu,
        .priority = c->priority,
        .cpu_count = info->cpu_count,
        .virt = info->virt,
        .vcpu_capabilities = info->vcpu_capabilities,
        .tsc_khz = info->tsc_khz,
        .memory_bytes = align_up(c->memory_bytes, PAGE_SIZE),
        .guest_bytes = c->guest_file ? bundle_file(root.bundle, c->guest_file - 1)->bytes : 0,
    };
    str_copy(p->name, c->name, sizeof(p->name));
    str_copy(p->args, c->args, sizeof(p->args));
}

static enum status pages_give(u32 index, const char **step)
{
    const u64 page = memory_take(1), park = memory_take(1);
    *step = "memory for the start pages";
    if (!page || !park)
        return STATUS_MEMORY;
    page_fill((struct program *)page, index);
    memcpy((void *)park, park_code, sizeof(park_code));
    const enum status s = memory_give(pd_of(index), page, 1, PROGRAM_PAGE >> PAGE_BITS, RIGHT_R);
    if (s != OK)
        return s;
    return memory_give(pd_of(index), park, 1, PROGRAM_PARK >> PAGE_BITS, RIGHT_R | RIGHT_X);
}

static enum status memory_and_guest_give(u32 index, const char **step)
{
    const struct bundle_program *c = root.program[index].config;
    const u64 pages = align_up(c->memory_bytes, PAGE_SIZE) >> PAGE_BITS;
    if (pages) {
        *step = "its memory";
        const u64 address = memory_take(pages);
        if (!address)
            return STATUS_MEMORY;
        const enum status s = memory_give(pd_of(index), address, pages, PROGRAM_MEMORY >> PAGE_BITS, RIGHT_MEMORY);
        if (s != OK)
            return s;
    }
    if (!c->guest_file)
        return OK;
    *step = "its guest image";
    const struct bundle_file *f = bundle_file(root.bundle, c->guest_file - 1);
    const u64 guest_pages = align_up(f->bytes, PAGE_SIZE) >> PAGE_BITS;
    if (!guest_pages)
        return STATUS_ARG;
    return memory_give(pd_of(index), (u64)root.bundle + f->offset, guest_pages, PROGRAM_GUEST >> PAGE_BITS, RIGHT_R);
}

static enum status object_give(u32 index, u64 from, u64 to, u32 permissions)
{
    return hv_delegate(ROOT_SEL_PD, pd_of(index), from, to, DELEGATE(1, permissions, SPACE_OBJECT, SPACE_OBJECT));
}

static enum status first_ec(u32 index, const char **step)
{
    const struct root_program *p = &root.program[index];
    const u64 config = EC_CONFIG(p->config->cpu, EC_GLOBAL, PROGRAM_SEL_EVENT(p->config->cpu));
    const u64 ec = ROOT_SEL_PROGRAM(index) + ROOT_OF_EC;
    *step = "its first EC";
    enum status s = hv_ec_create(pd_of(index), ec, PROGRAM_UTCB, p->entry, 0, config);
    if (s != OK)
        return s;
    *step = "its capabilities";
    s = object_give(index, pd_of(index), PROGRAM_SEL_PD, PERM_ALL);
    if (s == OK)
        s = object_give(index, ec, PROGRAM_SEL_EC, PERM_ALL);
    if (s == OK)
        s = object_give(index, ROOT_SEL_PARK, PROGRAM_SEL_PARK, PERM_SM_DOWN);
    if (s == OK)
        s = object_give(index, ROOT_SEL_CONSOLE, PROGRAM_SEL_CONSOLE, PERM_ALL);
    return s;
}

enum status program_prepare(u32 index, const char **step)
{
    struct root_program *p = &root.program[index];
    p->config = bundle_program(root.bundle, index);
    p->state = PROGRAM_RUNS;
    *step = "its PD";
    enum status s = hv_pd_create(ROOT_SEL_PD, pd_of(index), p->config->quota_bytes, PD_FLAG_CONSOLE);
    if (s == OK)
        s = image_load(index, step);
    if (s == OK)
        s = pages_give(index, step);
    if (s == OK)
        s = memory_and_guest_give(index, step);
    if (s == OK)
        s = first_ec(index, step);
    if (s == OK)
        s = service_give(index, step);
    return s;
}

enum status program_start(u32 index, const char **step)
{
    const u64 budget = root.info->tsc_khz * PROGRAM_BUDGET_US / 1000;
    const u64 sc = ROOT_SEL_PROGRAM(index) + ROOT_OF_SC;
    const u64 ec = ROOT_SEL_PROGRAM(index) + ROOT_OF_EC;
    *step = "its scheduling context";
    /* From here on it may run, and end, before this function returns. */
    const enum status s = hv_sc_create(pd_of(index), sc, ec, root.program[index].config->priority, max(budget, 1ul));
    return s;
}
