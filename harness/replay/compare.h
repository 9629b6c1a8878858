/* SPDX-License-Identifier: BSD-2-Clause */
/* Is what happens now what was recorded? Field by field; the first difference has a name and both values.
 *
 *   exit      what the kernel tells the VMM: reason, what belongs to the reason, instruction length (if both machines give one), pending event, the groups
 *             that both sides have. raw_* only if both are of one vendor.
 *   answer    what the VMM changed: dirty and wanted groups, the fields of the dirty ones.
 *   resume    what the hardware is loaded with at the next entry: the words after the entry, against the guest state that the model reads from its VMCS or
 *             VMCB; and the injected event. This one sees what the kernel does between answer and entry.
 * Groups that one of the two machines lacks are not compared; bits that VMX or SVM fix are left out. */
#pragma once
#include "engine.h"
#include "sim.h"
#include "trace/reader.h"

struct difference {
    const char *where;           /* "exit", "answer", "resume"; NULL: none */
    const char *field;
    u64 recorded, got;
    u32 check;                   /* of an entry that failed instead, as in struct vcpu_exit; 0: none */
};

struct compare_machines {
    u32 groups;                  /* that both have */
    bool same_vendor;
    bool memory;                 /* guest memory is mapped as it was: the rights a nested fault found are compared */
    enum sim_vendor vendor;      /* of the model */
};
/* True: no difference. Else the first one is in *d. */
bool compare_exit(const struct compare_machines *m, const struct trace_words *recorded, const struct trace_words *got, struct difference *d);
bool compare_answer(const struct compare_machines *m, const struct trace_words *recorded, const struct trace_words *got, struct difference *d);
bool compare_resume(const struct compare_machines *m, const struct trace_words *recorded, const struct sim_guest *got, struct difference *d);
/* "exit 17 vcpu 0: resume: field rip recorded 0x1004 got 0x1002"; events and reasons by name. */
void difference_print(const struct difference *d, u32 exit, u32 vcpu, char *text, u32 bytes);
