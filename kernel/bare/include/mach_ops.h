/* SPDX-License-Identifier: BSD-2-Clause */
/* The seam on hardware: each function is its instruction. What is longer than a few stands in kernel/bare/ as an ordinary function.
 * "memory" stands where the instruction orders or changes memory behind the compiler's back. */
#pragma once
#include "layout.h"

/* ---- Memory ---- */

MACH_INLINE void *mach_phys_to_virt(u64 phys)
{
    return (void *)(phys + DIRECT_OFFSET);
}

MACH_INLINE u64 mach_virt_to_phys(const void *virt)
{
    return (u64)virt - DIRECT_OFFSET;
}

MACH_INLINE u64 mach_direct_end(void)
{
    return DIRECT_BYTES;
}

MACH_INLINE void mach_copy(void *to, const void *from, size_t bytes)
{
    size_t words = bytes / 8, rest = bytes % 8;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    if (rest)
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
}

MACH_INLINE void mach_zero(void *to, size_t bytes)
{
    size_t words = bytes / 8, rest = bytes % 8;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(0ul) : "memory");
    if (rest)
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(0ul) : "memory");
}

MACH_INLINE void mach_mem_state(const void *start, size_t bytes, enum mem_state state)
{
    (void)start, (void)bytes, (void)state;
}

MACH_INLINE bool mach_fault(enum mach_fault kind)
{
    (void)kind;
    return false;
}

/* ---- CPU ---- */

MACH_INLINE void mach_cpu_set(void *cpu)
{
    __asm__ volatile("mov %0, %%gs:%c1" : : "r"(cpu), "i"(BARE_CPU) : "memory");
}

MACH_INLINE struct mach_cpuid mach_cpuid(u32 leaf, u32 subleaf)
{
    struct mach_cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

#define BARE_REGISTER_READ(name)                                                                                       \
    MACH_INLINE u64 mach_##name##_read(void)                                                                           \
    {                                                                                                                  \
        u64 value;                                                                                                     \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                                         \
        return value;                                                                                                  \
    }
#define BARE_REGISTER_WRITE(name)                                                                                      \
    MACH_INLINE void mach_##name##_write(u64 value)                                                                    \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                                                \
    }
BARE_REGISTER_READ(cr0)
BARE_REGISTER_WRITE(cr0)
BARE_REGISTER_READ(cr2)
BARE_REGISTER_WRITE(cr2)
BARE_REGISTER_READ(cr3)
BARE_REGISTER_WRITE(cr3)
BARE_REGISTER_READ(cr4)
BARE_REGISTER_WRITE(cr4)
BARE_REGISTER_READ(cr8)
#undef BARE_REGISTER_READ
#undef BARE_REGISTER_WRITE

MACH_INLINE u64 mach_msr_read(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (u64)high << 32 | low;
}

