/* SPDX-License-Identifier: BSD-2-Clause */
/* orrery-explore selftest: a table of gates, each a known answer the explorer must give. */
#pragma once
#include "base.h"

/* Exit status: 0 if every gate holds, else 1. */
must_check int selftest(bool json);
