/* SPDX-License-Identifier: BSD-2-Clause */
#include "coherence.h"
#include <stdlib.h>

bool coherence_init(struct coherence *k, u64 frames)
{
    *k = (struct coherence){.frames = frames};
    k->executes = calloc(frames, sizeof(*k->executes));
    k->writes = calloc(frames, sizeof(*k->writes));
    if (k->executes && k->writes)
        return true;
    coherence_free(k);
    return false;
}

void coherence_free(struct coherence *k)
{
    free(k->executes);
    free(k->writes);
    *k = (struct coherence){0};
}

/* c is about to translate instructions of the frame: nobody, c included, may go on writing to it unseen. */
void coherence_execute(struct coherence *k, struct core *c, u64 frame)
{
    const u16 self = (u16)(1u << c->number);
    if (frame >= k->frames || k->executes[frame] & self)
        return;
    k->executes[frame] |= self;
    for (u32 i = 0; i < CORES_MAX; i++)
        if (k->core[i] && k->writes[frame] & 1u << i)
            core_flush(k->core[i]);
    k->writes[frame] = 0;
}

/* c is about to write to the frame: what others translated from it is void. */
void coherence_write(struct coherence *k, struct core *c, u64 frame)
{
    const u16 self = (u16)(1u << c->number);
    if (frame >= k->frames)
        return;
    k->writes[frame] |= self;
    if (!(k->executes[frame] & ~self))
        return;
    for (u32 i = 0; i < CORES_MAX; i++) {
        if (!k->core[i] || i == c->number || !(k->executes[frame] & 1u << i))
            continue;
        tb_invalidate_phys_range_x86_64(k->core[i]->uc, frame << PAGE_BITS, (frame + 1) << PAGE_BITS);
        core_flush(k->core[i]);   /* the next fetch asks again */
    }
    k->executes[frame] &= self;
}

bool coherence_executes(const struct coherence *k, const struct core *c, u64 frame)
{
    return frame < k->frames && k->executes[frame] & 1u << c->number;
}
