/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a seed of IRIS is garbage? Nothing is read outside of it, one fault is named, and what came before it is a trace that our reader takes. */
#include "trace_import.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    import_any(&import_iris, data, bytes);
    return 0;
}
