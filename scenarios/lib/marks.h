/* SPDX-License-Identifier: BSD-2-Clause */
/* Where what is looked at begins and ends: `./orrery bench` finds these two in the list of what QEMU executes (harness/orrery/bench_log.py). */
#pragma once

void mark_begin(void);
void mark_end(void);
