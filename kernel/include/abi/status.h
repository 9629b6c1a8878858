/* SPDX-License-Identifier: BSD-2-Clause */
/* The one status enum: what a hypercall, and every function that can fail, returns. Zero is OK.
 * The list is a table so that the name printers in user level and harness are generated from it. */
#pragma once

#define STATUS_LIST(X)                                                                             \
    X(0, OK, "success")                                                                            \
    X(1, STATUS_HYPERCALL, "no such hypercall")                                                    \
    X(2, STATUS_CAP, "selector names no capability of the wanted type")                            \
    X(3, STATUS_PERM, "capability lacks the permission")                                           \
    X(4, STATUS_ARG, "an argument is outside its documented range")                                \
    X(5, STATUS_QUOTA, "the quota to be charged is used up")                                       \
    X(6, STATUS_MEMORY, "no kernel memory left although the quota allowed it")                     \
    X(7, STATUS_EXISTS, "the target slot or address range is occupied")                            \
    X(8, STATUS_CPU, "no such CPU, or the object belongs to another CPU")                          \
    X(9, STATUS_BUSY, "the object is in use in a way that excludes this operation")                \
    X(10, STATUS_TIMEOUT, "the deadline passed")                                                   \
    X(11, STATUS_ABORT, "the partner was destroyed or gave up")                                    \
    X(12, STATUS_FEATURE, "this machine lacks the feature")                                        \
    X(13, STATUS_RANGE, "the source holds no right to part of the range")

enum status {
#define STATUS_ENUM(number, name, text) name = number,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
            STATUS_COUNT,
};

#define STATUS_INTERNAL_FIRST 0x100   /* values from here on never reach user level */
