/* SPDX-License-Identifier: BSD-2-Clause */
/* What firmware and boot loader tell, in our own form: filled by kernel/x86/multiboot.c, pvh.c, boot_line.c, acpi.c from untrusted bytes. */
#pragma once
#include "base.h"

#define BOOT_RANGES 32u
#define BOOT_CPUS   64u

struct boot_range {
    u64 start, end;                /* bytes; RAM usable by the system */
};

struct boot_info {
    u32 range_count;
    u32 cpu_count;
    struct boot_range range[BOOT_RANGES];
    u64 bundle, bundle_bytes;      /* physical; 0: none */
    u64 rsdp;                      /* physical; 0: search the BIOS area */
    u64 apic_base;                 /* physical, from MADT */
    bool trace_memory, trace_all;  /* the command line says trace=memory, trace=all */
    u32 protect;                   /* PROTECT_* that the command line allows */
    u32 apic_id[BOOT_CPUS];        /* enabled CPUs, the boot CPU first */
    u64 fair;                      /* CPUs with fair groups, a bit each; those that are not there do not matter */
};

/* kernel/x86. Each returns NULL or a message that says what makes no sense; never reads outside the structure and its stated size. */
const char *boot_parse(u32 magic, u64 info, struct boot_info *out);   /* dispatches on BOOT_MAGIC_* */
const char *acpi_parse(struct boot_info *out);                        /* RSDP, XSDT or RSDT, MADT: CPUs; one CPU if there is no MADT */
