/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A work-stealing deque (Chase and Lev, 2005): the owner pushes and takes at
 * the bottom, thieves steal at the top. The owner's take must make the new
 * bottom visible before it looks at top. -DBUG=1 leaves that fence out: then
 * the store may still wait in the store buffer when a thief reads bottom, and
 * both get the last item. No processor without store buffers shows it.
 */
#include <orrery/world.h>

#ifndef BUG
#define BUG 0
#endif

#define SLOTS	4
#define ITEMS	2
#define NONE	(~0ul)

struct deque {
	atomic_u64 top, bottom;
	atomic_u64 slot[SLOTS];
};

static void deque_push(struct deque *dq, u64 item)
{
	u64 b = atomic_load(&dq->bottom);

	atomic_store(&dq->slot[b % SLOTS], item);
	atomic_store(&dq->bottom, b + 1);
}

static u64 deque_take(struct deque *dq)
{
	u64 b = atomic_load(&dq->bottom) - 1;
	u64 t, item = NONE;

	atomic_store(&dq->bottom, b);
	if (BUG != 1)
		atomic_fence();
	t = atomic_load(&dq->top);
	if ((s64)t < (s64)b)
		return atomic_load(&dq->slot[b % SLOTS]);
	if (t == b) {			/* the last one: thieves want it, too */
		item = atomic_load(&dq->slot[b % SLOTS]);
		if (!atomic_cas(&dq->top, &t, t + 1))
			item = NONE;
	}
	atomic_store(&dq->bottom, b + 1);
	return item;
}

static u64 deque_steal(struct deque *dq)
{
	u64 t = atomic_load(&dq->top);
	u64 b = atomic_load(&dq->bottom);
	u64 item;

	if ((s64)t >= (s64)b)
		return NONE;
	item = atomic_load(&dq->slot[t % SLOTS]);
	return atomic_cas(&dq->top, &t, t + 1) ? item : NONE;
}

/* The test: two items, an owner that takes until there are none, a thief that tries twice. */

static struct deque *dq;
static u64 (*taken)[ITEMS];	/* by CPU and item; each CPU writes its own */

static void setup(void)
{
	u64 i;

	dq = world_alloc(sizeof(*dq));
	taken = world_alloc(2 * sizeof(*taken));
	world_label(&dq->top, 8, "top");
	world_label(&dq->bottom, 8, "bottom");
	world_label(dq->slot, sizeof(dq->slot), "slot");
	for (i = 0; i < ITEMS; i++)
		deque_push(dq, i);
}

static void owner(void)
{
	u64 item;

	while ((item = deque_take(dq)) != NONE)
		taken[0][item]++;
}

static void thief(void)
{
	int tries;
	u64 item;

	for (tries = 0; tries < 2; tries++)
		if ((item = deque_steal(dq)) != NONE)
			taken[1][item]++;
}

static void end(void)
{
	u64 i;

	for (i = 0; i < ITEMS; i++)
		world_assert(taken[0][i] + taken[1][i] == 1, "item %lu: owner %lu times, thief %lu times",
			     i, taken[0][i], taken[1][i]);
}

WORLD_TEST(deque, .question = "Is each item taken once?", .cpus = 2, .setup = setup,
	   .program = { owner, thief }, .end = end);

int main(int argc, char **argv)
{
	return world_main(argc, argv);
}
