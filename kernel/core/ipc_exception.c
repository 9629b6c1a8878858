/* SPDX-License-Identifier: BSD-2-Clause */
/* The exception message: what stands in the handler's words, and the registers that come back. Nothing in a reply is trusted: RIP must be
 * below USER_END (else a return to user mode would fault in the kernel), RFLAGS keeps only what user level can set itself. */
#include "ec.h"
#include "ipc.h"

/* CF PF AF ZF SF TF DF OF RF AC ID (Intel SDM 1 3.4.3). Not NT: IRET would fault. */
#define FLAGS_USER   0x250dd5ul
#define FLAGS_ALWAYS 0x202ul

/* gpr, RIP, RFLAGS: in a row in both structures. */
#define REGISTERS_BYTES (sizeof(struct utcb_exception) - offset_of(struct utcb_exception, gpr))
static_assert(offset_of(struct resume, gpr) == 0 && offset_of(struct resume, kind) == REGISTERS_BYTES, "one copy");
static_assert(offset_of(struct resume, rip) == offset_of(struct utcb_exception, ip) - offset_of(struct utcb_exception, gpr), "one copy");

void exception_message(const struct ec *ec, struct ec *handler, u64 vector, u64 error, u64 address)
{
    struct utcb_exception *const m = (struct utcb_exception *)handler->utcb->word;
    m->vector = vector;
    m->error = error;
    m->address = address;
    mach_copy(m->gpr, ec->resume.gpr, REGISTERS_BYTES);
}

bool exception_restore(struct ec *ec, const struct ec *handler, u64 mtr)
{
    const struct utcb_exception *const m = (const struct utcb_exception *)handler->utcb->word;
    if (MTR_WORDS(mtr) < EXCEPTION_WORDS)
        return true;   /* goes on as it was */
    mach_copy(ec->resume.gpr, m->gpr, REGISTERS_BYTES);   /* read once: others write there */
    ec->resume.rflags = (ec->resume.rflags & FLAGS_USER) | FLAGS_ALWAYS;
    return ec->resume.rip < USER_END;
}
