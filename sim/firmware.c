/* SPDX-License-Identifier: BSD-2-Clause */
/* What firmware and boot loader leave in RAM: the machine's page tables, a multiboot2 structure, ACPI tables, the bundle.
 *
 *   0x01000  top-level table, 0x02000 its table for the kernel half, 0x03000 2 MiB pages of the first GiB (supervisor)
 *   0x08000  start-up code of the CPUs (START_VECTOR): nothing stands there, CPUs start in C
 *   0x09000  multiboot2 information
 *   0xe0000  RSDP, XSDT, MADT
 *   1 MiB    the bundle, then free
 * Sources: Multiboot2 specification 2.0, 3.6; ACPI 6.4, 5.2.5, 5.2.8, 5.2.12. */
#include <string.h>
#include "arch/x86.h"
#include "firmware.h"

#define AT_ROOT  0x1000ul
#define AT_PDPT  0x2000ul
#define AT_PD    0x3000ul
#define AT_INFO  0x9000ul
#define AT_RSDP  0xe0000ul
#define AT_XSDT  0xe0040ul
#define AT_MADT  0xe0100ul

/* A cursor: everything is appended little-endian. */
struct put {
    u8 *start, *next;
};

static void put(struct put *p, u64 value, u32 bytes)
{
    memcpy(p->next, &value, bytes);
    p->next += bytes;
}

static void put_text(struct put *p, const char *text, u32 bytes)
{
    memcpy(p->next, text, bytes);
    p->next += bytes;
}

static u8 checksum(const u8 *start, u64 bytes)
{
    u8 sum = 0;
    for (u64 i = 0; i < bytes; i++)
        sum = (u8)(sum + start[i]);
    return (u8)-sum;
}

static void firmware_root(struct sim *s)
{
    u64 *root = (u64 *)(s->ram + AT_ROOT), *pdpt = (u64 *)(s->ram + AT_PDPT), *pd = (u64 *)(s->ram + AT_PD);
    root[511] = AT_PDPT | PTE_P | PTE_W | PTE_A;
    pdpt[510] = AT_PD | PTE_P | PTE_W | PTE_A;
    for (u64 i = 0; i < 512; i++)
        pd[i] = i << 21 | PTE_P | PTE_W | PTE_PS | PTE_G | PTE_A | PTE_D;
    s->boot_root = AT_ROOT;
}

/* Header of an ACPI table; length and checksum come last. */
static struct put acpi_begin(struct sim *s, u64 phys, const char *signature)
{
    struct put p = { s->ram + phys, s->ram + phys };
    put_text(&p, signature, 4);
    put(&p, 0, 4);           /* length */
    put(&p, 1, 1);           /* revision */
    put(&p, 0, 1);           /* checksum */
    put_text(&p, "ORRERYORRERYSM", 14);
    put(&p, 1, 4);
    put_text(&p, "ORRY", 4);
    put(&p, 1, 4);
    return p;
}

static void acpi_end(struct put *p)
{
    const u32 bytes = (u32)(p->next - p->start);
    memcpy(p->start + 4, &bytes, 4);
    p->start[9] = checksum(p->start, bytes);
}

static void firmware_madt(struct sim *s)
{
    struct put p = acpi_begin(s, AT_MADT, "APIC");
    put(&p, SIM_APIC_BASE, 4);
    put(&p, 1, 4);           /* PCAT_COMPAT */
    for (u32 i = 0; i < s->cpu_count; i++) {
        put(&p, 0, 1);       /* processor local APIC */
        put(&p, 8, 1);
        put(&p, i, 1);
        put(&p, 2 * i, 1);   /* APIC id, see sim_cpus_create */
        put(&p, 1, 4);       /* enabled */
    }
    put(&p, 1, 1);           /* I/O APIC: present in the table, no device behind it */
    put(&p, 12, 1);
    put(&p, 0, 2);
    put(&p, 0xfec00000, 4);
    put(&p, 0, 4);
    acpi_end(&p);
}

