/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry checks by id, in words: for reports. The ids are stable: rows are added, never renumbered. Intel SDM 3C chapter 26: P 26.1, C 26.2.1.1,
 * X 26.2.1.2, N 26.2.1.3, H 26.2.2 to 26.2.4, G 26.3.1.1, S 26.3.1.2 and 26.3.1.3, R 26.3.1.4, A 26.3.1.5 and 26.3.1.6, M 26.4. AMD APM 2 chapter
 * 15: V 15.5.1, 15.16, 15.20, 15.25. Rows that no profile can reach are listed too: tests/sim/vmx_check_test.c says which and why. */
#include "virt_model.h"

struct row {
    char letter;
    u8 count;
    const char *const *text;
};

static const char *const p[] = {
    "not in VMX operation, or in a mode without it", "CPL above 0", "in VMX non-root operation", "no current VMCS",
    "the current VMCS is a shadow VMCS", "blocking by MOV SS", "VMLAUNCH of a VMCS that is not clear", "VMRESUME of a VMCS that is not launched",
};
static const char *const c[] = {
    "pin-based controls: a bit that must be 1", "pin-based controls: a bit that must be 0", "primary controls: a bit that must be 1",
    "primary controls: a bit that must be 0", "secondary controls: a bit that must be 1", "secondary controls: a bit that must be 0",
    "tertiary controls: a bit that must be 0", "CR3-target count", "address of an I/O bitmap", "address of the MSR bitmap",
    "address of the virtual-APIC page", "TPR threshold: bits 31:4", "TPR threshold above the virtual TPR",
    "APIC virtualization without TPR shadow", "virtual NMIs without NMI exiting", "NMI-window exiting without virtual NMIs",
    "address of the APIC-access page", "virtual x2APIC mode and APIC accesses both", "virtual-interrupt delivery without external-interrupt exiting",
    "posted interrupts without virtual-interrupt delivery", "posted interrupts without acknowledge on exit", "posted-interrupt notification vector",
    "address of the posted-interrupt descriptor", "VPID 0", "EPTP: memory type", "EPTP: page-walk length",
    "EPTP: accessed and dirty flags not supported", "EPTP: reserved bits", "EPTP: supervisor shadow stack not supported", "PML without EPT",
    "address of the PML buffer", "unrestricted guest without EPT", "mode-based execute control without EPT", "sub-page write permissions without EPT",
    "SPPTP", "VM-function controls: reserved bits", "EPTP switching without EPT", "address of the EPTP list", "address of a VMREAD or VMWRITE bitmap",
    "address of the #VE information area", "TSC multiplier 0", "Intel PT with guest-physical addresses without its companions",
    "HLAT, PASID or tertiary addresses",
};
static const char *const x[] = {
    "exit controls: a bit that must be 1", "exit controls: a bit that must be 0", "secondary exit controls: a bit that must be 0",
    "preemption timer saved but not active", "MSR-store area: address", "MSR-store area: end", "MSR-load area: address", "MSR-load area: end",
};
static const char *const n[] = {
    "entry controls: a bit that must be 1", "entry controls: a bit that must be 0", "event to inject: type", "NMI with a vector other than 2",
    "exception with a vector above 31", "MTF exit with a vector", "deliver-error-code bit", "event to inject: reserved bits", "error code: high bits",
    "length of the instruction of a software event", "entry MSR-load area: address", "entry MSR-load area: end",
    "entry to SMM or dual-monitor bit outside SMM", "entry to SMM and dual-monitor bit both",
};
static const char *const h[] = {
    "host CR0: fixed bits", "host CR4: fixed bits", "host CR3", "host CR4.CET without CR0.WP", "host SYSENTER_ESP or EIP not canonical",
    "host PERF_GLOBAL_CTRL", "host PAT", "host EFER: reserved bits", "host EFER: LMA or LME against the address-space size", "host CET state",
    "host PKRS", "host selector: RPL or TI", "host CS or TR selector 0", "host SS selector 0 with a 32-bit host", "host base not canonical",
    "host address-space size against EFER.LMA", "IA-32e guest with a 32-bit host", "32-bit host with CR4.PCIDE or a high RIP",
    "64-bit host without CR4.PAE or with a RIP that is not canonical", "host FRED or SPEC_CTRL",
};
static const char *const g[] = {
    "CR0: fixed bits", "CR0.PG without PE", "CR4: fixed bits", "CR4.CET without CR0.WP", "DEBUGCTL: reserved bits", "IA-32e mode without CR0.PG",
    "IA-32e mode without CR4.PAE", "CR4.PCIDE outside IA-32e mode", "CR3", "DR7: high bits", "SYSENTER_ESP or EIP not canonical", "PERF_GLOBAL_CTRL",
    "PAT", "EFER: reserved bits", "EFER: LMA or LME against the mode", "BNDCFGS", "CET state", "PKRS", "UINV", "RTIT_CTL or LBR_CTL", "FRED state",
};
static const char *const s[] = {
    "TR selector: TI", "LDTR selector: TI", "RPL of SS and CS differ", "virtual-8086 mode: base", "virtual-8086 mode: limit",
    "virtual-8086 mode: access rights", "base of TR, FS, GS or LDTR not canonical", "base of CS, SS, DS or ES above 4 GiB", "type of CS", "type of SS",
    "data segment not accessed", "code segment in a data register not readable", "S bit clear", "DPL of CS", "DPL of SS", "DPL of a data segment below its RPL",
    "segment not present", "access rights: reserved bits", "CS: D and L both", "granularity against limit", "TR", "LDTR", "GDTR or IDTR base not canonical",
    "GDTR or IDTR limit above 64 KiB",
};
static const char *const r[] = {
    "RIP above 4 GiB outside 64-bit mode", "RIP not canonical", "RFLAGS: reserved bits", "RFLAGS: bit 1 clear", "RFLAGS.VM in IA-32e mode",
    "RFLAGS.VM without CR0.PE", "external interrupt injected with RFLAGS.IF clear",
};
static const char *const a[] = {
    "activity state", "halted with SS.DPL above 0", "blocking by STI or MOV SS while not active", "event that does not end HLT",
    "event that does not end shutdown", "event in wait-for-SIPI", "entry to SMM in wait-for-SIPI", "interruptibility: reserved bits",
    "blocking by STI and MOV SS both", "blocking by STI with RFLAGS.IF clear", "external interrupt injected while blocked",
    "NMI injected while blocked by MOV SS or STI", "blocking by SMI outside SMM", "blocking by SMI on entry to SMM",
    "NMI injected while virtual NMIs are blocked", "enclave interruption", "pending debug exceptions: reserved bits",
    "pending debug exceptions: BS against RFLAGS.TF", "pending debug exceptions: RTM", "VMCS link pointer: address", "linked VMCS: revision",
    "linked VMCS: shadow bit", "link pointer is the current VMCS", "link pointer in SMM", "PDPTE: reserved bits",
};
static const char *const m[] = {
    "more entries than the processor takes", "reserved bits of an entry", "FS_BASE or GS_BASE", "x2APIC register", "MSR of SMM or microcode",
    "value that WRMSR refuses", "area outside RAM",
};
static const char *const v[] = {
    "VMRUN: SVM off or no VMCB there", "VMRUN not intercepted", "ASID 0", "EFER.SVME clear", "EFER: reserved bits", "long mode not supported",
    "CR0.NW without CD", "CR0: high bits", "CR3: reserved bits", "CR4: reserved bits", "DR6: high bits", "DR7: high bits", "long mode without CR4.PAE",
    "long mode without CR0.PE", "CS: D and L both", "address of the MSR map", "address of the I/O map", "nested paging not supported or host not paging",
    "nCR3", "guest PAT", "EVENTINJ: reserved bits or type", "EVENTINJ: exception vector", "EVENTINJ: exception that the mode lacks",
    "PDPTE: reserved bits", "TLB_CONTROL", "CR4.CET without CR0.WP", "AVIC or LBR virtualization not supported", "base not canonical",
};

#define ROW(letter, texts) { letter, array_size(texts), texts }
static const struct row rows[] = { ROW('P', p), ROW('C', c), ROW('X', x), ROW('N', n), ROW('H', h), ROW('G', g),
                                   ROW('S', s), ROW('R', r), ROW('A', a), ROW('M', m), ROW('V', v) };

const char *sim_virt_check_text(u32 check)
{
    const u32 number = check & 0xff;
    for (size_t i = 0; i < array_size(rows); i++)
        if ((u32)rows[i].letter == check >> 8 && number >= 1 && number <= rows[i].count)
            return rows[i].text[number - 1];
    return NULL;
}
