/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing inline in the process: see sim/. */
#pragma once
