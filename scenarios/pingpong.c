/* SPDX-License-Identifier: BSD-2-Clause */
/* IPC between PDs. "server" and "client" on one CPU: calls with messages of several sizes, each word checked on both sides; at times
 * with a semaphore or a page as typed item, taken back by revoke afterwards. "left" and "right" on two CPUs: semaphores in turn.
 * The page goes to the same address of the server each time, with other contents: a stale translation would show. */
#include "client.h"
#include "hv.h"
#include "mem.h"
#include "print.h"

#define ROUNDS      1000u
#define ITEM_EVERY  10u      /* rounds; even ones send a semaphore, odd ones a page */
#define STACK_BYTES 8192u

#define SEL_READY    4096u
#define SEL_DONE     4097u
#define SEL_PORTAL   4098u
#define SEL_EC       4099u
#define SEL_GIFT     4100u   /* client: the semaphore it sends */
#define SEL_RECEIVED 4101u   /* server: where it arrives */
#define SEL_PING     4102u
#define SEL_PONG     4103u

#define WINDOW_PAGE (PROGRAM_FREE >> PAGE_BITS)

static const u32 sizes[] = { 0, 1, 2, 4, 8, 31, 64, 200, UTCB_WORDS };

static struct thread self;

static u64 expected_word(u64 round, u64 index)
{
    return (round << 32 | index) * 0x9e3779b97f4a7c15ul;
}

static bool round_has_item(u64 round)
{
    return round % ITEM_EVERY == 0;
}

static bool item_is_page(u64 round)
{
    return round / ITEM_EVERY % 2;
}

static void check(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

static void require(bool fact, const char *what)
{
    if (!fact)
        client_fail(&self, what, STATUS_ABORT);
}

/* ---- Server ---- */

static struct thread handler;
static u64 served, words_served, items_served;
static u8 handler_stack[STACK_BYTES] aligned_to(16);

static void windows_open(void)
{
    handler.utcb->window[SPACE_OBJECT] = (struct utcb_window){ SEL_RECEIVED, 1 };
    handler.utcb->window[SPACE_MEMORY] = (struct utcb_window){ WINDOW_PAGE, 1 };
}

static bool item_check(const struct utcb_item *item)
{
    items_served++;
    if (item->count != 1)
        return false;
    if (item->type == SPACE_OBJECT)
        return item->base == SEL_RECEIVED && hv_sm_up(SEL_RECEIVED) == OK;
    return item->base == WINDOW_PAGE && item->rights == RIGHT_R && *(const u64 *)PROGRAM_FREE == expected_word(served, 0);
}

static bool message_check(u64 words)
{
    for (u64 i = 0; i < words; i++)
        if (handler.utcb->word[i] != expected_word(served, i))
            return false;
    return words == sizes[served % array_size(sizes)];
}

/* The answer is the message, complemented; nothing at all if something was wrong. */
static void server_entry(u64 id, u64 mtr)
{
    const u64 words = MTR_WORDS(mtr), items = MTR_ITEMS(mtr);
    bool good = id == 7 && items == round_has_item(served) && message_check(words);
    if (good && items)
        good = item_check(&handler.utcb->item[0]) && (handler.utcb->item[0].type == SPACE_MEMORY) == item_is_page(served);
    if (!good)
        print("pingpong: server: call %lu is wrong", served);
    for (u64 i = 0; i < words; i++)
        handler.utcb->word[i] = ~handler.utcb->word[i];
    served++;
    words_served += words;
    windows_open();
    (void)!hv_reply(good ? MTR(words, 0) : MTR(1, 1));
    __builtin_trap();
}

static void server(void)
{
    const struct thread_config config = {
        .number = 1, .cpu = self.cpu, .ec = SEL_EC, .stack_top = handler_stack + STACK_BYTES
    };
    check(thread_create_local(&config, &handler), "handler");
    windows_open();
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_PORTAL, SEL_EC, (u64)server_entry, 7), "portal");
    check(client_register(&self, "pingpong", SEL_PORTAL, PERM_PORTAL_CALL), "register");
    check(hv_sm_up(SEL_READY), "ready");
    check(hv_sm_down(SEL_DONE, 0, 0), "wait");
    print("pingpong: server: %lu calls, %lu words, %lu items", served, words_served, items_served);
}

