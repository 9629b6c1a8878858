/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine that scenarios/vmm shows to a guest: numbers only, for C and the assembler. */

#define GUEST_ENTRY      0x1000      /* offset in the image and guest-physical address; real mode, CS base 0 */

/* Ports. */
#define GUEST_UART       0x3f8       /* 16550, output only */
#define GUEST_TIMER      0x500       /* write 1 byte: a vector. It is injected when this vCPU halts with IF = 1 */
#define GUEST_INTERRUPT  0x501       /* write 1 byte: a vector. It is injected as soon as this vCPU can take it */
#define GUEST_START      0x502       /* write 2 bytes: vCPU << 8 | page: start that vCPU in real mode, CS = page << 8, IP = 0 */
#define GUEST_IPI        0x504       /* write 2 bytes: vCPU << 8 | vector: inject there; wakes it if it halts */
#define GUEST_SCRATCH    0x508       /* 4 bytes read and write: the last value; string I/O adds to it byte by byte */
#define GUEST_NUMBER     0x50c       /* read 1 byte: number of this vCPU */

/* Disk of scenarios/kill-backend. A command moves the block between disk and memory before the OUT is over. */
#define GUEST_ROUNDS       0x510     /* read 4 bytes: rounds of work left, 0: none. The wait for the next one is here */
#define GUEST_DISK_BLOCK   0x514     /* write 4 bytes: number */
#define GUEST_DISK_BUFFER  0x518     /* write 4 bytes: guest-physical address */
#define GUEST_DISK_COMMAND 0x51c     /* write 1 byte: 0 read, 1 write; read 1 byte: 0 it was done, 1 refused */
#define GUEST_DISK_OWNER   0x520     /* read 4 bytes: number of this VM */
#define GUEST_DISK_BLOCKS  8
#define GUEST_DISK_WORDS   64        /* of 8 bytes, in a block */

/* The test device: one page. */
#define GUEST_DEVICE     0xfe000000
#define GUEST_DEVICE_ID       0x00   /* read: GUEST_DEVICE_MAGIC */
#define GUEST_DEVICE_SCRATCH  0x08   /* 1..8 bytes read and write */
#define GUEST_DEVICE_WRITES   0x10   /* read: how many writes there were to SCRATCH */
#define GUEST_DEVICE_MAGIC    0x4f525259

/* A scratch MSR of the VM. */
#define GUEST_MSR        0x4f525200
