/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of KVM's trace lines: names of exit reasons, values by name. */
#pragma once
#include "trace/import.h"

/* By its name, as the kernel prints it, or by number, which it prints where it has no name. vendor: 1 VMX, 2 SVM, 0: the number does not say. False: unknown. */
bool kvm_reason(const char *name, u32 bytes, u64 *number, u32 *vendor);

/* The value behind a name that stands alone in the text: "rip 0x1000", "vcpu 0,". Hexadecimal or decimal; false: no such name, or no number behind it. */
bool kvm_value(const char *text, const char *name, u64 *value);
bool kvm_decimal(const char *text, const char *name, u64 *value);
/* Behind the first such word in the text; NULL: it is not there. */
const char *kvm_after(const char *text, const char *word);
