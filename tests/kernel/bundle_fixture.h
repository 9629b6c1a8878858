/* SPDX-License-Identifier: BSD-2-Clause */
/* A boot bundle around a hand-made ELF program, for tests that boot or that spoil it. */
#pragma once
#include "abi/bundle.h"

#define FIXTURE_TEXT  0x400000ul   /* RX, one page; entry + 0x10 */
#define FIXTURE_DATA  0x402000ul   /* RW, two pages, 16 bytes in the file */
#define FIXTURE_ENTRY 0x400010ul

/* ELF64 layouts, at these offsets of the file. */
#define FIXTURE_PHDR(n)    (64u + (n) * 56u)
#define FIXTURE_ELF_BYTES  0x2010u
#define FIXTURE_BUNDLE     0x4000u

void bundle_fixture_elf(u8 elf[FIXTURE_ELF_BYTES]);
void bundle_fixture(u8 bundle[FIXTURE_BUNDLE]);
