/* SPDX-License-Identifier: BSD-2-Clause */
/* Engine 2: user mode and guests of simulated CPUs execute on the Unicorn library, over the machine's memory and through its MMU.
 * One core per simulated CPU and mode, made when first used; CPUs beyond the eighth share. */
#pragma once
#include "engine.h"

/* NULL: a message that names the library and what it does not do is in *why. Runs the self-test. */
struct engine *unicorn_engine_create(const char **why);
const char *unicorn_engine_version(void);
