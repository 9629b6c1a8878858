/* SPDX-License-Identifier: BSD-2-Clause */
/* Execution contexts: creation, the end of a wait, death, release. Home CPU only, but for ec_wake.
 * Release: out of every queue and link (ec_kill), then not before a wake-up that another CPU has already sent has arrived; the UTCB is taken
 * back from whoever has it mapped; its frames are freed after the TLB generation. */
#include "ec.h"
#include "cpu.h"
#include "fpu.h"
#include "pd.h"
#include "sm.h"
#include "vcpu.h"

static void ec_free(struct cpu *cpu, struct ec *ec)
{
    struct kern *const k = kern();
    struct pd *const pd = ec->pd;
    if (ec->fpu) {
        fpu_forget(cpu, ec->fpu);
        mem_free(k->mem, &pd->quota, ec->fpu, fpu_image_bytes());
    }
    if (ec->utcb)
        mem_free(k->mem, &pd->quota, ec->utcb, sizeof(struct utcb));
    pd_release(cpu, &ec->object, sizeof(*ec));
    pd_drop(cpu, pd);
}

static enum status ec_fill(struct ec *ec, const struct ec_config *config)
{
    void *p;
    enum status s = pd_alloc(ec->pd, sizeof(struct utcb), &p);
    if (s != OK)
        return s;
    ec->utcb = p;
    if (config->flags & EC_FPU) {
        s = pd_alloc(ec->pd, fpu_image_bytes(), &ec->fpu);
        if (s != OK)
            return s;
        fpu_image_init(ec->fpu);
    }
    return space_mem_insert(&ec->pd->memory, ec->utcb_page, mach_virt_to_phys(ec->utcb) >> PAGE_BITS, UTCB_PAGES, RIGHT_R | RIGHT_W);
}

seldom enum status ec_create(struct cpu *cpu, struct pd *pd, const struct ec_config *config, struct ec **out)
{
    void *p;
    enum status s = pd_alloc(pd, sizeof(struct ec), &p);
    if (s != OK)
        return s;
    struct ec *const ec = p;
    object_init(&ec->object, OBJ_EC, pd, config->cpu);
    pd_hold(pd);
    ec->pd = pd;
    ec->utcb_page = config->utcb >> PAGE_BITS;
    ec->event_base = config->event_base;
    ec->kind = config->flags;
    ec->state = config->flags & EC_LOCAL ? EC_IDLE : EC_READY;
    ec->stack = config->sp;
    ec->resume.kind = RESUME_USER;
    ec->resume.rip = config->ip;
    ec->resume.rflags = 0x202;
    ec->resume.gpr[RSP] = config->sp;
    ec->resume.gpr[RSI] = config->utcb;
    s = ec_fill(ec, config);
    if (s != OK) {
        ec_free(cpu, ec);
        return s;
    }
    *out = ec;
    return OK;
}

void ec_restart(struct ec *ec)
{
    ec->resume.rip -= 2;   /* SYSCALL is 0f 05 */
}

static void ec_result(struct ec *ec, enum status result)
{
    if (result == STATUS_RESTART)
        ec_restart(ec);
    else
        ec->resume.gpr[RAX] = result;
}

static void ec_finish(struct cpu *cpu, struct epoch_item *item)
{
    ec_free(cpu, container_of(item, struct ec, object.release));
}

static void ec_step(struct cpu *cpu, struct epoch_item *item)
{
    struct ec *const ec = container_of(item, struct ec, object.release);
    u64 generation = 0;
    const enum status s = pd_unmap(cpu, ec->pd, ec->utcb_page, ec->utcb, UTCB_PAGES, &generation);
    item->release = s == OK ? ec_finish : ec_step;
    epoch_defer(cpu, item, generation);
}

