/* SPDX-License-Identifier: BSD-2-Clause */
/* Function names of this process, static ones too: from the symbol table of its own file. Lines are for whoever renders a report: addr2line
 * with symbols_link(site). Not handled: code of shared libraries; functions that were inlined count as the one they are in. */
#pragma once
#include "base.h"

struct symbols;
struct symbols *symbols_open(void);   /* NULL: no memory. Without a table that can be read every name is "-" */
void symbols_close(struct symbols *s);
/* The function that a return address is in, without the compiler's suffixes; "-": unknown. Lives as long as s. */
const char *symbols_name(const struct symbols *s, u64 site);
u64 symbols_link(const struct symbols *s, u64 site);   /* the call before a return address, as the file's own addresses count; 0: site is 0 */
