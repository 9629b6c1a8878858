/* SPDX-License-Identifier: BSD-2-Clause */
/* Making, running and ending a machine. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86.h"
#include "exposed.h"
#include "firmware.h"
#include "memory.h"
#include "race.h"
#include "snapshot.h"
#include "start.h"
#include "translations.h"
#include "virt_model.h"

#define RAM_MIN (16ul << 20)
#define RAM_MAX (64ul << 30)

static bool sim_config_legal(const struct sim_config *c)
{
    return c->cpus >= 1 && c->cpus <= SIM_CPUS_MAX && c->ram_bytes >= RAM_MIN && c->ram_bytes <= RAM_MAX && !(c->ram_bytes & 0xfffff) &&
           c->vendor <= SIM_SVM && (!c->bundle_bytes || c->bundle) && c->bundle_bytes <= min(c->ram_bytes, SIM_HOLE_START) / 2 &&
           (!c->line || strlen(c->line) < SIM_LINE);
}

static void sim_profile(struct sim *s)
{
    const enum sim_vendor v = s->config.vendor;
    s->profile = (struct sim_profile){
        .xsave = v != SIM_NONE, .x2apic = s->config.x2apic, .tsc_deadline = v != SIM_SVM, .nx = true, .page_1g = true,
        .smep = v != SIM_NONE, .smap = v == SIM_SVM, .umip = v == SIM_SVM,   /* vmx_haswell has neither */
    };
    s->virt = v == SIM_VMX ? &sim_vmx : v == SIM_SVM ? &sim_svm : NULL;
}

static bool sim_cpus_create(struct sim *s)
{
    s->memo = calloc(s->cpu_count * SIM_MEMOS, sizeof(*s->memo));
    s->cpu = s->memo ? aligned_alloc(64, s->cpu_count * sizeof(*s->cpu)) : NULL;
    if (!s->cpu)
        return false;
    memset(s->cpu, 0, s->cpu_count * sizeof(*s->cpu));
    for (u32 i = 0; i < s->cpu_count; i++) {
        struct sim_cpu *cpu = &s->cpu[i];
        cpu->sim = s;
        cpu->id = i;
        cpu->apic_id = 2 * i;   /* as with hyper-threading off: nobody may take it for the number of the CPU */
        start_registers(cpu);
        if (s->virt && !s->virt->cpu_create(cpu))
            return false;
    }
    return true;
}

struct sim *sim_create(const struct sim_config *config)
{
    if (!sim_config_legal(config)) {
        errno = EINVAL;
        return NULL;
    }
    struct sim *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    struct sim *const before = sim_here;
    s->config = *config;
    s->cpu_count = config->cpus;
    s->ram_bytes = config->ram_bytes + (config->ram_bytes > SIM_HOLE_START ? SIM_HOLE_END - SIM_HOLE_START : 0);
    s->timer_next = ~0ul;
    s->result.message = s->message;
    s->result.event_hash = FNV_BASIS;
    s->upcall = (struct sim_upcall){ kern_boot, kern_trap, kern_nmi };
    sim_profile(s);
    sim_here = s;
    const bool made = memory_create(s) && exposed_create(s) && (!config->chooser || translations_record(s, true)) && firmware_create(s) && sim_cpus_create(s);
    sim_here = before;
    if (!made) {
        sim_destroy(s);
        errno = ENOMEM;
        return NULL;
    }
    s->current = &s->cpu[0];
    return s;
}

enum sim_end sim_run(struct sim *s, u64 max_steps)
{
    if (s->ended)
        return s->result.end;
    struct sim *const before = sim_here;
    sim_here = s;
    s->in_run = true;
    s->quiet = !s->world && !s->unit && !s->config.chooser;
    s->stopped = false;
    s->steps_end = s->result.steps + max_steps < max_steps ? ~0ul : s->result.steps + max_steps;
    if (!s->booted) {
        s->booted = true;
        start_boot(s->current);
    }
    s->main = (struct fiber){ 0 };
    fiber_switch(&s->main, &s->current->fiber);
    s->in_run = s->quiet = false;
    sim_here = before;
    return s->result.end;
}

void sim_end(struct sim *s, enum sim_end end, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->message, sizeof(s->message), format, args);
    va_end(args);
    s->result.end = end;
    s->result.rule = sim_rule_name(s->broken);
    s->broken = RULE_NONE;
    if (s->unit || !s->in_run)
        unit_end(s);
    s->ended = true;
    fiber_leave(&s->current->fiber, &s->main);
}

const struct sim_result *sim_result(const struct sim *s)
{
    return &s->result;
}

void sim_stop(struct sim *s)
{
    s->stopped = true;
    s->steps_end = 0;
}

void sim_destroy(struct sim *s)
{
    for (u32 i = 0; s->cpu && i < s->cpu_count; i++)
        if (s->virt && s->cpu[i].virt)
            s->virt->cpu_destroy(&s->cpu[i]);
    free(s->cpu);
    free(s->memo);
    snapshot_destroy(s);
    translations_destroy(s);
    exposed_destroy(s);
    memory_destroy(s);
    race_destroy(s);
    if (sim_here == s)
        sim_here = NULL;
    free(s);
}
