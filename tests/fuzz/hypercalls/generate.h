/* SPDX-License-Identifier: BSD-2-Clause */
/* The next operation of a random sequence: from the model as it stands, so that most arguments name something, and some almost do. */
#pragma once
#include "run.h"

struct op generate(struct fuzz *z, u64 *random);