void ec_destroy(struct cpu *cpu, struct ec *ec)
{
    ec_kill(cpu, ec);
    if (atomic_load(&ec->inbox_reason) || ec->flags & EC_FLAG_AWAITED)
        ec->flags |= EC_FLAG_DYING;
    else
        ec_step(cpu, &ec->object.release);
}

void ec_awake(struct cpu *cpu, struct ec *ec, enum status result)
{
    timeout_remove(cpu, ec);
    ec->sm = NULL;
    ec->flags &= ~EC_FLAG_AWAITED;
    if (ec->flags & EC_FLAG_DYING) {
        ec->flags &= ~EC_FLAG_DYING;
        ec_step(cpu, &ec->object.release);
    }
    if (ec->state == EC_DEAD)
        return;
    ec->state = EC_READY;
    ec_result(ec, result);
    sched_wake(cpu, ec);
}

void ec_wake(struct cpu *cpu, struct ec *ec, enum status result)
{
    if (ec->object.cpu == cpu->id) {
        ec_awake(cpu, ec, result);
        return;
    }
    ec->wake_status = result;
    sched_send(cpu, ec, EC_INBOX_WAKE);
}

/* Scheduling contexts that came along ec wait at the end of its chain of calls: they must look for their way again. */
static void ec_release_time(struct cpu *cpu, struct ec *ec)
{
    struct ec *end = ec;
    while (end->state == EC_CALLING || end->state == EC_HELPING)   /* bound: ECs of this CPU; there are no loops */
        end = end->callee;
    sched_wake(cpu, end);
}

void ec_list_push(struct ec **first, struct ec *ec)
{
    ec->queue_prev = NULL;
    ec->queue_next = *first;
    if (*first)
        (*first)->queue_prev = ec;
    *first = ec;
}

void ec_list_remove(struct ec **first, struct ec *ec)
{
    if (ec->queue_next)
        ec->queue_next->queue_prev = ec->queue_prev;
    if (ec->queue_prev)
        ec->queue_prev->queue_next = ec->queue_next;
    else
        *first = ec->queue_next;
    ec->queue_next = ec->queue_prev = NULL;
}

void ec_help_end(struct ec *ec)
{
    ec_list_remove(&ec->callee->wanted, ec);
    ec->callee = NULL;
    ec->state = EC_READY;
}

static void ec_unlink(struct ec *ec)
{
    while (ec->wanted)   /* bound: ECs of this CPU; they ask again */
        ec_help_end(ec->wanted);
    if (ec->state == EC_CALLING)
        ec->callee->caller = NULL;
    if (ec->state == EC_HELPING)
        ec_help_end(ec);
    ec->callee = NULL;
    struct ec *const caller = ec->caller;
    ec->caller = NULL;
    if (!caller || ec->state == EC_IDLE)
        return;
    caller->callee = NULL;
    caller->flags &= ~EC_FLAG_PART;
    if (caller->flags & EC_FLAG_IN_FAULT) {
        /* Its exception found a handler that died: delivered again, to whoever handles it now. */
        caller->flags = (caller->flags & ~EC_FLAG_IN_FAULT) | EC_FLAG_FAULTED;
    } else {
        caller->resume.gpr[RAX] = STATUS_ABORT;
    }
    caller->state = EC_READY;
}

seldom void ec_kill(struct cpu *cpu, struct ec *ec)
{
    if (ec->state == EC_DEAD)
        return;
    ec_release_time(cpu, ec);
    /* A wake-up on its way stays marked in inbox_reason, or is awaited: the EC is not released before it has arrived. */
    if (ec->state == EC_WAIT_SM && sm_leave(ec))
        ec->sm = NULL;
    if (ec->state == EC_WAIT_TLB)
        ec->flags |= EC_FLAG_AWAITED;
    timeout_remove(cpu, ec);
    ec_unlink(ec);
    if (ec->vcpu)
        vcpu_abandon(ec);
    ec->state = EC_DEAD;
    cpu->due |= DUE_CHOICE;   /* it may be current */
}
