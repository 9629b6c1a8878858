/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercall stubs, generated from HYPERCALL_LIST: `enum status hv_name(arguments..., u64 *result...)`, all u64.
 * A stub is its register moves and one SYSCALL: arguments a hypercall does not have leave their registers alone. */
#pragma once
#include "abi/hypercall.h"
#include "abi/status.h"
#include "base.h"

#define HV_INLINE static inline __attribute__((always_inline))

/* Registers in the order of the convention in abi/hypercall.h. A restarted hypercall keeps its progress in the argument registers, so
 * all of them count as written. */
struct hv_registers {
    u64 argument[6];
    u64 result[2];
};

/* One turn of a spin. */
HV_INLINE void hv_relax(void)
{
    __asm__ volatile("pause");
}

/* Give a register variable its argument, or declare that any content will do. */
#define HV_LOAD(variable, index)                                                                                       \
    do {                                                                                                               \
        if (count > (index))                                                                                           \
            variable = r->argument[index];                                                                             \
        else                                                                                                           \
            __asm__("" : "=r"(variable));                                                                              \
    } while (0)

HV_INLINE enum status hv_syscall(u64 number, const u32 count, struct hv_registers *r)
{
    register u64 rdi __asm__("rdi") = number;
    register u64 rsi __asm__("rsi");
    register u64 rdx __asm__("rdx");
    register u64 r8 __asm__("r8");
    register u64 r9 __asm__("r9");
    register u64 r10 __asm__("r10");
    register u64 rax __asm__("rax");
    HV_LOAD(rsi, 0);
    HV_LOAD(rdx, 1);
    HV_LOAD(r8, 2);
    HV_LOAD(r9, 3);
    HV_LOAD(r10, 4);
    HV_LOAD(rax, 5);
    __asm__ volatile("syscall"
                     : "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(rax)
                     :
                     : "rcx", "r11", "memory", "cc");
    r->result[0] = rsi;
    r->result[1] = rdx;
    return (enum status)rax;
}

/* NONE if the row says none, else SOME: `none` probes to two tokens and shifts the list by one. */
#define HV_PROBE_none              ~, ~
#define HV_KIND(name)              HV_THIRD_(HV_PROBE_##name, NONE, SOME, ~)
#define HV_THIRD_(...)             HV_THIRD(__VA_ARGS__)
#define HV_THIRD(a, b, c, ...)     c
#define HV_JOIN(a, b)              HV_JOIN_(a, b)
#define HV_JOIN_(a, b)             a##b
#define HV_UNWRAP(...)             __VA_ARGS__
/* All but the first; void if there is nothing else. */
#define HV_TAIL(...)               HV_JOIN(HV_TAIL_, HV_TENTH(__VA_ARGS__, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, NONE, ~))(__VA_ARGS__)
#define HV_TENTH(a, b, c, d, e, f, g, h, i, n, ...) n
#define HV_TAIL_NONE(first)        void
#define HV_TAIL_SOME(first, ...)   __VA_ARGS__

#define HV_PARAMETER(index, name)  HV_JOIN(HV_PARAMETER_, HV_KIND(name))(name)
#define HV_PARAMETER_NONE(name)
#define HV_PARAMETER_SOME(name)    , u64 name
#define HV_OUT(index, name)        HV_JOIN(HV_OUT_, HV_KIND(name))(name)
#define HV_OUT_NONE(name)
#define HV_OUT_SOME(name)          , u64 *out_##name
#define HV_SET(index, name)        HV_JOIN(HV_SET_, HV_KIND(name))(index, name)
#define HV_SET_NONE(index, name)
#define HV_SET_SOME(index, name)   hv_r.argument[index] = name;
#define HV_GET(index, name)        HV_JOIN(HV_GET_, HV_KIND(name))(index, name)
#define HV_GET_NONE(index, name)
#define HV_GET_SOME(index, name)   *out_##name = hv_r.result[index];
#define HV_COUNT(index, name)      HV_JOIN(HV_COUNT_, HV_KIND(name))
#define HV_COUNT_NONE              +0
#define HV_COUNT_SOME              +1

#define HV_STUB(number, name, arguments, results, summary)                                                             \
    must_check HV_INLINE enum status hv_##name(                                                                        \
            HV_TAIL(~ HC_EACH(HV_PARAMETER, HV_UNWRAP arguments) HC_EACH(HV_OUT, HV_UNWRAP results)))                 \
    {                                                                                                                  \
        struct hv_registers hv_r;                                                                                      \
        HC_EACH(HV_SET, HV_UNWRAP arguments)                                                                           \
        const enum status hv_s = hv_syscall(number, HC_EACH(HV_COUNT, HV_UNWRAP arguments), &hv_r);                    \
        HC_EACH(HV_GET, HV_UNWRAP results)                                                                             \
        return hv_s;                                                                                                   \
    }
HYPERCALL_LIST(HV_STUB)
#undef HV_STUB

/* Name of a status, for messages. */
const char *hv_status_name(enum status status);
