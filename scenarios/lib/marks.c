/* SPDX-License-Identifier: BSD-2-Clause */
/* The marks: in a file of their own, so that each call is one, and not alike, so that they are two. */
#include "marks.h"
#include "base.h"

static volatile bool marked;

void mark_begin(void)
{
    marked = true;
}

void mark_end(void)
{
    marked = false;
}