static void firmware_acpi(struct sim *s)
{
    firmware_madt(s);
    struct put x = acpi_begin(s, AT_XSDT, "XSDT");
    put(&x, AT_MADT, 8);
    acpi_end(&x);
    struct put p = { s->ram + AT_RSDP, s->ram + AT_RSDP };
    put_text(&p, "RSD PTR ", 8);
    put(&p, 0, 1);
    put_text(&p, "ORRERY", 6);
    put(&p, 2, 1);
    put(&p, 0, 4);           /* no RSDT */
    put(&p, 36, 4);
    put(&p, AT_XSDT, 8);
    put(&p, 0, 4);
    p.start[8] = checksum(p.start, 20);
    p.start[32] = checksum(p.start, 36);
}

static struct put tag_begin(struct put *p, u32 type)
{
    p->next = p->start + align_up((u64)(p->next - p->start), 8);
    struct put tag = { p->next, p->next };
    put(&tag, type, 4);
    put(&tag, 0, 4);
    return tag;
}

static void tag_end(struct put *p, struct put *tag)
{
    const u32 bytes = (u32)(tag->next - tag->start);
    memcpy(tag->start + 4, &bytes, 4);
    p->next = tag->next;
}

static void firmware_map(struct sim *s, struct put *p)
{
    const struct { u64 base, bytes, type; } map[] = {
        { 0, 0x9f000, 1 },
        { 0x9f000, 0x61000, 2 },
        { 0x100000, min(s->ram_bytes, SIM_HOLE_START) - 0x100000, 1 },
        { 0xfec00000, 0x300000, 2 },
        { SIM_HOLE_END, s->ram_bytes - SIM_HOLE_END, 1 },
    };
    const u32 count = s->ram_bytes > SIM_HOLE_END ? 5 : 4;
    struct put tag = tag_begin(p, 6);
    put(&tag, 24, 4);
    put(&tag, 0, 4);
    for (u32 i = 0; i < count; i++) {
        put(&tag, map[i].base, 8);
        put(&tag, map[i].bytes, 8);
        put(&tag, map[i].type, 4);
        put(&tag, 0, 4);
    }
    tag_end(p, &tag);
}

static void firmware_info(struct sim *s)
{
    struct put p = { s->ram + AT_INFO, s->ram + AT_INFO };
    put(&p, 0, 8);
    struct put name = tag_begin(&p, 2);
    put_text(&name, "simulated machine", sizeof("simulated machine"));
    tag_end(&p, &name);
    if (s->config.line) {
        struct put line = tag_begin(&p, 1);
        put_text(&line, s->config.line, (u32)strlen(s->config.line) + 1);
        tag_end(&p, &line);
    }
    if (s->config.bundle_bytes) {
        struct put module = tag_begin(&p, 3);
        put(&module, FIRMWARE_END, 4);
        put(&module, FIRMWARE_END + s->config.bundle_bytes, 4);
        put_text(&module, "bundle", sizeof("bundle"));
        tag_end(&p, &module);
    }
    firmware_map(s, &p);
    struct put acpi = tag_begin(&p, 15);
    put_text(&acpi, (const char *)s->ram + AT_RSDP, 36);
    tag_end(&p, &acpi);
    struct put end = tag_begin(&p, 0);
    tag_end(&p, &end);
    const u32 bytes = (u32)(p.next - p.start);
    memcpy(p.start, &bytes, 4);
    s->boot_info = AT_INFO;
}

bool firmware_create(struct sim *s)
{
    if (s->config.bundle_bytes > s->ram_bytes - FIRMWARE_END)
        return false;
    if (s->config.bundle_bytes)
        memcpy(s->ram + FIRMWARE_END, s->config.bundle, s->config.bundle_bytes);
    firmware_root(s);
    firmware_acpi(s);
    firmware_info(s);
    return true;
}
