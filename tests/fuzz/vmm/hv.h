/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls of the VMM's parts, done by vmm_fuzz.c. */
#pragma once
#include "abi/hypercall.h"
#include "abi/status.h"
#include "base.h"

must_check enum status hv_sm_up(u64 sm);
must_check enum status hv_vcpu_kick(u64 vcpu);
must_check enum status hv_vcpu_fetch(u64 vcpu, u64 groups);
must_check enum status hv_delegate(u64 from, u64 to, u64 base, u64 target, u64 order_type);
must_check enum status hv_trace(u64 vcpu, u64 kind_and_bytes, u64 address, u64 word0, u64 word1, u64 word2);
const char *hv_status_name(enum status status);
