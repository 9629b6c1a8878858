/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stop of a guest's core means: an event for the VMX or SVM model, or something that only the guest sees: its own exceptions, INT n,
 * SYSCALL, an INVLPG that is not intercepted. Those become core.event or change the core, and the run goes on. */
#include "guest.h"
#include "abi/vcpu.h"

#define CR0_PE      0x1u
#define CR4_OSXSAVE 0x40000u
#define EFER_SCE    0x1u
#define EFER_LMA    0x400u
#define RFLAGS_RF   0x10000ul
#define VECTOR_DB   1u
#define VECTOR_UD   6u
#define VECTOR_DF   8u
#define VECTOR_GP   13u
#define VECTOR_PF   14u

static bool has_error(u32 vector)
{
    return vector == VECTOR_DF || (vector >= 10 && vector <= 14) || vector == 17;
}

static bool report(struct guest_run *r, enum engine_event_kind kind, const struct guest_insn *i)
{
    r->out->kind = kind;
    r->out->insn_len = i ? i->length : 0;
    return true;
}

/* What an SVM processor may tell of the instruction that made a data fault (AMD APM 2 15.8.4). */
static void fetched(struct guest_run *r)
{
    if (r->nested.format == SIM_NPT && r->fault_access != RIGHT_X && !r->core->stop.delivering)
        r->out->fetched_bytes = (u8)guest_fetch(r, r->out->fetched);
}

/* To be delivered when the run goes on. */
static bool raise(struct guest_run *r, u32 vector, u32 error, u64 address)
{
    struct core *c = r->core;
    if (r->g->exceptions >> vector & 1) {
        r->out->vector = vector;
        r->out->error = error;
        r->out->error_valid = has_error(vector);
        r->out->address = address;
        r->out->info = vector == VECTOR_DB ? c->exception->dr[6] & 0xe00f : 0;
        if (vector == VECTOR_PF)
            fetched(r);
        return report(r, EVENT_EXCEPTION, NULL);
    }
    if (vector == VECTOR_PF)
        c->env->cr[2] = address;
    c->event = VCPU_EVENT_EXCEPTION(vector) | (has_error(vector) ? VCPU_EVENT_ERROR | (u64)error << 32 : 0);
    c->event_bytes = 0;
    return false;
}

/* Intel SDM 3A table 6-5: which second exceptions make a double fault. */
static bool doubles(u32 first, u32 second)
{
    const u32 contributory = 1u | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13;
    const bool second_is = contributory >> second & 1;
    return (contributory >> first & 1 && second_is) || (first == VECTOR_PF && (second_is || second == VECTOR_PF));
}

/* The error code of a fault in the gate of an event: the library takes 16 bytes per gate for the index in long mode, and leaves EXT out
 * (Intel SDM 3A 6.13). */
static u32 gate_error(const struct guest_run *r, const struct core_stop *s)
{
    const u32 vector = (u32)r->core->event & 0xff, type = r->core->event >> 8 & 7;
    const u32 wrong = r->core->env->efer & EFER_LMA ? vector * 16 + 2 : vector * 8 + 2;
    if (s->vector < 10 || s->vector > 13)
        return s->error;
    return (s->error == wrong ? vector * 8 + 2 : s->error) | (type == 4 || type == 6 ? 0 : 1);
}

/* An exception while core.event was delivered. */
static bool raise_nested(struct guest_run *r, struct core_stop *s)
{
    const u64 first = r->core->event;
    const bool exception = (first >> 8 & 7) == 3;
    s->error = gate_error(r, s);
    if (r->g->exceptions >> s->vector & 1)
        return raise(r, s->vector, s->error, s->address);   /* exits with the first event undelivered */
    if (exception && (first & 0xff) == VECTOR_DF)
        return report(r, EVENT_TRIPLE_FAULT, NULL);
    if (exception && doubles((u32)first & 0xff, s->vector))
        return raise(r, VECTOR_DF, 0, 0);
    return raise(r, s->vector, s->error, s->address);
}

