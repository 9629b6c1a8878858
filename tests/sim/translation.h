/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of translations share: a unit machine with one set of tables, an answerer that lists what it may choose from, and writes that the
 * machine sees. Tables stand one behind the other, top first; a second set is for other roots. */
#pragma once
#include <string.h>
#include "unit.h"
#include "arch/x86.h"
#include "machine.h"
#include "machine_model.h"
#include "translations.h"
#include "virt_model.h"
#include "walk.h"

#define TABLES 0x200000ul                                   /* TABLE(set, level) */
#define TABLE(set, level) (TABLES + ((set) * 4 + 3 - (level)) * PAGE_SIZE)
#define FRAME  0x300000ul
#define OTHER  0x301000ul
#define THIRD  0x302000ul
#define VA     0x0000123456789000ul
#define HOST   (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define EPT    (RIGHT_MEMORY | 0x30ul)
#define EPTP   0x1eul                                       /* write-back, four levels, no A and D */

/* Which stale answer is wanted: 0, or the n-th; bound - 1 is how many there were when it was asked last. */
struct asker {
    struct chooser chooser;
    u32 answer, bound;
};

extern struct asker asker;
extern struct sim_translation out;
extern struct sim_fault fault;
extern struct sim_nested_fault nested_fault;

u64 *entry(u32 set, u32 level, u64 address);
void poke(u64 *at, u64 value);
void map_set(u32 set, u64 table_bits, u64 leaf);           /* VA through all levels of a set to `leaf` */
int translation_setup(void **state);                       /* CPU 0 has set 0 loaded, HOST to FRAME */
int translation_setup_svm(void **state);
int translation_teardown(void **state);
bool read_as_user(void);                                   /* of VA, on the current CPU */
bool may_read(u64 frame);                                  /* some answer, fresh or stale, is this frame */
u32 stale_count(void);                                     /* answers but the fresh one */
const char *free_page(struct sim *s, u64 phys);            /* the finding of freeing it, which is undone; NULL: none */
#define FINDS(s, phys, rule) assert_non_null(strstr(free_page(s, phys) ?: "nothing", rule))
#define CASE(f)     cmocka_unit_test_setup_teardown(f, translation_setup, translation_teardown)
#define CASE_SVM(f) cmocka_unit_test_setup_teardown(f, translation_setup_svm, translation_teardown)
