/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of the three page-table formats. No state.
 *
 *         63   12|11 9| 8  7  6  5  4  3  2  1  0
 *   host  NX     |    | G PS  D  A  CD WT US RW P     Intel SDM 3A 4.5, AMD APM 2 5.3
 *   EPT          | D(9) A PS  IP   MT   X  W  R       Intel SDM 3C 28.3.2; D and A only if EPTP bit 6 is set, which we do not
 *   NPT   as host; every nested access is a user access: US = 1 in all levels (AMD APM 2 15.25.5)
 *
 * Rights: x86 has no write-only or execute-only pages in the host format, and EPT refuses W without R (misconfiguration), so callers ask
 * for R always: there is no word for less. In the host format W and X together become W: no memory of ours is entered writable and executable. A guest's memory is
 * its own: what it may write and execute is said by its own tables, so the nested formats have both. */
#include "ptab.h"

#define P    bit(0)
#define RW   bit(1)
#define US   bit(2)
#define A    bit(5)
#define D    bit(6)
#define NX   bit(63)

#define EPT_R  bit(0)
#define EPT_W  bit(1)
#define EPT_X  bit(2)
#define EPT_WB (6ul << 3)
#define EPT_A  bit(8)
#define EPT_D  bit(9)

/* ---- Long mode: host and NPT ---- */

static u32 long_rights(u64 word)
{
    return RIGHT_R | (word & RW ? RIGHT_W : 0) | (word & NX ? 0 : RIGHT_X);
}

static u64 long_keep(u64 word)
{
    return word & (A | D);
}

/* ---- EPT ---- */

static u32 ept_rights(u64 word)
{
    return (word & EPT_R ? RIGHT_R : 0) | (word & EPT_W ? RIGHT_W : 0) | (word & EPT_X ? RIGHT_X : 0);
}

static u64 ept_keep(u64 word)
{
    return word & (EPT_A | EPT_D);
}

const struct ptab_format ptab_host = {
    .name = "host",
    .address_bits = 47,
    .machine_first = 256,
    .leaf = { [1] = P | US | NX, [3] = P | US | RW | NX, [5] = P | US, [7] = P | US | RW | NX },
    .table = P | RW | US,
    .present = P,
    .rights = long_rights,
    .keep = long_keep,
};

const struct ptab_format ptab_ept = {
    .name = "EPT",
    .address_bits = 48,
    .machine_first = 512,
    .leaf = { [1] = EPT_WB | EPT_R, [3] = EPT_WB | EPT_R | EPT_W, [5] = EPT_WB | EPT_R | EPT_X, [7] = EPT_WB | EPT_R | EPT_W | EPT_X },
    .table = EPT_R | EPT_W | EPT_X,
    .present = EPT_R | EPT_W | EPT_X,
    .rights = ept_rights,
    .keep = ept_keep,
};

const struct ptab_format ptab_npt = {
    .name = "NPT",
    .address_bits = 48,
    .machine_first = 512,
    .leaf = { [1] = P | US | NX, [3] = P | US | RW | NX, [5] = P | US, [7] = P | US | RW },
    .table = P | RW | US,
    .present = P,
    .rights = long_rights,
    .keep = long_keep,
};
