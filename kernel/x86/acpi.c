/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI (specification 6.4, section 5.2): RSDP, XSDT or RSDT, and of the tables only the MADT: which CPUs there are.
 * Untrusted: a table is used only if its stated length lies in the direct map and its checksum is right; each entry is checked
 * against the table. Without an RSDP or a MADT there is one CPU. Boot CPU only, no lock. Not handled: CPUs that come later. */
#include "apic.h"
#include "arch/apic.h"
#include "arch/x86.h"
#include "boot.h"
#include "machine.h"

#define TABLE_BYTES_MAX 0x40000u
#define RSDP_V1_BYTES   20u

#define BIOS_START      0xe0000ul   /* ACPI 5.2.5.1: the RSDP is here or in the first KiB of the EBDA, 16-byte aligned */
#define BIOS_END        0x100000ul
#define EBDA_POINTER    0x40eul     /* real-mode segment of the EBDA */
#define EBDA_BYTES      1024ul

/* Where mach_dev_* may go: I/O and local APICs (Intel SDM 3A 10.4.1). */
#define DEVICE_START    0xfec00000ul
#define DEVICE_END      0xff000000ul

struct rsdp {
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision;
    u32 rsdt;
    u32 bytes;   /* from revision 2 on */
    u64 xsdt;
    u8 checksum_all, reserved[3];
} __attribute__((packed));

struct table {
    char signature[4];
    u32 bytes;   /* with this header */
    u8 revision, checksum;
    char oem[6], oem_table[8];
    u32 oem_revision, creator, creator_revision;
} __attribute__((packed));

struct madt {
    struct table head;
    u32 apic_base, flags;
} __attribute__((packed));

enum { MADT_APIC = 0, MADT_APIC_BASE = 5, MADT_X2APIC = 9 };
#define MADT_CPU_ENABLED 1u

struct madt_entry {
    u8 type, bytes;   /* bytes: with this header */
    union {
        struct { u8 uid, id; u32 flags; } __attribute__((packed)) apic;
        struct { u16 reserved; u64 base; } __attribute__((packed)) apic_base;
        struct { u16 reserved; u32 id, flags, uid; } __attribute__((packed)) x2apic;
    };
} __attribute__((packed));

static bool bytes_equal(const char *a, const char *b, u32 bytes)
{
    u32 i = 0;
    while (i < bytes && a[i] == b[i])
        i++;
    return i == bytes;
}

static bool checksum_good(const void *start, u32 bytes)
{
    const u8 *const p = start;
    u8 sum = 0;
    for (u32 i = 0; i < bytes; i++)
        sum = (u8)(sum + p[i]);
    return sum == 0;
}

/* A whole table with a right checksum, or NULL. */
static const struct table *table_at(u64 phys, u32 bytes_min)
{
    const struct table *const t = boot_view(phys, sizeof(*t));
    if (!t || t->bytes < bytes_min || t->bytes > TABLE_BYTES_MAX || !boot_view(phys, t->bytes))
        return NULL;
    return checksum_good(t, t->bytes) ? t : NULL;
}

static bool rsdp_good(u64 phys)
{
    const struct rsdp *const r = boot_view(phys, RSDP_V1_BYTES);
    return r && bytes_equal(r->signature, "RSD PTR ", 8) && checksum_good(r, RSDP_V1_BYTES);
}

/* Physical address, or 0. */
static u64 rsdp_search(u64 start, u64 end)
{
    for (u64 phys = start; phys < end; phys += 16)
        if (rsdp_good(phys))
            return phys;
    return 0;
}

static u64 rsdp_find(void)
{
    const u16 *const segment = boot_view(EBDA_POINTER, sizeof(*segment));
    const u64 ebda = segment ? (u64)*segment << 4 : 0;
    const u64 phys = ebda ? rsdp_search(ebda, ebda + EBDA_BYTES) : 0;
    return phys ? phys : rsdp_search(BIOS_START, BIOS_END);
}

