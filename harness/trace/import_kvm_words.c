/* SPDX-License-Identifier: BSD-2-Clause */
/* See import_kvm.h. Linux has printed each reason under these names since 3.2; the fields of a line moved, were added and renamed. */
#include "trace/import_kvm.h"
#include <string.h>
#include "arch/svm.h"
#include "arch/vmx.h"

struct row {
    const char *name;
    u64 number;
};

static const struct row vmx_row[] = {
    { "EXCEPTION_NMI", VMX_REASON_EXCEPTION }, { "EXTERNAL_INTERRUPT", VMX_REASON_INTR }, { "TRIPLE_FAULT", VMX_REASON_TRIPLE },
    { "INIT_SIGNAL", VMX_REASON_INIT }, { "SIPI_SIGNAL", VMX_REASON_SIPI }, { "OTHER_SMI", VMX_REASON_SMI },
    { "INTERRUPT_WINDOW", VMX_REASON_INTR_WINDOW }, { "PENDING_INTERRUPT", VMX_REASON_INTR_WINDOW }, { "NMI_WINDOW", VMX_REASON_NMI_WINDOW },
    { "TASK_SWITCH", VMX_REASON_TASK_SWITCH }, { "CPUID", VMX_REASON_CPUID }, { "HLT", VMX_REASON_HLT }, { "INVD", VMX_REASON_INVD },
    { "INVLPG", VMX_REASON_INVLPG }, { "RDPMC", VMX_REASON_RDPMC }, { "RDTSC", VMX_REASON_RDTSC }, { "VMCALL", VMX_REASON_VMCALL },
    { "VMCLEAR", VMX_REASON_VMCLEAR }, { "VMLAUNCH", VMX_REASON_VMLAUNCH }, { "VMPTRLD", VMX_REASON_VMPTRLD }, { "VMPTRST", VMX_REASON_VMPTRST },
    { "VMREAD", VMX_REASON_VMREAD }, { "VMRESUME", VMX_REASON_VMRESUME }, { "VMWRITE", VMX_REASON_VMWRITE }, { "VMOFF", VMX_REASON_VMXOFF },
    { "VMON", VMX_REASON_VMXON }, { "CR_ACCESS", VMX_REASON_CR }, { "DR_ACCESS", VMX_REASON_DR }, { "IO_INSTRUCTION", VMX_REASON_IO },
    { "MSR_READ", VMX_REASON_RDMSR }, { "MSR_WRITE", VMX_REASON_WRMSR }, { "INVALID_STATE", VMX_REASON_FAIL_STATE },
    { "MSR_LOAD_FAIL", VMX_REASON_FAIL_MSR }, { "MWAIT_INSTRUCTION", VMX_REASON_MWAIT }, { "MONITOR_TRAP_FLAG", VMX_REASON_MTF },
    { "MONITOR_INSTRUCTION", VMX_REASON_MONITOR }, { "PAUSE_INSTRUCTION", VMX_REASON_PAUSE }, { "MCE_DURING_VMENTRY", VMX_REASON_FAIL_MCE },
    { "TPR_BELOW_THRESHOLD", VMX_REASON_TPR }, { "APIC_ACCESS", VMX_REASON_APIC_ACCESS }, { "EOI_INDUCED", VMX_REASON_EOI },
    { "GDTR_IDTR", VMX_REASON_GDTR_IDTR }, { "LDTR_TR", VMX_REASON_LDTR_TR }, { "EPT_VIOLATION", VMX_REASON_EPT_VIOLATION },
    { "EPT_MISCONFIG", VMX_REASON_EPT_MISCONFIG }, { "INVEPT", VMX_REASON_INVEPT }, { "RDTSCP", VMX_REASON_RDTSCP },
    { "PREEMPTION_TIMER", VMX_REASON_TIMER }, { "INVVPID", VMX_REASON_INVVPID }, { "WBINVD", VMX_REASON_WBINVD }, { "XSETBV", VMX_REASON_XSETBV },
    { "APIC_WRITE", VMX_REASON_APIC_WRITE }, { "RDRAND", VMX_REASON_RDRAND }, { "INVPCID", VMX_REASON_INVPCID }, { "VMFUNC", VMX_REASON_VMFUNC },
    { "ENCLS", VMX_REASON_ENCLS }, { "RDSEED", VMX_REASON_RDSEED }, { "PML_FULL", VMX_REASON_PML_FULL }, { "XSAVES", VMX_REASON_XSAVES },
    { "XRSTORS", VMX_REASON_XRSTORS }, { "UMWAIT", VMX_REASON_UMWAIT }, { "TPAUSE", VMX_REASON_TPAUSE }, { "BUS_LOCK", 74 }, { "NOTIFY", 75 },
    { "TDCALL", 77 },
};

