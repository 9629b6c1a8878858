/* SPDX-License-Identifier: BSD-2-Clause */
/* The protocol of root's service portals. Request: word 0 = enum service, then by service; reply: word 0 = enum status.
 * A program calls PROGRAM_SEL_SERVICE(cpu) of the CPU it runs on. Names have at most 31 characters. */
#pragma once
#include "base.h"

#define SERVICE_NAME_BYTES 32u
#define SERVICE_NAMES      64u   /* names root can hold */

enum service {
    SERVICE_DONE = 1,    /* word 1: status, 0 = success. The program has ended */
    SERVICE_REGISTER,    /* words 1..4: name; item: the capability */
    SERVICE_LOOKUP,      /* words 1..4: name; the reply's item is the capability. STATUS_CAP: no such name */
    SERVICE_SEMAPHORE,   /* words 1..4: name; the reply's item is a semaphore of that name, made with count 0 if there is none */
};
