/* SPDX-License-Identifier: BSD-2-Clause */
/* A boot bundle around a root program that exists only as C functions in this process: an ELF file with one executable page. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include "abi/bundle.h"
#include "program.h"

void *program_bundle(u64 entry, u64 *bytes)
{
    u8 *b = calloc(3, PAGE_SIZE);
    if (!b)
        return NULL;
    struct bundle *head = (struct bundle *)b;
    struct bundle_file *file = (struct bundle_file *)(head + 1);
    *head = (struct bundle){ .magic = BUNDLE_MAGIC, .version = BUNDLE_VERSION, .file_count = 1, .cpus = 1, .bytes = 3 * PAGE_SIZE };
    *file = (struct bundle_file){ .name = "root", .offset = PAGE_SIZE, .bytes = 2 * PAGE_SIZE };
    Elf64_Ehdr *elf = (Elf64_Ehdr *)(b + PAGE_SIZE);
    memcpy(elf->e_ident, "\177ELF\2\1\1", 7);
    elf->e_type = ET_EXEC;
    elf->e_machine = EM_X86_64;
    elf->e_version = 1;
    elf->e_entry = entry;
    elf->e_phoff = sizeof(*elf);
    elf->e_ehsize = sizeof(*elf);
    elf->e_phentsize = sizeof(Elf64_Phdr);
    elf->e_phnum = 1;
    Elf64_Phdr *segment = (Elf64_Phdr *)(elf + 1);
    *segment = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = PAGE_SIZE, .p_vaddr = PROGRAM_BASE,
                             .p_paddr = PROGRAM_BASE, .p_filesz = PAGE_SIZE, .p_memsz = PAGE_SIZE, .p_align = PAGE_SIZE };
    memset(b + 2 * PAGE_SIZE, 0xcc, PAGE_SIZE);
    *bytes = 3 * PAGE_SIZE;
    return b;
}
