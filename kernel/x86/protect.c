/* SPDX-License-Identifier: BSD-2-Clause */
/* The protections of CR4 (Intel SDM 3A 2.5, 4.6), each where CPUID offers it. The kernel reaches user memory through its own addresses only, so SMAP
 * needs no exception. NX is in use since the machine's boot tables: it is asked for, not switched on.
 * Speculation: a command where CPUID offers it, and IA32_ARCH_CAPABILITIES does not say that the processor is safe without. */
#include "protect.h"
#include "arch/x86.h"
#include "cpu.h"
#include "vcpu.h"

static u32 needed(const struct mach_cpuid *offered)
{
    const u64 safe = offered->edx & CPUID_7_EDX_ARCH_CAP ? mach_msr_read(MSR_ARCH_CAPABILITIES) : 0;
    const bool ibpb = offered->edx & CPUID_7_EDX_IBPB || mach_cpuid(0x80000008u, 0).ebx & CPUID_88_EBX_IBPB;
    const bool mds = !(safe & ARCH_CAP_MDS_NO) || (offered->ebx & CPUID_7_EBX_RTM && !(safe & ARCH_CAP_TAA_NO));
    const bool rfds = (safe & (ARCH_CAP_RFDS_CLEAR | ARCH_CAP_RFDS_NO)) == ARCH_CAP_RFDS_CLEAR;
    const bool l1tf = !(safe & (ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1D));
    return (ibpb ? PROTECT_IBPB : 0) | ((offered->edx & CPUID_7_EDX_MD_CLEAR && mds) || rfds ? PROTECT_VERW : 0) |
           (offered->edx & CPUID_7_EDX_L1D_FLUSH && l1tf ? PROTECT_L1D : 0);
}

void protect_cpu_init(struct cpu *cpu)
{
    const struct mach_cpuid offered = mach_cpuid(0, 0).eax >= 7 ? mach_cpuid(7, 0) : (struct mach_cpuid){ 0 };
    if (!(mach_cpuid(0x80000001u, 0).edx & CPUID_81_EDX_NX))
        mach_panic("protect: the processor has no NX");
    mach_cr4_write(mach_cr4_read() | (offered.ebx & CPUID_7_EBX_SMEP ? CR4_SMEP : 0) | (offered.ebx & CPUID_7_EBX_SMAP ? CR4_SMAP : 0) |
                   (offered.ecx & CPUID_7_ECX_UMIP ? CR4_UMIP : 0));
    cpu->protect = cpu->kern->boot.protect & needed(&offered);
    cpu->due |= cpu->protect ? DUE_PROTECT : 0;
}

void protect_switch(const struct cpu *cpu)
{
    if (cpu->protect & PROTECT_IBPB)
        mach_msr_write(MSR_PRED_CMD, PRED_CMD_IBPB);
}

void protect_enter(struct cpu *cpu, const struct vcpu *v)
{
    if (v && cpu->protect_vcpu != v->id + 1ul) {
        cpu->protect_vcpu = v->id + 1ul;
        protect_switch(cpu);
    }
    if (v && cpu->protect & PROTECT_L1D)
        mach_msr_write(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
    if (cpu->protect & PROTECT_VERW)
        mach_buffers_clear();
}

/* ---- The command line ---- */

#define OPTION "mitigations="

/* Does text begin with word, and is the next character one that may follow? Then its length. */
static u64 begins(const char *text, u64 bytes, const char *word, bool is_whole)
{
    u64 n = 0;
    for (; word[n]; n++)
        if (n == bytes || text[n] != word[n])
            return 0;
    return !is_whole || n == bytes || !text[n] || text[n] == ' ' || text[n] == ',' ? n : 0;
}

static u64 one(const char *text, u64 bytes, u32 *protect)
{
    static const struct {
        char text[5];
        u32 protect;
    } words[] = {
#define PROTECT_WORD(number, name, text) { text, PROTECT_##name },
        { "off", 0 }, { "auto", PROTECT_ALL }, PROTECT_LIST(PROTECT_WORD)
    };
    u64 n = 0;
    for (u32 i = 0; i < array_size(words) && !n; i++) {
        n = begins(text, bytes, words[i].text, true);
        *protect |= n ? words[i].protect : 0;
    }
    return n;
}

const char *protect_parse(const char *line, u64 bytes, u32 *protect)
{
    for (u64 at = 0, n; at < bytes && line[at]; at++) {
        n = at && line[at - 1] != ' ' ? 0 : begins(line + at, bytes - at, OPTION, false);
        if (!n)
            continue;
        *protect = 0;
        do {
            at += n;
            n = one(line + at, bytes - at, protect);
            if (!n)
                return "command line: mitigations= takes off, auto, or a list of ibpb, verw, l1d";
            at += n;
            n = 1;
        } while (at < bytes && line[at] == ',');
        at--;
    }
    return NULL;
}
