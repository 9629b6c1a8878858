/* SPDX-License-Identifier: BSD-2-Clause */
/* Does everybody who reads or changes what a lock guards wait while another CPU holds it, and drop it again? One row per way in. */
#include "lock.h"
#include "guest_fixture.h"
#include "pd.h"
#include "trace.h"

enum { A = 100, PD = 120, TURNS = 20000 };
#define PAGE (FIXTURE_MEMORY >> PAGE_BITS)

struct scene {
    struct guest *g;
    struct fixture *f;
    struct cpu *cpu;
    struct pd *pd;
    struct lock *lock;
    u32 turns;
    void (*use)(struct scene *s);
};
static struct scene scene;

/* Another CPU holds the lock and never drops it: whoever waits for it comes here for ever. */
static void hold(void *arg)
{
    struct scene *const s = arg;
    if (++s->turns == TURNS)
        mach_panic("waits");
}

static struct lock *derive_lock(struct scene *s)
{
    return &s->f->k->derive_lock;
}

static struct lock *mem_lock(struct scene *s)
{
    return (struct lock *)s->f->k->mem;   /* its first member */
}

static struct lock *ring_lock(struct scene *s)
{
    return (struct lock *)s->cpu->trace;   /* the same */
}

static struct lock *end_lock(struct scene *s)
{
    return &s->f->k->trace_end_lock;
}

static u64 number;
static u32 flags;
static struct space_mem *space;

#define USE(name, body)               \
    static void name(struct scene *s) \
    {                                 \
        body;                         \
    }
USE(free_bytes, (void)mem_free_bytes(s->f->k->mem))
USE(alloc, void *p; assert_int_equal(pd_alloc(s->f->pd, 64, &p), OK))
USE(free_one, mem_free(s->f->k->mem, &s->f->k->quota, (void *)number, 64))
USE(mem_lookup, assert_true(space_mem_lookup(&s->f->pd->memory, PAGE, &number, &flags)))
USE(mem_insert, assert_int_equal(space_mem_insert(&s->pd->memory, 0x900, 1, 1, RIGHT_R), OK))
USE(mem_delegate, assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE, &s->pd->memory, 0x500, 1, RIGHT_R, &number), OK))
USE(mem_revoke, assert_int_equal(space_mem_revoke(s->cpu, &s->f->pd->memory, PAGE + 1, 1, false, &number), OK))
USE(mem_clear, assert_int_equal(space_mem_clear(s->cpu, &s->pd->memory, &number), OK))
USE(obj_reserve, assert_int_equal(space_obj_reserve(&s->pd->objects, 1000, &(struct cap_slot *){ NULL }), OK))
USE(obj_insert, object_ref(&s->g->ec->object); assert_int_equal(space_obj_insert(&s->pd->objects, 1, &s->g->ec->object), OK))
USE(obj_delegate, assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &s->pd->objects, 2, 1, PERM_ALL, &number), OK))
USE(obj_revoke, assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, 500, 1, true), OK))
USE(obj_clear, assert_int_equal(space_obj_clear(s->cpu, &s->pd->objects), OK))
USE(guest, assert_int_equal(pd_guest(s->pd, &space), OK))
USE(guest_made, (void)!pd_guest_made(s->pd))
USE(unmap, assert_int_equal(pd_unmap(s->cpu, s->pd, 0x700, s->g->s, 0, &number), OK))
USE(record_exit, trace_exit(s->cpu, s->g->v))
USE(record_entry, trace_entry(s->cpu, s->g->v, 0))
USE(note, trace_flushed(s->cpu, 1))
USE(end, trace_end(s->cpu, 0))

static const struct row {
    struct lock *(*lock)(struct scene *s);
    void (*use)(struct scene *s);
} rows[] = {
    { mem_lock, free_bytes },     { mem_lock, alloc },          { mem_lock, free_one },       { derive_lock, mem_lookup },
    { derive_lock, mem_insert },  { derive_lock, mem_delegate }, { derive_lock, mem_revoke },  { derive_lock, mem_clear },
    { derive_lock, obj_reserve }, { derive_lock, obj_insert },   { derive_lock, obj_delegate }, { derive_lock, obj_revoke },
    { derive_lock, obj_clear },   { derive_lock, guest },        { derive_lock, guest_made },  { derive_lock, unmap },
    { ring_lock, record_exit },   { ring_lock, record_entry },   { ring_lock, note },          { ring_lock, end },
    { end_lock, end },
};