MACH_INLINE void mach_msr_write(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* An instruction that may raise #GP: the handler looks its address up in .fixup and goes on behind it, with `done` still 0. */
#define BARE_TRY(instruction) "1: " instruction "\n mov $1, %[done]\n2:\n .pushsection .fixup, \"a\"\n .quad 1b, 2b\n .popsection\n"

MACH_INLINE bool mach_msr_read_try(u32 msr, u64 *value)
{
    u32 done = 0, low = 0, high = 0;
    __asm__ volatile(BARE_TRY("rdmsr") : [done] "+r"(done), "+a"(low), "+d"(high) : "c"(msr) : "memory");
    if (done)
        *value = (u64)high << 32 | low;
    return done;
}

MACH_INLINE bool mach_msr_write_try(u32 msr, u64 value)
{
    u32 done = 0;
    __asm__ volatile(BARE_TRY("wrmsr") : [done] "+r"(done) : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
    return done;
}

MACH_INLINE bool mach_xsetbv_try(u64 xcr0)
{
    u32 done = 0;
    __asm__ volatile(BARE_TRY("xsetbv") : [done] "+r"(done) : "c"(0), "a"((u32)xcr0), "d"((u32)(xcr0 >> 32)) : "memory");
    return done;
}

MACH_INLINE u64 mach_xgetbv(void)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (u64)high << 32 | low;
}

MACH_INLINE void mach_fpu_save(void *image, u64 mask)
{
    if (mach_cr4_read() & BARE_CR4_OSXSAVE)
        __asm__ volatile("xsave64 (%0)" : : "r"(image), "a"((u32)mask), "d"((u32)(mask >> 32)) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

MACH_INLINE bool mach_fpu_load_try(const void *image, u64 mask)
{
    u32 done = 0;
    if (mach_cr4_read() & BARE_CR4_OSXSAVE)
        __asm__ volatile(BARE_TRY("xrstor64 (%1)") : [done] "+&r"(done) : "r"(image), "a"((u32)mask), "d"((u32)(mask >> 32)) : "memory");
    else
        __asm__ volatile(BARE_TRY("fxrstor64 (%1)") : [done] "+&r"(done) : "r"(image) : "memory");
    return done;
}
#undef BARE_TRY

MACH_INLINE u64 mach_tsc_read(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

MACH_INLINE void mach_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

/* The form with a memory operand is the one that clears (Intel, "Microarchitectural data sampling"). */
MACH_INLINE void mach_buffers_clear(void)
{
    const u16 selector = BARE_KERNEL_DATA;
    __asm__ volatile("verw %0" : : "m"(selector) : "cc");
}

/* ---- Translations ---- */

MACH_INLINE void mach_invlpg(u64 address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

struct bare_invalidate {
    u64 first, second;
};

MACH_INLINE bool mach_invept(u64 type, u64 eptp)
{
    const struct bare_invalidate descriptor = {eptp, 0};
    bool success;
    __asm__ volatile("invept %1, %2; seta %0" : "=r"(success) : "m"(descriptor), "r"(type) : "cc", "memory");
    return success;
}

MACH_INLINE bool mach_invvpid(u64 type, u32 vpid, u64 address)
{
    const struct bare_invalidate descriptor = {vpid, address};
    bool success;
    __asm__ volatile("invvpid %1, %2; seta %0" : "=r"(success) : "m"(descriptor), "r"(type) : "cc", "memory");
    return success;
}

MACH_INLINE void mach_invlpga(u64 address, u32 asid)
{
    __asm__ volatile("invlpga %0, %1" : : "a"(address), "c"(asid) : "memory");
}

/* ---- Devices ---- */

MACH_INLINE u32 mach_dev_read32(u64 phys)
{
    return *(const volatile u32 *)mach_phys_to_virt(phys);
}

MACH_INLINE void mach_dev_write32(u64 phys, u32 value)
{
    __asm__ volatile("movl %1, %0" : "=m"(*(volatile u32 *)mach_phys_to_virt(phys)) : "ri"(value) : "memory");
}

MACH_INLINE void mach_fence(void)
{
    __asm__ volatile("mfence; lfence" : : : "memory");
}

MACH_INLINE u32 mach_port_in(u16 port, u32 bytes)
{
    u32 value = 0;
    if (bytes == 1)
        __asm__ volatile("inb %w1, %b0" : "+a"(value) : "Nd"(port) : "memory");
    else if (bytes == 2)
        __asm__ volatile("inw %w1, %w0" : "+a"(value) : "Nd"(port) : "memory");
    else
        __asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

MACH_INLINE void mach_port_out(u16 port, u32 bytes, u32 value)
{
    if (bytes == 1)
        __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port) : "memory");
    else if (bytes == 2)
        __asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port) : "memory");
    else
        __asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

/* ---- VMX: CF = ZF = 0 is VMsucceed (Intel SDM 3C 31.2) ---- */

#define BARE_VMX(name)                                                                                                 \
    MACH_INLINE bool mach_##name(u64 phys)                                                                             \
    {                                                                                                                  \
        bool success;                                                                                                  \
        __asm__ volatile(#name " %1; seta %0" : "=r"(success) : "m"(phys) : "cc", "memory");                           \
        return success;                                                                                                \
    }
BARE_VMX(vmxon)
BARE_VMX(vmclear)
BARE_VMX(vmptrld)
#undef BARE_VMX

MACH_INLINE u64 mach_vmread(u32 field)
{
    u64 value;
    __asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((u64)field) : "cc", "memory");
    return value;
}

MACH_INLINE void mach_vmwrite(u32 field, u64 value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"((u64)field), "rm"(value) : "cc", "memory");
}
