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
    struct utcb_exception message = {
            .vector = ec->fault.vector,
            .error = ec->fault.error,
            .address = ec->fault.address,
            .ip = ec->resume.rip,
            .flags = ec->resume.rflags,
    };
    mach_copy(message.gpr, ec->resume.gpr, sizeof(message.gpr));
    mach_copy(handler->utcb->word, &message, sizeof(message));
}

bool exception_restore(struct ec *ec, const struct ec *handler, u64 mtr)
{
    if (MTR_WORDS(mtr) < EXCEPTION_WORDS)
        return true;   /* goes on as it was */
    struct utcb_exception message;
    mach_copy(&message, handler->utcb->word, sizeof(message));
    if (message.ip >= USER_END)
        return false;
    ec->resume.rip = message.ip;
    ec->resume.rflags = (message.flags & FLAGS_USER) | FLAGS_ALWAYS;
    mach_copy(ec->resume.gpr, message.gpr, sizeof(message.gpr));
    return true;
}
