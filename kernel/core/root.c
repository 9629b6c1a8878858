/* SPDX-License-Identifier: BSD-2-Clause */
/* Root: the PD that owns all that the kernel does not need. Its program is the first file of the bundle; its memory are original ranges, so
 * that all memory of user level derives from them. The frames of its image are taken from user memory and appear at the image only. */
#include "root.h"
#include "abi/bundle.h"
#include "abi/info.h"
#include "cpu.h"
#include "ec.h"
#include "elf.h"
#include "pd.h"
#include "sc.h"

#define ROOT_PRIORITY  (PRIORITY_COUNT - 1)
#define ROOT_BUDGET_MS 10u
#define KERNEL_RESERVE (256ul << 10)   /* bytes of the pool that stay the kernel's: the allocator's tables cannot all be told in advance */

static void check(const char *message)
{
    if (message)
        mach_panic(message);
}

static void require(enum status s, const char *message)
{
    if (s != OK)
        mach_panic(message);
}

/* The bundle's first file. NULL, or what makes no sense. */
static const char *bundle_program(const void *bundle, u64 bytes, const void **file, u64 *file_bytes)
{
    struct bundle b;
    struct bundle_file f;
    if (bytes < sizeof(b) + sizeof(f))
        return "root: no boot bundle";
    mach_copy(&b, bundle, sizeof(b));
    mach_copy(&f, (const u8 *)bundle + sizeof(b), sizeof(f));
    if (b.magic != BUNDLE_MAGIC || b.version != BUNDLE_VERSION)
        return "root: the boot module is not a bundle of this version";
    if (!b.file_count || b.file_count > BUNDLE_FILES || b.program_count > BUNDLE_PROGRAMS || b.bytes > bytes || b.bytes & PAGE_MASK)
        return "root: the bundle's header makes no sense";
    if (f.offset & PAGE_MASK || f.offset > b.bytes || f.bytes > b.bytes - f.offset)
        return "root: the bundle's first file lies outside of it";
    *file = (const u8 *)bundle + f.offset;
    *file_bytes = f.bytes;
    return NULL;
}

static void segment_load(struct pd *root, struct ranges *user, const struct elf_segment *s, const u8 *file)
{
    const u64 bytes = s->pages * PAGE_SIZE;
    const u64 phys = ranges_take(user, bytes, mach_direct_end());
    if (!phys)
        mach_panic("root: not enough memory for the root program");
    u8 *const to = mach_phys_to_virt(phys);
    mach_zero(to, bytes);
    mach_copy(to + (s->address & PAGE_MASK), file + s->offset, s->bytes);
    require(space_mem_insert(&root->memory, s->page, phys >> PAGE_BITS, s->pages, s->rights), "root: a segment cannot be mapped");
}

static u64 program_load(struct pd *root, struct ranges *user, const void *file, u64 bytes)
{
    struct elf_image image;
    check(elf_parse(file, bytes, ROOT_MEMORY >> PAGE_BITS, &image));
    for (u32 i = 0; i < image.count; i++)
        segment_load(root, user, &image.segment[i], file);
    return image.entry;
}

static void memory_map(struct pd *root, const struct ranges *user)
{
    for (u32 i = 0; i < user->count; i++) {
        const struct boot_range *const r = &user->range[i];
        if (r->end > INFO_PAGE - ROOT_MEMORY)
            continue;   /* beyond 96 TiB: no room in root's address space */
        require(space_mem_insert(&root->memory, (ROOT_MEMORY + r->start) >> PAGE_BITS, r->start >> PAGE_BITS, (r->end - r->start) >> PAGE_BITS, RIGHT_MEMORY),
                "root: user memory cannot be mapped");
    }
}

/* CPUs 0 .. n - 1 are online. */
static u32 cpus_counted(const struct kern *k)
{
    u32 n = 0;
    while (n < k->cpu_count && atomic_load(&k->cpus_online) & bit(n))
        n++;
    return n;
}

