/* SPDX-License-Identifier: BSD-2-Clause */
/* Which translations may a CPU use? Nothing fills a cache and nothing lists what is in one: each table word has a history (history.h), each CPU a
 * log of what it loaded and what it invalidated (tlb_log.h), and a question walks these with times that never go back (tlb_search.h).
 * A fresh walk is always allowed too, so using a stale answer is a choice.
 *
 *   x86   present entries without reserved bits are cached, with their D; a #PF drops its address; INVLPG drops the page, global or not, and all
 *         paging-structure entries; a CR3 load all but global pages; CR4.PGE, PSE, SMEP everything. Host entries are tagged by PCID: 0.
 *   EPT   guest-physical entries, tagged by EPTP bits 51:12: INVEPT drops them, nothing of the guest's and no INVVPID does.
 *   NPT   tagged by ASID alone: only TLB_CONTROL of a VMRUN on that CPU drops nested changes, or an ASID that is fresh there.
 *   A     A stale answer needs A set in all its words. A judgement does not: the hardware walks speculatively and sets A itself.
 *
 * Recorded in unit machines, in machines with a chooser and from translations_mark on; else every function here is next to free.
 * Bounds: VERSIONS_MAX writes and TLB_EVENTS_MAX loads and invalidations per CPU are remembered, the oldest are forgotten: then a stale answer
 * may be missed, never invented. At most STALE_MAX answers and SEARCH_STEPS_MAX words per question.
 * Not modelled: PCIDs, linear translations of guests (the engine's own), A and D bits that a stale walk would set, combined entries as such:
 * after an EPT violation another linear address of the same page may be stale still. */
#pragma once
#include "base.h"

struct sim;
struct sim_cpu;
struct translation;
struct walk;
struct walk_root;

#define STALE_MAX 15u

/* ---- What memory did ---- */
bool translations_record(struct sim *s, bool fresh);   /* from here on; fresh: RAM holds no table yet. False: no memory */
void translations_destroy(struct sim *s);
/* 8 bytes in memory changed. Other memory than RAM is ignored. */
void translations_wrote(struct sim *s, const void *address, u64 before, u64 after);
/* Called before `bytes` from `from` (NULL: zeroes) are written to `to`. */
void translations_copy(struct sim *s, const void *to, const void *from, u64 bytes);
/* Memory was freed: a finding if a CPU may still translate to it, or walk through it, under the tag it has loaded; what stays under others is
 * judged when they are loaded again. */
void translations_freed(struct sim *s, u64 phys, u64 bytes);

/* ---- What a CPU did ---- */
void translations_reset(struct sim_cpu *cpu);                                /* INIT: nothing is cached; CR3 as it stands is loaded */
void translations_load(struct sim_cpu *cpu, const struct walk_root *root);   /* walks begin there from now on; nothing is flushed */
/* VM entry: the same for `owner`, a VMCS or VMCB, under its VPID or ASID: a finding if that tag may hold what another owner left. */
void translations_enter(struct sim_cpu *cpu, const struct walk_root *root, u32 vpid, u64 owner);
void translations_leave(struct sim_cpu *cpu, u32 vpid);                      /* VM exit: the host's CR3 is loaded, nothing flushed but VPID 0 */
void translations_drop_host(struct sim_cpu *cpu, bool globals);
void translations_drop_page(struct sim_cpu *cpu, u64 address);               /* INVLPG */
void translations_fault(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w, u64 address);   /* #PF, nested fault */

/* ---- Questions ---- */
/* Of the answers other than `fresh` (NULL: the walk w faults) that the CPU may give for the address, the one the chooser wants: true, *out. */
must_check bool translations_choose(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w, u64 address,
                                    const struct translation *fresh, struct translation *out);
/* May a CPU still translate to these bytes with one of `rights` (RIGHT_*) under the tag it has loaded? For checks that a revoke is complete. */
must_check bool translations_reach(struct sim *s, u64 phys, u64 bytes, u32 rights, u32 *cpu, u64 *address);

/* ---- Reset ---- */
void translations_mark(struct sim *s);
void translations_rollback(struct sim *s);
