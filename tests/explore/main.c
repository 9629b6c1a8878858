/* SPDX-License-Identifier: BSD-2-Clause */
/* build/explore/orrery-explore: the worlds of this folder and of the mutants, explored. */
#include "world.h"

int main(int argc, char **argv)
{
    return world_main(argc, argv);
}