static void info_fill(struct info *info, const struct kern *k, const struct ranges *user)
{
    info->magic = INFO_MAGIC;
    info->version = INFO_VERSION;
    info->cpu_count = cpus_counted(k);
    info->tsc_khz = k->clock.tsc_khz;
    info->virt = k->virt ? k->virt->vendor : INFO_VIRT_NONE;
    info->vcpu_capabilities = k->vcpu_capabilities;
    info->bundle_bytes = k->boot.bundle_bytes;
    info->root_quota_bytes = atomic_load(&k->root_pd->quota.limit);
    for (u32 i = 0; i < user->count && info->range_count < INFO_RANGES; i++) {
        if (user->range[i].end > INFO_PAGE - ROOT_MEMORY)
            continue;
        info->range[info->range_count].base = user->range[i].start;
        info->range[info->range_count++].bytes = user->range[i].end - user->range[i].start;
    }
}

static void info_map(struct pd *root, const struct ranges *user)
{
    void *info;
    require(pd_alloc(root, PAGE_SIZE, &info), "root: no memory for the info page");
    info_fill(info, kern(), user);
    require(space_mem_insert(&root->memory, INFO_PAGE >> PAGE_BITS, mach_virt_to_phys(info) >> PAGE_BITS, 1, RIGHT_R), "root: the info page cannot be mapped");
}

static void bundle_map(struct pd *root, const struct boot_info *boot)
{
    const u64 pages = align_up(boot->bundle_bytes, PAGE_SIZE) >> PAGE_BITS;
    require(space_mem_insert(&root->memory, ROOT_BUNDLE >> PAGE_BITS, boot->bundle >> PAGE_BITS, pages, RIGHT_R | RIGHT_X), "root: the bundle cannot be mapped");
}

static void capability(struct pd *root, u64 selector, struct object *o)
{
    require(space_obj_insert(&root->objects, selector, o), "root: no memory for the first capabilities");
}

static void thread_start(struct cpu *cpu, struct pd *root, u64 entry)
{
    const struct ec_config config = {.utcb = ROOT_UTCB, .ip = entry, .event_base = ROOT_SEL_EVENT, .cpu = cpu->id, .flags = EC_GLOBAL | EC_FPU};
    struct ec *ec;
    struct sc *sc;
    require(ec_create(cpu, root, &config, &ec), "root: no memory for the root thread");
    ec->resume.gpr[RDI] = INFO_PAGE;
    const u64 budget = max(cpu->kern->clock.tsc_khz * ROOT_BUDGET_MS, 1ul);
    require(sc_create(cpu, root, ec, cpu->sched.fair ? SC_GROUP_DRIVER : ROOT_PRIORITY, budget, &sc), "root: no memory for the root thread");
    object_ref(&root->object);   /* kern.root_pd stays */
    capability(root, ROOT_SEL_PD, &root->object);
    capability(root, ROOT_SEL_EC, &ec->object);
    capability(root, ROOT_SEL_SC, &sc->object);
    sc_start(cpu, sc);
}

void root_create(struct cpu *cpu)
{
    struct kern *const k = cpu->kern;
    struct ranges user = k->user;
    const void *file;
    u64 bytes;
    if (k->boot.bundle & PAGE_MASK || k->boot.bundle > mach_direct_end() || mach_direct_end() - k->boot.bundle < k->boot.bundle_bytes)
        mach_panic("root: the bundle does not lie on whole pages the kernel can address");
    check(bundle_program(mach_phys_to_virt(k->boot.bundle), k->boot.bundle_bytes, &file, &bytes));
    const u64 unused = atomic_load(&k->quota.limit) - atomic_load(&k->quota.used);
    const u64 flags = PD_FLAG_CONSOLE | PD_FLAG_SHUTDOWN;
    require(pd_create(cpu, NULL, unused - min(unused, KERNEL_RESERVE), (u32)flags, &k->root_pd), "root: no memory for the root protection domain");
    const u64 entry = program_load(k->root_pd, &user, file, bytes);
    memory_map(k->root_pd, &user);
    bundle_map(k->root_pd, &k->boot);
    info_map(k->root_pd, &user);
    thread_start(cpu, k->root_pd, entry);
}
