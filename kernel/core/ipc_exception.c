/* SPDX-License-Identifier: BSD-2-Clause */
/* The exception message: what stands in the handler's words, and the registers that come back. Nothing in a reply is trusted: RIP must be
 * below USER_END (else a return to user mode would fault in the kernel), RFLAGS keeps only what user level can set itself. */
#include "ec.h"
#include "ipc.h"

/* CF PF AF ZF SF TF DF OF RF AC ID (Intel SDM 1 3.4.3). Not NT: IRET would fault. */
#define FLAGS_USER   0x250dd5ul
#define FLAGS_ALWAYS 0x202ul

void exception_message(const struct ec *ec, struct ec *handler)
{
    struct utcb_exception *const m = (struct utcb_exception *)handler->utcb->word;
    m->vector = ec->fault.vector;
    m->error = ec->fault.error;
    m->address = ec->fault.address;
    m->ip = ec->resume.rip;
    m->flags = ec->resume.rflags;
    mach_copy(m->gpr, ec->resume.gpr, sizeof(m->gpr));
}

bool exception_restore(struct ec *ec, const struct ec *handler, u64 mtr)
{
    const struct utcb_exception *const m = (const struct utcb_exception *)handler->utcb->word;
    if (MTR_WORDS(mtr) < EXCEPTION_WORDS)
        return true;   /* goes on as it was */
    u64 ip_flags[2];
    mach_copy(ip_flags, &m->ip, sizeof(ip_flags));   /* read once: others write there */
    if (ip_flags[0] >= USER_END)
        return false;
    ec->resume.rip = ip_flags[0];
    ec->resume.rflags = (ip_flags[1] & FLAGS_USER) | FLAGS_ALWAYS;
    mach_copy(ec->resume.gpr, m->gpr, sizeof(m->gpr));
    return true;
}