static bool undefined(struct guest_run *r)
{
    const struct sim_guest *g = r->g;
    const bool intel = r->nested.format == SIM_EPT;
    struct guest_insn i;
    guest_decode(r, &i);
    r->out->info = i.opcode;
    switch (i.opcode) {
    case 0x0f01c1:
    case 0x0f01d9:
        r->out->info = i.opcode == 0x0f01d9;
        return report(r, EVENT_HYPERCALL, &i);
    case 0x0f01d0:
    case 0x0f01d1:
        if (!(g->cr4 & CR4_OSXSAVE))
            break;
        if (i.opcode == 0x0f01d1)
            return report(r, EVENT_XSETBV, &i);
        r->core->env->gpr[RAX] = (u32)g->xcr0;   /* XGETBV of XCR0 */
        r->core->env->gpr[RDX] = g->xcr0 >> 32;
        r->core->env->rip += i.length;
        return false;
    case 0xf1:   /* INT1: a trap */
        if (g->exceptions >> VECTOR_DB & 1) {
            r->out->info = 0;
            r->out->vector = VECTOR_DB;
            return report(r, EVENT_EXCEPTION, &i);
        }
        r->core->env->rip += i.length;
        r->core->event = VCPU_EVENT_VALID | 0x500 | VECTOR_DB;
        r->core->event_bytes = 0;
        return false;
    case 0x0f01c2: case 0x0f01c3: case 0x0f01c4: case 0x0f78: case 0x0f79: case 0x0f3880: case 0x0f3881:
        if (intel && g->cr0 & CR0_PE)
            return report(r, EVENT_OTHER_INSN, &i);
        break;
    case 0x0f01d8: case 0x0f01da: case 0x0f01db: case 0x0f01dc: case 0x0f01dd: case 0x0f01de: case 0x0f01df:
        if (!intel)
            return report(r, EVENT_OTHER_INSN, &i);
        break;
    default:
        break;
    }
    r->out->info = 0;
    return raise(r, VECTOR_UD, 0, 0);
}

static bool software(struct guest_run *r, const struct core_stop *s)
{
    const bool trap = s->bytes == 1 && s->vector < 32;   /* INT3, INTO */
    if (trap && r->g->exceptions >> s->vector & 1) {
        r->out->vector = s->vector;
        r->out->insn_len = s->bytes;
        r->out->kind = EVENT_EXCEPTION;
        return true;
    }
    r->core->event = VCPU_EVENT_VALID | (trap ? 0x600 : 0x400) | s->vector;
    r->core->event_bytes = s->bytes;
    return false;
}

/* Intel SDM 1, 19.5: ports above the I/O privilege level need a clear bit per byte in the map of the TSS. */
static bool port_allowed(struct guest_run *r, u32 port, u32 bytes)
{
    const struct lib_env *env = r->core->env;
    u16 map, bits;
    if (!(env->cr[0] & CR0_PE) || ((env->hflags & LIB_CPL) <= (env->rflags >> 12 & 3) && !(env->rflags & 0x20000)))
        return true;
    if (env->tr.limit < 103 || !guest_read(r, env->tr.base + 102, &map, 2, RIGHT_R, CORE_SUPERVISOR))
        return false;
    if (map + port / 8 + 1 > env->tr.limit || !guest_read(r, env->tr.base + map + port / 8, &bits, 2, RIGHT_R, CORE_SUPERVISOR))
        return false;
    return !(bits >> (port & 7) & ((1u << bytes) - 1));
}

static bool port(struct guest_run *r, const struct core_stop *s)
{
    struct guest_insn i;
    if (!port_allowed(r, s->port, s->bytes))
        return raise(r, VECTOR_GP, 0, 0);
    guest_decode(r, &i);
    r->out->io.port = s->port;
    r->out->io.size = (u8)s->bytes;
    r->out->io.in = s->in;
    r->out->io.string = i.opcode >= 0x6c && i.opcode <= 0x6f;
    r->out->io.rep = i.repeat && r->out->io.string;
    r->out->io.address_size = i.address_size;
    r->out->io.seg = s->in ? (u8)VCPU_SEG_ES : i.segment;
    return report(r, EVENT_IO, &i);
}

static bool control(struct guest_run *r, u32 code)
{
    struct guest_insn i;
    guest_decode(r, &i);
    if (i.opcode == 0x0f06)
        return report(r, EVENT_CLTS, &i);
    if ((i.opcode & 0xffff00) == 0x0f0100 || i.opcode == 0x0f01) {   /* SMSW reads CR0; LMSW stops again with its operand */
        r->core->pass = code + 1;
        return false;
    }
    r->out->cr.number = (i.modrm >> 3 & 7) | (i.rex & 4 ? 8 : 0) | (i.lock ? 8 : 0);
    r->out->cr.gpr = (i.modrm & 7) | (i.rex & 1 ? 8 : 0);
    r->out->cr.write = i.opcode == 0x0f22 || i.opcode == 0x0f23;
    return report(r, code < INTERCEPT_DR_READ ? EVENT_MOV_CR : EVENT_MOV_DR, &i);
}