/* A name with a digit or a vector behind it: read_cr3, "PF excp". */
static const struct row svm_row[] = {
    { "interrupt", SVM_EXIT_INTR }, { "nmi", SVM_EXIT_NMI }, { "smi", SVM_EXIT_SMI }, { "init", SVM_EXIT_INIT }, { "vintr", SVM_EXIT_VINTR },
    { "cr0_sel_write", SVM_EXIT_CR0_SEL }, { "read_idtr", SVM_EXIT_IDTR_READ }, { "read_gdtr", SVM_EXIT_GDTR_READ },
    { "read_ldtr", SVM_EXIT_LDTR_READ }, { "read_rt", SVM_EXIT_TR_READ }, { "write_idtr", SVM_EXIT_IDTR_WRITE },
    { "write_gdtr", SVM_EXIT_GDTR_WRITE }, { "write_ldtr", SVM_EXIT_LDTR_WRITE }, { "write_rt", SVM_EXIT_TR_WRITE }, { "rdtsc", SVM_EXIT_RDTSC },
    { "rdpmc", SVM_EXIT_RDPMC }, { "pushf", SVM_EXIT_PUSHF }, { "popf", SVM_EXIT_POPF }, { "cpuid", SVM_EXIT_CPUID }, { "rsm", SVM_EXIT_RSM },
    { "iret", SVM_EXIT_IRET }, { "swint", SVM_EXIT_INTN }, { "invd", SVM_EXIT_INVD }, { "pause", SVM_EXIT_PAUSE }, { "hlt", SVM_EXIT_HLT },
    { "invlpg", SVM_EXIT_INVLPG }, { "invlpga", SVM_EXIT_INVLPGA }, { "io", SVM_EXIT_IO }, { "msr", SVM_EXIT_MSR },
    { "task_switch", SVM_EXIT_TASK }, { "ferr_freeze", SVM_EXIT_FERR }, { "shutdown", SVM_EXIT_SHUTDOWN }, { "vmrun", SVM_EXIT_VMRUN },
    { "hypercall", SVM_EXIT_VMMCALL }, { "vmload", SVM_EXIT_VMLOAD }, { "vmsave", SVM_EXIT_VMSAVE }, { "stgi", SVM_EXIT_STGI },
    { "clgi", SVM_EXIT_CLGI }, { "skinit", SVM_EXIT_SKINIT }, { "rdtscp", SVM_EXIT_RDTSCP }, { "icebp", SVM_EXIT_ICEBP },
    { "wbinvd", SVM_EXIT_WBINVD }, { "monitor", SVM_EXIT_MONITOR }, { "mwait", SVM_EXIT_MWAIT }, { "xsetbv", SVM_EXIT_XSETBV },
    { "rdpru", SVM_EXIT_RDPRU }, { "npf", SVM_EXIT_NPF }, { "avic_incomplete_ipi", SVM_EXIT_AVIC_IPI },
    { "avic_unaccelerated_access", SVM_EXIT_AVIC_NOACCEL }, { "vmgexit", SVM_EXIT_VMGEXIT }, { "invalid_guest_state", SVM_EXIT_INVALID },
};

static bool lookup(const struct row *row, u64 count, const char *name, u32 bytes, u64 *number)
{
    for (u64 i = 0; i < count; i++)
        if (strlen(row[i].name) == bytes && !memcmp(row[i].name, name, bytes)) {
            *number = row[i].number;
            return true;
        }
    return false;
}

static bool svm_range(const char *name, u32 bytes, u64 *number)
{
    static const char exception[][3] = { "DE", "DB", "", "BP", "OF", "BR", "UD", "NM", "DF", "", "TS", "NP", "SS", "GP", "PF", "", "MF", "AC", "MC", "XF" };
    static const struct row range[] = { { "read_cr", SVM_EXIT_CR_READ }, { "write_cr", SVM_EXIT_CR_WRITE }, { "read_dr", SVM_EXIT_DR_READ }, { "write_dr", SVM_EXIT_DR_WRITE } };
    const u32 last = bytes ? (u32)name[bytes - 1] - '0' : 10;
    if (last < 10 && lookup(range, array_size(range), name, bytes - 1, number)) {
        *number += last;
        return true;
    }
    for (u32 i = 0; i < array_size(exception) && bytes == 7 && !memcmp(name + 2, " excp", 5); i++)
        if (!memcmp(name, exception[i], 2)) {
            *number = SVM_EXIT_EXCEPTION + i;
            return true;
        }
    return false;
}

bool kvm_reason(const char *name, u32 bytes, u64 *number, u32 *vendor)
{
    const char *end = name;
    *vendor = 1;
    if (lookup(vmx_row, array_size(vmx_row), name, bytes, number))
        return true;
    *vendor = 2;
    if (lookup(svm_row, array_size(svm_row), name, bytes, number) || svm_range(name, bytes, number))
        return true;
    *vendor = 0;
    return !memcmp(name, "0x", min(bytes, 2u)) && import_hex(&end, number) && end == name + bytes;
}

const char *kvm_after(const char *text, const char *word)
{
    const u64 bytes = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || p[-1] == ' ') && (p[bytes] == ' ' || p[bytes] == ':')) {
            p += bytes + 1;
            return p + strspn(p, " ");
        }
    return NULL;
}

bool kvm_value(const char *text, const char *name, u64 *value)
{
    const char *p = kvm_after(text, name);
    return p && import_hex(&p, value) && (*p == 0 || *p == ' ' || *p == ',');
}

bool kvm_decimal(const char *text, const char *name, u64 *value)
{
    const char *p = kvm_after(text, name);
    if (!p)
        return false;
    const u64 digits = strspn(p, "0123456789");
    *value = 0;
    for (u64 i = 0; i < digits && i < 18; i++)
        *value = *value * 10 + (u64)(p[i] - '0');
    return digits >= 1 && digits <= 18 && (p[digits] == 0 || p[digits] == ' ' || p[digits] == ',');
}
