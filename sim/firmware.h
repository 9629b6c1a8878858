/* SPDX-License-Identifier: BSD-2-Clause */
/* What firmware and boot loader leave in RAM. */
#pragma once
#include "machine_model.h"

#define FIRMWARE_END 0x100000ul   /* mach_reserved: all below */

must_check bool firmware_create(struct sim *s);
