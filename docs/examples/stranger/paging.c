/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables of one's own: four levels in the machine's RAM, map and unmap,
 * and a TLB shootdown by IPI from CPU 0 to CPU 1. After unmap() returns, the
 * frame is used for something else.
 *
 * -DBUG=1: unmap() flushes the local TLB only.
 * -DBUG=2: unmap() sends the IPI and does not wait for the answer; nor does
 *          this allocator tell the machine that the frame was free between.
 */
#include <orrery/world.h>
#include <orrery/sim_mem.h>

#ifndef BUG
#define BUG 0
#endif

/* Bits of an entry (SDM 3A 4.5), registers of the xAPIC (SDM 3A 10.4.1). */
#define PTE_PRESENT	0x1ul
#define PTE_WRITE	0x2ul
#define PTE_USER	0x4ul
#define PTE_ADDRESS	0xffffffffff000ul
#define XAPIC		0xfee00000ul
#define XAPIC_EOI	0xb0
#define XAPIC_SPURIOUS	0xf0
#define XAPIC_ICR	0x300
#define XAPIC_ICR_HIGH	0x310
#define FLUSH_VECTOR	0x41u
#define CPU_APIC_ID(n)	(2 * (n))	/* of this machine's CPUs */

#define PAGES		6
#define VA		0x400000001000ul
#define MINE		1111ul
#define SOMEBODY_ELSES	2222ul

static u64 *pool;			/* page after page */
static unsigned int pool_used;
static atomic_u64 *root;
static atomic_u64 *frame;
static atomic_u64 *flushed;		/* CPU 1 to CPU 0: done */

static atomic_u64 *page_alloc(void)
{
	return (atomic_u64 *)(pool + 512 * pool_used++);
}

/* The entry of the last level; tables on the way are made if need be. */
static atomic_u64 *pte_of(u64 va)
{
	atomic_u64 *table = root;
	int shift;

	for (shift = 39; shift > 12; shift -= 9) {
		atomic_u64 *entry = &table[va >> shift & 511];
		u64 word = atomic_load(entry);

		if (!(word & PTE_PRESENT)) {
			word = mach_virt_to_phys(page_alloc()) | PTE_PRESENT | PTE_WRITE | PTE_USER;
			atomic_store(entry, word);
		}
		table = mach_phys_to_virt(word & PTE_ADDRESS);
	}
	return &table[va >> 12 & 511];
}

static void map(u64 va, const void *page)
{
	atomic_store(pte_of(va), mach_virt_to_phys(page) | PTE_PRESENT | PTE_WRITE | PTE_USER);
}

static void unmap(u64 va)
{
	(void)atomic_xchg(pte_of(va), 0);	/* the walker may be setting A or D */
	mach_invlpg(va);
	if (BUG == 1)
		return;
	mach_dev_write32(XAPIC + XAPIC_ICR_HIGH, CPU_APIC_ID(1) << 24);
	mach_dev_write32(XAPIC + XAPIC_ICR, FLUSH_VECTOR);
	while (BUG != 2 && !atomic_load(flushed))
		mach_relax();
}

static void on_interrupt(u32 vector)
{
	if (vector != FLUSH_VECTOR)
		return;				/* spurious: no EOI */
	mach_invlpg(VA);
	mach_dev_write32(XAPIC + XAPIC_EOI, 0);
	atomic_store(flushed, 1);
}

static void setup(void)
{
	u32 cpu;

	pool = (u64 *)align_up((u64)world_alloc((PAGES + 1) * PAGE_SIZE), PAGE_SIZE);
	pool_used = 0;
	flushed = world_alloc(8);
	root = page_alloc();
	mach_copy(root + 256, (u64 *)mach_phys_to_virt(mach_boot_root()) + 256, PAGE_SIZE / 2);
	frame = page_alloc();
	atomic_store(frame, MINE);
	map(VA, frame);
	world_label(pte_of(VA), 8, "pte");
	world_label(frame, 8, "frame");
	world_label(flushed, 8, "flushed");
	for (cpu = 0; cpu < 2; cpu++) {
		world_cpu(cpu);
		mach_dev_write32(XAPIC + XAPIC_SPURIOUS, 0x1ff);	/* on; spurious vector 0xff */
		mach_cr3_write(mach_virt_to_phys(root));
	}
}

static void owner(void)
{
	unmap(VA);
	if (BUG != 2) {
		mach_mem_state(frame, PAGE_SIZE, MEM_FREE);	/* whoever can still reach it is a finding */
		mach_mem_state(frame, PAGE_SIZE, MEM_LIVE);
	}
	atomic_store(frame, SOMEBODY_ELSES);
}

/* What the CPU does for a load in user mode. False: a page fault. */
static bool user_read(u64 va, u64 *value)
{
	struct sim_translation t;
	struct sim_fault fault;

	if (!sim_translate(world_sim_cpu(), va, RIGHT_R, true, &t, &fault))
		return false;
	*value = atomic_load(mach_phys_to_virt(t.phys));
	return true;
}

static void user(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		u64 value;

		world_poll();
		if (user_read(VA, &value))
			world_assert(value == MINE, "user mode reads %lu, which is not its own", value);
	}
}

WORLD_TEST(paging, .question = "Can a CPU use a page that was taken from it?", .cpus = 2, .setup = setup,
	   .program = { owner, user }, .interrupt = on_interrupt);

int main(int argc, char **argv)
{
	return world_main(argc, argv);
}