static bool intercept(struct guest_run *r, u32 code)
{
    struct guest_insn i;
    if (code < INTERCEPT_EXCEPTION)
        return control(r, code);
    guest_decode(r, &i);
    switch (code) {
    case INTERCEPT_CPUID:
        return report(r, EVENT_CPUID, &i);
    case INTERCEPT_HLT:
        return report(r, EVENT_HLT, &i);
    case INTERCEPT_MSR:
        return report(r, i.opcode == 0x0f30 ? EVENT_WRMSR : EVENT_RDMSR, &i);
    case INTERCEPT_RDTSC:
        return report(r, EVENT_RDTSC, &i);
    case INTERCEPT_INVD:
    case INTERCEPT_WBINVD:
        if (i.opcode == 0x0f09)
            return report(r, EVENT_WBINVD, &i);
        break;
    default:
        break;
    }
    r->out->info = i.opcode;
    return report(r, EVENT_OTHER_INSN, &i);
}

/* SYSCALL (Intel SDM 2B, AMD APM 3): on VMX in 64-bit mode only. */
static bool system_call(struct guest_run *r, const struct core_stop *s)
{
    struct core *c = r->core;
    struct lib_env *env = c->env;
    const bool wide = guest_code64(c), lma = env->efer & EFER_LMA;
    if (!(env->efer & EFER_SCE) || (!wide && r->nested.format == SIM_EPT) || !(env->cr[0] & CR0_PE))
        return raise(r, VECTOR_UD, 0, 0);
    const u32 selector = (u32)(c->msrs->star >> 32) & 0xfffc;
    env->gpr[RCX] = lma ? env->rip + s->bytes : (u32)(env->rip + s->bytes);
    if (lma) {
        env->gpr[R11] = env->rflags & ~RFLAGS_RF;
        env->rip = wide ? c->msrs->lstar : c->msrs->cstar;
        env->rflags = (env->rflags & ~c->msrs->fmask & ~RFLAGS_RF) | 2;
    } else {
        env->rip = (u32)c->msrs->star;
        env->rflags &= ~0x20200ul;
    }
    env->seg[VCPU_SEG_CS] = (struct lib_segment){.selector = selector, .limit = ~0u, .flags = lma ? 0xaf9b00 : 0xcf9b00};
    env->seg[VCPU_SEG_SS] = (struct lib_segment){.selector = selector + 8, .limit = ~0u, .flags = 0xcf9300};
    guest_hflags(c);
    return false;
}

static bool nested_fault(struct guest_run *r)
{
    r->out->gpa = r->fault_gpa;
    r->out->gva = r->fault_linear;
    r->out->gva_valid = true;
    r->out->access = r->fault_access;
    r->out->info = r->fault_table;
    fetched(r);
    return report(r, EVENT_NESTED_FAULT, NULL);
}

static bool invlpg(struct guest_run *r, u64 address)
{
    struct guest_insn i;
    guest_decode(r, &i);
    r->out->address = address;
    if (r->g->intercept_invlpg || !i.length)
        return report(r, EVENT_INVLPG, &i);
    core_flush_page(r->core, address);
    r->core->env->rip += i.length;
    r->core->env->hflags &= ~LIB_SHADOW;
    return false;
}

static bool lmsw(struct guest_run *r, u64 value)
{
    struct guest_insn i;
    guest_decode(r, &i);
    r->out->info = value & 0xffff;
    return report(r, EVENT_LMSW, &i);
}

bool guest_describe(struct guest_run *r)
{
    struct core_stop stop = r->core->stop, *const s = &stop;
    switch (s->kind) {
    case STOP_SLICE:
        return report(r, EVENT_SLICE, NULL);
    case STOP_WINDOW:
        return report(r, EVENT_INTR_WINDOW, NULL);
    case STOP_CLIENT:
        return nested_fault(r);
    case STOP_EXCEPTION:
        if (s->delivering)
            return raise_nested(r, s);
        return s->vector == VECTOR_UD ? undefined(r) : raise(r, s->vector, s->error, s->address);
    case STOP_INT:
        return software(r, s);
    case STOP_IO:
        return port(r, s);
    case STOP_SYSCALL:
        return system_call(r, s);
    case STOP_INVLPG:
        return invlpg(r, s->address);
    case STOP_LMSW:
        return lmsw(r, s->address);
    default:
        return intercept(r, s->code);
    }
}