static void no_sink(void *arg, const void *bytes, u32 count)
{
}

static void open_scene(struct scene *s)
{
    *s = (struct scene){ .g = guest_open(SIM_VMX) };
    s->f = s->g->f;
    guest_sim_trace(s->f->sim, no_sink, NULL);
    s->f->k->boot.trace_all = true;
    s->cpu = fixture_cpu(s->f, 0);
    trace_init(s->cpu);
    s->pd = fixture_pd(s->f, 1 << 20, PD);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_reserve(&s->pd->objects, 0, &(struct cap_slot *){ NULL }), OK);
    object_ref(&s->g->ec->object);
    assert_int_equal(space_obj_insert(&s->pd->objects, 5, &s->g->ec->object), OK);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE + 2, &s->pd->memory, 0x800, 1, RIGHT_R, &number), OK);
    assert_int_equal(pd_alloc(NULL, 64, (void **)&number), OK);
}

static void use(void *arg)
{
    struct scene *const s = arg;
    s->use(s);
}

static void everybody_waits(void **state)
{
    struct scene *const s = &scene;
    for (u32 i = 0; i < array_size(rows); i++) {
        open_scene(s);
        s->f->by_hand = true;
        s->lock = rows[i].lock(s);
        s->use = rows[i].use;
        atomic_store32(&s->lock->held, 1);
        sim_unit_hook(s->f->sim, hold, s);
        const char *const message = sim_unit_expect_panic(s->f->sim, use, s);
        sim_unit_hook(s->f->sim, NULL, NULL);
        if (!message)
            print_message("row %u does not wait\n", i);
        assert_non_null(message);
        assert_string_equal(message, "waits");
        guest_close(s->g);
    }
}

static void everybody_drops_it(void **state)
{
    struct scene *const s = &scene;
    for (u32 i = 0; i < array_size(rows); i++) {
        open_scene(s);
        s->f->by_hand = true;
        rows[i].use(s);
        assert_int_equal(atomic_load32(&rows[i].lock(s)->held), 0);
        guest_close(s->g);
    }
}

/* Before each operation of the machine: if a space has changed since the last one, the lock is held. What changes: the roots of the two trees
 * that ranges stand in, and capability words. */
static u64 sum(struct scene *s)
{
    u64 n = 0;
    const struct space_mem *const m[] = { &s->f->pd->memory, &s->pd->memory };
    for (u32 i = 0; i < array_size(m); i++) {
        const struct mem_range *r = m[i]->index;
        n = n * 31 + (u64)r;
        if (r)
            n = n * 31 + r->page + r->count * 7 + (u64)r->child[0] + (u64)r->child[1] + (u64)r->derive.open.next;
    }
    const struct cap_slot *const leaf = (const struct cap_slot *)s->pd->objects.leaf[0].v;
    for (u32 i = 0; i < OBJ_LEAF_SLOTS; i++)
        n = n * 31 + leaf[i].word.v;
    return n;
}

static u64 last;
static u32 changes;
static void guard(void *arg)
{
    struct scene *const s = arg;
    const u64 now = sum(s);
    if (now == last)
        return;
    last = now;
    changes++;
    assert_int_equal(atomic_load32(&s->f->k->derive_lock.held), 1);
}

static void changes_are_made_under_the_lock(void **state)
{
    struct scene *const s = &scene;
    open_scene(s);
    static void (*const uses[])(struct scene *s) = { mem_insert, mem_delegate, mem_clear, obj_insert, obj_delegate, obj_clear };
    for (u32 i = 0; i < array_size(uses); i++) {
        last = sum(s);
        changes = 0;
        sim_unit_hook(s->f->sim, guard, s);
        uses[i](s);
        sim_unit_hook(s->f->sim, NULL, NULL);
        assert_true(changes > 0);
        assert_int_equal(sum(s), last);   /* nothing after the lock was dropped */
    }
    guest_close(s->g);
}

TEST_GROUP(lock, cmocka_unit_test(everybody_waits), cmocka_unit_test(everybody_drops_it), cmocka_unit_test(changes_are_made_under_the_lock));
