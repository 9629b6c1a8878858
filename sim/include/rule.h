/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of the machine: what a kernel may not do, because the manuals call it undefined, reserved or a fault, or because a checker
 * of this machine knows it to be wrong. A broken rule ends the run (SIM_FINDING); its name is in the result and begins the message.
 *
 * Names are stable: rows are added, never renamed or reused. The text says what was done. SDM: Intel's manual by volume and section, APM: AMD's,
 * machine.h: docs/machine.md. MACHINE rows are not the kernel's fault. docs/machine.md holds the same table (docs/rules.py); every rule has a
 * test that breaks it (tests/sim/rule_test.h). */
#pragma once

#define RULE_LIST(X)                                                                                                      \
    X(MEM, FREE, "memory that is free was accessed", "machine.h: mach_mem_state")                                         \
    X(MEM, REDZONE, "a red zone, the slack behind an allocation, was accessed", "machine.h: mach_mem_state")              \
    X(MEM, BOUNDS, "an address is neither RAM nor this CPU's stack", "machine.h: memory")                                 \
    X(MEM, OVERLAP, "mach_copy of ranges that overlap", "machine.h: mach_copy")                                           \
    X(RACE, PLAIN, "two CPUs access the same bytes, one writes, and nothing orders them", "machine.h: atomic.h")          \
    X(SPIN, FOREVER, "a loop turns without a write by anybody", "machine.h: mach_relax")                                  \
    X(SEAM, ONCE, "mach_kern_set or mach_cpu_set called again", "machine.h: word store")                                  \
    X(TAB, PLAIN, "a plain store to a page table: walkers read it at any time", "SDM 3A 4.8, 8.1.1")                      \
    X(TAB, RAM, "a page walk reads a table outside RAM", "SDM 3A 4.5")                                                    \
    X(TAB, ABSENT, "an absent entry names RAM: speculation reads it (L1TF)", "SDM 3A 4.5; machine.h: translations")       \
    X(TLB, FREED, "a page is free and a CPU may still translate to it", "SDM 3A 4.10.4.2, 3C 29.4.3; APM 2 15.16")        \
    X(TLB, TABLE, "a table is free and a CPU may still walk through it", "SDM 3A 4.10.4.2, 3C 29.4.3; APM 2 15.16")       \
    X(TLB, ROOT, "a top-level table is free and a CPU has it loaded", "SDM 3A 4.5")                                       \
    X(TLB, TAG, "a tag (PCID, VPID, EPTP, ASID) is used again with stale translations", "SDM 3A 4.10.1; APM 2 15.16")     \
    X(TLB, RIGHT, "a right was taken and a CPU may still use it", "SDM 3A 4.10.4.2, 3C 29.4.3.4; APM 2 15.16")            \
    X(CR, CR0, "CR0: #GP, or long mode is left", "SDM 3A 2.5")                                                            \
    X(CR, CR3, "CR3: reserved bits, or no RAM", "SDM 3A 4.5")                                                             \
    X(CR, ROOT, "CR3 names a page that is not live", "SDM 3A 4.5")                                                        \
    X(CR, CR4, "CR4: #GP", "SDM 3A 2.5")                                                                                  \
    X(CR, VMX, "CR0 or CR4: a bit that VMX operation fixes", "SDM 3C 24.8")                                               \
    X(CR, PROTECT, "user mode without a protection this processor has: SMEP, SMAP, UMIP, WP, NX", "SDM 3A 2.5, 4.6")      \
    X(CR, DR, "debug register that does not exist, or reserved bits", "SDM 3B 17.2")                                      \
    X(CR, XCR, "XGETBV or XSETBV with CR4.OSXSAVE clear: #UD", "SDM 1 13.3")                                              \
    X(MSR, READ, "RDMSR: #GP", "SDM 4, APM 2 appendix A")                                                                 \
    X(MSR, WRITE, "WRMSR: #GP", "SDM 4, APM 2 appendix A")                                                                \
    X(FPU, NM, "FPU state moved with CR0.TS or CR0.EM set: #NM", "SDM 1 13.7")                                            \
    X(FPU, ALIGN, "FPU image not aligned: #GP", "SDM 1 13.4")                                                             \
    X(PORT, WIDTH, "port access that is not 1, 2 or 4 bytes", "SDM 1 19.3")                                               \
    X(DEV, ALIGN, "device register not aligned to 4 bytes", "SDM 3A 10.4.1")                                              \
    X(DEV, RAM, "RAM accessed as a device", "machine.h: mach_dev_read32")                                                 \
    X(DEV, NONE, "no device is there", "machine.h: mach_dev_read32")                                                      \
    X(APIC, MODE, "the APIC's page accessed in x2APIC mode, or while disabled", "SDM 3A 10.12.2")                         \
    X(APIC, REGISTER, "APIC register that does not exist", "SDM 3A 10.4.1")                                               \
    X(APIC, READONLY, "APIC register that is read-only written", "SDM 3A 10.4.1")                                         \
    X(APIC, VECTOR, "interrupt vector below 16", "SDM 3A 10.5.2")                                                         \
    X(APIC, EOI, "EOI with nothing in service: a spurious vector is not ended", "SDM 3A 10.9")                            \
    X(IPI, PENDING, "xAPIC interrupt command while one is pending: it may be lost", "SDM 3A 10.6.1")                      \
    X(IPI, MODE, "interrupt command with a reserved delivery mode", "SDM 3A 10.6.1")                                      \
    X(IPI, SELF, "INIT to the CPU itself", "SDM 3A 10.6.1")                                                               \
    X(IPI, OFF, "interrupt command while the APIC is disabled by software", "SDM 3A 10.4.7.2")                            \
    X(IPI, START, "start-up IPI to where no start-up code is", "machine.h: mach_ap_vector")                               \
    X(RESUME, RAM, "resume structure outside RAM", "machine.h: up-calls")                                                 \
    X(RESUME, KIND, "resume kind that does not exist", "machine.h: up-calls")                                             \
    X(RESUME, RIP, "user mode resumed above USER_END: SYSRET there faults in the kernel", "SDM 2B SYSRET")                \
    X(RESUME, NMI, "no window after an exit that took an NMI: NMIs stay blocked", "SDM 3C 28.5.5")                        \
    X(RESUME, HELD, "a register written that the machine holds until something else is resumed", "machine.h: TRAP_SYSCALL") \
    X(RESUME, CPU, "kern_boot returned before mach_cpu_set", "machine.h: up-calls")                                       \
    X(LEAK, REGISTER, "a register of user or guest holds a kernel address or bytes nobody wrote", "machine.h: up-calls")  \
    X(LEAK, PAGE, "a page of the kernel that user level sees holds a kernel address or bytes nobody wrote", "machine.h: up-calls")\
    X(FETCH, TWICE, "a word that user level may write was read twice in one trap", "machine.h: up-calls")                 \
    X(VIRT, MISSING, "VMX or SVM used on a machine without it: #UD", "SDM 3C 24.6; APM 2 15.4")                           \
    X(VIRT, CR8, "a guest's MOV to CR8 reaches the host's APIC", "SDM 3C 26.1.3; APM 2 15.21.2")                          \
    X(VMX, ON, "VMXON where it is #UD or #GP: CR4.VMXE, feature control, fixed bits", "SDM 3C 24.7, 24.8")                \
    X(VMX, OFF, "VMX instruction or VM entry outside VMX operation: #UD", "SDM 3C 31.3")                                  \
    X(VMX, REGION, "one VMXON region for two CPUs, or as a VMCS too", "SDM 3C 25.11.5")                                   \
    X(VMX, NONE, "VMREAD, VMWRITE or VM entry without a current VMCS", "SDM 3C 31.2")                                     \
    X(VMX, FIELD, "VMCS field that this processor lacks", "SDM 3C 31.4")                                                  \
    X(VMX, READONLY, "VMWRITE of a read-only field", "SDM 3C 31.4")                                                       \
    X(VMX, CLEAR, "VMPTRLD before any VMCLEAR: the launch state is undefined", "SDM 3C 25.11.3")                          \
    X(VMX, ACTIVE, "VMCS loaded or cleared while active on another CPU", "SDM 3C 25.11.1")                                \
    X(VMX, LAUNCH, "VMLAUNCH of a launched VMCS, or VMRESUME of a clear one", "SDM 3C 25.1, 31.4")                        \
    X(VMX, STORE, "software wrote to an active VMCS or a VMXON region in use", "SDM 3C 25.11.1, 25.11.5")                 \
    X(VMX, FREED, "VMX instruction or VM entry that uses free memory", "SDM 3C 25.11.4")                                  \
    X(VMX, OWNED, "freed: active VMCS, VMXON region, what a running guest's VMCS names", "SDM 3C 25.11.1, 25.11.4")       \
    X(VMX, HOST, "host state of the VMCS is not the exit stub of this CPU", "SDM 3C 28.5; machine.h: mach_vmx_host")      \
    X(VMX, ABORT, "VMX abort: an MSR area of the exit is refused", "SDM 3C 28.4, 28.6, 28.7")                             \
    X(VMX, INTR, "an interrupt or NMI of the host would be the guest's: exiting is off", "SDM 3C 26.2")                   \
    X(SVM, OFF, "SVM instruction with EFER.SVME clear: #UD", "APM 2 15.4")                                                \
    X(SVM, VMCB, "VMRUN of an address that is no page of RAM: #GP", "APM 3 VMRUN")                                        \
    X(SVM, HSAVE, "VMRUN without a host save area of this CPU's own", "APM 2 15.30.4")                                    \
    X(SVM, ASID, "VMRUN with an ASID the processor lacks", "APM 2 15.16")                                                 \
    X(SVM, CLEAN, "VMCB clean bit set for a field that changed", "APM 2 15.15")                                           \
    X(SVM, TWICE, "one VMCB run by two CPUs at once", "APM 2 15.5")                                                       \
    X(SVM, STORE, "software wrote to a VMCB whose guest runs, or to a host save area", "APM 2 15.5, 15.30.4")             \
    X(SVM, FREED, "VMRUN that uses free memory", "APM 2 15.5")                                                            \
    X(SVM, OWNED, "freed: host save area, VMCB or permission map of a running guest", "APM 2 15.5, 15.30.4")              \
    X(SVM, INTR, "an interrupt or NMI of the host would be the guest's: no intercept", "APM 2 15.13")                     \
    X(SVM, SHUTDOWN, "a guest's shutdown resets the machine: no intercept", "APM 2 15.14.3")                              \
    X(MACHINE, MODEL, "legal on hardware, not modelled", "machine.h: not modelled")                                       \
    X(MACHINE, ENGINE, "an engine reported what cannot be", "engine.h")                                                   \
    X(CHOICE, BOUND, "an answerer gave more than the question's bound", "choice.h")                                       \
    X(MACHINE, WALK, "a table word changed too often under one walk", "machine.h: translations")

enum sim_rule {
    RULE_NONE,
#define RULE_ENUM(area, name, text, source) RULE_##area##_##name,
    RULE_LIST(RULE_ENUM)
#undef RULE_ENUM
    RULE_COUNT,
};

/* Its name: MEM-FREE for RULE_MEM_FREE; NULL for RULE_NONE. */
const char *sim_rule_name(enum sim_rule rule);
