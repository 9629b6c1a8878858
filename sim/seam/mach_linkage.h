/* SPDX-License-Identifier: BSD-2-Clause */
/* The seam in the process: each mach_* and atomic_* is a call into the simulated machine. */
#pragma once
#define MACH_API extern