/* ---- Client ---- */

static u64 *page_of(u64 round)
{
    return (u64 *)(PROGRAM_MEMORY + round / ITEM_EVERY % 4 * PAGE_SIZE);
}

static u64 item_set(u64 round)
{
    struct utcb_item *item = &self.utcb->item[0];
    if (!round_has_item(round))
        return 0;
    *item = (struct utcb_item){ .base = SEL_GIFT, .count = 1, .rights = PERM_SM_UP, .type = SPACE_OBJECT };
    if (item_is_page(round)) {
        *page_of(round) = expected_word(round, 0);
        *item = (struct utcb_item){
            .base = (u64)page_of(round) >> PAGE_BITS, .count = 1, .rights = RIGHT_R, .type = SPACE_MEMORY
        };
    }
    return 1;
}

/* The server upped the semaphore; what it got is taken back, so that its window is empty again. */
static void item_after(u64 round)
{
    if (!round_has_item(round))
        return;
    require(self.utcb->item[0].status == OK, "item refused");
    if (item_is_page(round)) {
        check(hv_revoke(PROGRAM_SEL_PD, (u64)page_of(round) >> PAGE_BITS, REVOKE(1, SPACE_MEMORY), 0), "revoke page");
        return;
    }
    check(hv_sm_down(SEL_GIFT, 0, 0), "gift");
    check(hv_revoke(PROGRAM_SEL_PD, SEL_GIFT, REVOKE(1, SPACE_OBJECT), 0), "revoke semaphore");
}

static void call_once(u64 round)
{
    const u64 words = sizes[round % array_size(sizes)];
    for (u64 i = 0; i < words; i++)
        self.utcb->word[i] = expected_word(round, i);
    u64 mtr = 0;
    check(hv_call(SEL_PORTAL, MTR(words, item_set(round)), &mtr), "call");
    require(mtr == MTR(words, 0), "size of the answer");
    for (u64 i = 0; i < words; i++)
        require(self.utcb->word[i] == ~expected_word(round, i), "word of the answer");
    item_after(round);
}

static void client(void)
{
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_GIFT, 0), "semaphore");
    for (u32 i = 0; i < 2; i++)   /* the server, and the turns */
        check(hv_sm_down(SEL_READY, 0, 0), "ready");
    check(client_lookup(&self, "pingpong", SEL_PORTAL), "lookup");
    for (u64 round = 0; round < ROUNDS; round++)
        call_once(round);
    print("pingpong: client: %u calls", ROUNDS);
    check(hv_sm_up(SEL_DONE), "done");
}

/* ---- Two CPUs ---- */

static void turns(bool left)
{
    check(client_semaphore(&self, "ping", SEL_PING), "semaphore");
    check(client_semaphore(&self, "pong", SEL_PONG), "semaphore");
    for (u32 i = 0; i < ROUNDS; i++) {
        if (left)
            check(hv_sm_up(SEL_PING), "up");
        check(hv_sm_down(left ? SEL_PONG : SEL_PING, 0, 0), "down");
        if (!left)
            check(hv_sm_up(SEL_PONG), "up");
    }
    if (!left)
        return;
    print("pingpong: %u turns between CPUs", ROUNDS);
    check(hv_sm_up(SEL_READY), "ready");   /* now the two on one CPU begin: the lines have one order */
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    const char *args = program_page()->args;
    check(client_semaphore(&self, "ready", SEL_READY), "semaphore");
    check(client_semaphore(&self, "done", SEL_DONE), "semaphore");
    if (str_word(&args, "server"))
        server();
    else if (str_word(&args, "client"))
        client();
    else
        turns(str_word(&args, "left"));
    client_done(&self, 0);
}