/* The root table and the size of its pointers; NULL: neither XSDT nor RSDT is sane. */
static const struct table *root_table(u64 phys, u32 *pointer_bytes)
{
    const struct rsdp *const r = boot_view(phys, RSDP_V1_BYTES);
    const struct rsdp *const r2 = boot_view(phys, sizeof(*r2));
    if (r2 && r2->revision >= 2 && r2->bytes >= sizeof(*r2) && r2->xsdt) {
        const struct table *const xsdt = table_at(r2->xsdt, sizeof(*xsdt));
        *pointer_bytes = 8;
        if (xsdt && bytes_equal(xsdt->signature, "XSDT", 4))
            return xsdt;
    }
    const struct table *const rsdt = table_at(r->rsdt, sizeof(*rsdt));
    *pointer_bytes = 4;
    return rsdt && bytes_equal(rsdt->signature, "RSDT", 4) ? rsdt : NULL;
}

/* The MADT or NULL. *bad: there is one, but it is damaged. */
static const struct madt *madt_find(const struct table *root, u32 pointer_bytes, bool *bad)
{
    const u32 count = min((root->bytes - (u32)sizeof(*root)) / pointer_bytes, BOOT_ENTRIES_MAX);
    for (u32 i = 0; i < count; i++) {
        u64 phys = 0;
        mach_copy(&phys, (const u8 *)(root + 1) + (u64)i * pointer_bytes, pointer_bytes);
        const struct table *const t = boot_view(phys, sizeof(*t));
        if (!t || !bytes_equal(t->signature, "APIC", 4))
            continue;
        const struct table *const madt = table_at(phys, sizeof(struct madt));
        *bad = madt == NULL;
        return (const void *)madt;
    }
    *bad = false;
    return NULL;
}

/* A CPU of the MADT. Twice the same id is one CPU: firmware lists ids below 255 in both forms. */
static void cpu_add(struct boot_info *out, u32 id, u32 flags)
{
    const bool x2apic = mach_cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC;
    if (!(flags & MADT_CPU_ENABLED) || out->cpu_count == BOOT_CPUS || id == ~0u || (id >= APIC_XAPIC_IDS && !x2apic))
        return;
    for (u32 i = 0; i < out->cpu_count; i++)
        if (out->apic_id[i] == id)
            return;
    out->apic_id[out->cpu_count++] = id;
}

static const char *madt_parse(const struct madt *madt, struct boot_info *out)
{
    u64 base = madt->apic_base;
    u32 at = sizeof(*madt);
    while (at < madt->head.bytes) {   /* at grows by 2 or more, the table ends at TABLE_BYTES_MAX */
        const struct madt_entry *const e = (const void *)((const u8 *)madt + at);
        const u32 rest = madt->head.bytes - at;
        if (rest < offset_of(struct madt_entry, apic) || e->bytes < offset_of(struct madt_entry, apic) || rest < e->bytes)
            return "acpi: a MADT entry leaves the table";
        const u32 body = e->bytes - (u32)offset_of(struct madt_entry, apic);
        if (e->type == MADT_APIC && body >= sizeof(e->apic) && e->apic.id < APIC_XAPIC_IDS)
            cpu_add(out, e->apic.id, e->apic.flags);
        if (e->type == MADT_X2APIC && body >= sizeof(e->x2apic))
            cpu_add(out, e->x2apic.id, e->x2apic.flags);
        if (e->type == MADT_APIC_BASE && body >= sizeof(e->apic_base))
            base = e->apic_base.base;
        at += e->bytes;
    }
    if (base & PAGE_MASK || base < DEVICE_START || base >= DEVICE_END)
        return "acpi: local APIC at an impossible address";
    out->apic_base = base;
    return NULL;
}

const char *acpi_parse(struct boot_info *out)
{
    out->apic_base = APIC_BASE_DEFAULT;
    out->apic_id[0] = apic_id(NULL);
    out->cpu_count = 1;
    if (!out->rsdp)
        out->rsdp = rsdp_find();
    if (!out->rsdp)
        return NULL;
    if (!rsdp_good(out->rsdp))
        return "acpi: damaged RSDP";
    u32 pointer_bytes;
    const struct table *const root = root_table(out->rsdp, &pointer_bytes);
    if (!root)
        return "acpi: neither XSDT nor RSDT";
    bool bad;
    const struct madt *const madt = madt_find(root, pointer_bytes, &bad);
    if (bad)
        return "acpi: damaged MADT";
    return madt ? madt_parse(madt, out) : NULL;
}
