/* SPDX-License-Identifier: BSD-2-Clause */
/* What --progress shows while a search goes on. */
#pragma once
#include "explore.h"

void progress_show(const struct explore_stats *t);   /* for explore_options.progress: prints at most twice a second */
void progress_end(void);
