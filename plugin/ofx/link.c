#include "link.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knobs_table.h"
#include "platform.h"
#include "version.h"
#include "wire.h"

static const double TICK = 0.02;      /* how often a host is asked whether it lost interest */
static const double BUSY = 0.05;      /* first pause after a worker said that it is busy */
static const double BUSY_MOST = 1.0;
static const double RESTART = 0.2;    /* pause before a worker that ended at once is tried again */
enum {
    TRIES = 6,           /* renders of one frame, where worker after worker dies */
    STARTS = 3,          /* worker processes for one connection */
    IDLE_LINKS = 16,     /* connections kept for the next frames */
    LONGEST_SIDE = 1 << 20
};
static const double KEPT = 30.0;      /* seconds that an idle connection keeps its memory, at work */
static const size_t PAGE = 4096, SLOT_STEP = 1 << 20;

/* A connection: borrowed by one render at a time, with one slot of shared memory. */
struct link {
    struct link *next;
    platform_channel channel;
    int64_t largest_slot;
    uint64_t sent, received;
    struct platform_memory slot;
    uint32_t abandoned; /* jobs up to this one were given up: their answers are read and dropped */
    uint32_t owed;      /* a job given up that may still write to the slot; 0 for none */
    int broken;         /* not to be used again */
    double used;        /* when it was put aside */
    unsigned char *payload;
    size_t payload_room;
};

static struct link *idle;      /* guarded by platform_lock, as are the next three */
static int idle_count;
static int64_t owner;          /* the process that opened them: a fork must not share a stream */
static int starting;           /* a thread of this process is starting a worker */
static _Atomic uint32_t last_job;

enum outcome {
    GOOD,
    ABORTED,    /* the host lost interest */
    LATE,       /* the time is up */
    GONE,       /* the connection broke: the worker died */
    BUSY_NOW,   /* the worker can't now, but soon */
    SUPERSEDED, /* another render of this instance took our place */
    REFUSED,    /* the worker says why not */
    BROKEN      /* what came is not protocol 1, or the handshake failed */
};

/* How long a render may still wait, and who may call it off. */
struct patience {
    const struct link_client *client;
    double deadline;
    char *text; /* LINK_TEXT bytes: the reason, where an outcome has one */
};

#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static void say(char *text, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(text, LINK_TEXT, format, values);
    va_end(values);
}

/* A stranger's fault in our terms. */
static enum outcome broken(const struct patience *patience, const char *what)
{
    say(patience->text, "The worker sent %s, which protocol %d does not allow. "
        "Restart the worker; if it happens again, install the same version of plug-in and worker.",
        what, WIRE_PROTOCOL);
    return BROKEN;
}

/* --- waiting --------------------------------------------------------------------------------- */

static int aborted(const struct patience *patience)
{
    return patience->client->aborted(patience->client->self);
}

/* Wait for the channel, no longer than the host's interest and the deadline allow. */
static enum outcome await(const struct link *link, int writing, const struct patience *patience)
{
    for (;;) {
        double left = patience->deadline - platform_now();
        if (left <= 0.0)
            return LATE;
        if (platform_wait(link->channel, writing, left < TICK ? left : TICK))
            return GOOD;
        if (aborted(patience))
            return ABORTED;
    }
}

static enum outcome rest(double seconds, const struct patience *patience)
{
    double end = platform_now() + seconds;
    for (double now = platform_now(); now < end; now = platform_now()) {
        if (now >= patience->deadline)
            return LATE;
        if (aborted(patience))
            return ABORTED;
        platform_sleep(end - now < TICK ? end - now : TICK);
    }
    return GOOD;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static enum outcome read_bytes(struct link *link, void *bytes, size_t count,
                               const struct patience *patience)
{
    unsigned char *to = bytes;
    while (count > 0) {
        size_t done = 0;
        enum platform_status status = platform_receive(link->channel, to, count, &done);
        if (status == PLATFORM_AGAIN) {
            enum outcome waited = await(link, 0, patience);
            if (waited != GOOD)
                return waited;
        } else if (status != PLATFORM_OK) {
            return GONE;
        }
        to += done;
        count -= done;
    }
    return GOOD;
}

static enum outcome send_message(struct link *link, struct wire *message,
                                 const struct platform_memory *memory,
                                 const struct patience *patience)
{
    if (!wire_finish(message, ++link->sent)) {
        say(patience->text, "The knobs are too long for one message of %d bytes. "
            "Shorten the texts.", WIRE_LARGEST);
        return REFUSED;
    }
    const unsigned char *from = message->bytes;
    size_t count = message->size;
    while (count > 0) {
        size_t done = 0;
        enum platform_status status =
            platform_send(link->channel, from, count, memory, &done);
        if (status == PLATFORM_AGAIN) {
            enum outcome waited = await(link, 1, patience);
            if (waited != GOOD)
                return waited;
        } else if (status != PLATFORM_OK) {
            return GONE;
        }
        if (done > 0)
            memory = NULL; /* it has travelled */
        from += done;
        count -= done;
    }
    return GOOD;
}

/* Read one message of any type into link->payload. */
static enum outcome read_message(struct link *link, struct wire_header *header,
                                 const struct patience *patience)
{
    unsigned char head[WIRE_HEADER];
    enum outcome outcome = read_bytes(link, head, sizeof head, patience);
    if (outcome != GOOD)
        return outcome;
    const char *wrong = wire_read_header(head, header);
    if (wrong != NULL)
        return broken(patience, wrong);
    if (header->sequence <= link->received)
        return broken(patience, "a message out of sequence");
    link->received = header->sequence;
    if (header->length > link->payload_room) {
        unsigned char *more = realloc(link->payload, header->length);
        if (more == NULL)
            return broken(patience, "more than there is memory for");
        link->payload = more;
        link->payload_room = header->length;
    }
    outcome = read_bytes(link, link->payload, header->length, patience);
    if (outcome != GOOD)
        return outcome;
    wrong = wire_check(link->payload, header->length);
    if (wrong != NULL)
        return broken(patience, wrong);
    if (header->type == WIRE_ERROR) {
        if (!wire_get_text(link->payload, header->length, 60, patience->text, LINK_TEXT))
            return broken(patience, "an error without words");
        return BROKEN;
    }
    return GOOD;
}

/* Whether the message is a late answer to a job that was given up. */
static int is_late(struct link *link, const struct wire_header *header)
{
    if (header->job == 0 || header->job > link->abandoned)
        return 0;
    if (header->job == link->owed && header->type != WIRE_REGION)
        link->owed = 0;
    return 1;
}

/* Wait for the answer of one type to one job; everything else has its own outcome. */
static enum outcome answer(struct link *link, uint32_t job, enum wire_type wanted,
                           struct wire_header *header, const struct patience *patience)
{
    do {
        enum outcome outcome = read_message(link, header, patience);
        if (outcome != GOOD)
            return outcome;
    } while (is_late(link, header));
    if (header->job != job)
        return broken(patience, "an answer to another job");
    if (header->type == (unsigned)wanted)
        return GOOD;
    if (header->type == WIRE_CANCELLED)
        return SUPERSEDED;
    if (header->type == WIRE_FAILED) {
        int64_t again = 0;
        if (!wire_get_text(link->payload, header->length, 60, patience->text, LINK_TEXT))
            return broken(patience, "a failure without words");
        wire_get_ints(link->payload, header->length, 61, &again, 1);
        return again ? BUSY_NOW : REFUSED;
    }
    return broken(patience, "an answer of the wrong type");
}

/* --- connections ----------------------------------------------------------------------------- */

static void drop(struct link *link)
{
    platform_disconnect(link->channel);
    platform_unshare(&link->slot);
    free(link->payload);
    free(link);
}

static enum outcome greet(struct link *link, const struct patience *patience)
{
    struct wire hello = {0};
    wire_start(&hello, WIRE_HELLO, 0);
    wire_int(&hello, 1, WIRE_PROTOCOL);
    wire_text(&hello, 2, SEMBLANCE_KNOBS_DIGEST);
    wire_text(&hello, 3, "semblance-ofx " SEMBLANCE_VERSION);
    wire_int(&hello, 4, platform_process());
    enum outcome outcome = send_message(link, &hello, NULL, patience);
    wire_free(&hello);
    struct wire_header header;
    if (outcome == GOOD)
        outcome = answer(link, 0, WIRE_WELCOME, &header, patience);
    if (outcome != GOOD)
        return outcome;
    int64_t protocol = 0;
    char digest[64], version[64];
    if (!wire_get_ints(link->payload, header.length, 1, &protocol, 1)
        || !wire_get_text(link->payload, header.length, 2, digest, sizeof digest)
        || !wire_get_text(link->payload, header.length, 3, version, sizeof version)
        || !wire_get_ints(link->payload, header.length, 5, &link->largest_slot, 1)
        || link->largest_slot <= 0)
        return broken(patience, "an incomplete welcome");
    if (protocol != WIRE_PROTOCOL) {
        say(patience->text, "Plug-in " SEMBLANCE_VERSION " speaks protocol %d, worker %s speaks "
            "%lld. Install both from the same version, restart the worker and the host.",
            WIRE_PROTOCOL, version, (long long)protocol);
        return BROKEN;
    }
    if (strcmp(digest, SEMBLANCE_KNOBS_DIGEST) != 0) {
        say(patience->text, "Plug-in " SEMBLANCE_VERSION " and worker %s disagree about the knobs "
            "(" SEMBLANCE_KNOBS_DIGEST " against %s). Install both from the same version, restart "
            "the worker and the host.", version, digest);
        return BROKEN;
    }
    return GOOD;
}

static int claim_start(void)
{
    platform_lock();
    int ours = !starting;
    starting = 1;
    platform_unlock();
    return ours;
}

static void release_start(void)
{
    platform_lock();
    starting = 0;
    platform_unlock();
}

/* Start workers until one listens. Several threads and hosts may try at once: one thread of each
 * process starts, and of several workers all but one end by themselves. */
static enum outcome reach(platform_channel *channel, const struct patience *patience)
{
    struct platform_worker worker = {0};
    struct platform_why why;
    int64_t peer = 0;
    int ours = 0, running = 0, starts = 0;
    enum outcome outcome;
    for (;;) {
        enum platform_status status = platform_connect(channel, &peer, &why);
        outcome = GOOD;
        if (status == PLATFORM_OK)
            break;
        outcome = REFUSED;
        if (status == PLATFORM_REFUSED) {
            say(patience->text, "%s", why.text);
            break;
        }
        if (status == PLATFORM_NOBODY && !ours)
            ours = claim_start();
        if (status == PLATFORM_NOBODY && ours && !running) {
            if (starts == STARTS) {
                char log[512];
                platform_log_path(log, sizeof log);
                say(patience->text, "The worker %s ended as soon as it was started. Its log says "
                    "why: %s", worker.path, log);
                break;
            }
            if (starts > 0 && (outcome = rest(RESTART, patience)) != GOOD)
                break;
            outcome = REFUSED;
            starts++;
            if (platform_start(&worker, &why) != PLATFORM_OK) {
                say(patience->text, "%s", why.text);
                break;
            }
            running = 1;
        } else if (running) {
            status = platform_watch(&worker, &why);
            if (status == PLATFORM_REFUSED) {
                say(patience->text, "%s", why.text);
                break;
            }
            if (status == PLATFORM_NOBODY) {
                platform_unwatch(&worker);
                running = 0;
            }
        }
        if ((outcome = rest(TICK, patience)) != GOOD)
            break;
    }
    if (running)
        platform_unwatch(&worker);
    if (ours)
        release_start();
    return outcome;
}

static enum outcome open_link(struct link **opened, const struct patience *patience)
{
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        say(patience->text, "There is no memory for a connection to the worker.");
        return REFUSED;
    }
    enum outcome outcome = reach(&link->channel, patience);
    if (outcome != GOOD) {
        free(link);
        return outcome;
    }
    outcome = greet(link, patience);
    if (outcome != GOOD) {
        drop(link);
        return outcome;
    }
    *opened = link;
    return GOOD;
}

static struct link *take_idle(void)
{
    platform_lock();
    struct link *link = idle;
    if (link != NULL) {
        idle = link->next;
        idle_count--;
    }
    platform_unlock();
    return link;
}

/* Take out all that lay idle since `before`, and let go of their memory. */
static void drop_idle(double before)
{
    struct link *old = NULL;
    platform_lock();
    for (struct link **at = &idle; *at != NULL;) {
        struct link *link = *at;
        if (link->used > before) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        idle_count--;
        link->next = old;
        old = link;
    }
    platform_unlock();
    while (old != NULL) {
        struct link *next = old->next;
        drop(old);
        old = next;
    }
}

static void give_back(struct link *link)
{
    link->used = platform_now();
    platform_lock();
    int keep = !link->broken && idle_count < IDLE_LINKS;
    if (keep) {
        link->next = idle;
        idle = link;
        idle_count++;
    }
    platform_unlock();
    if (!keep)
        drop(link);
}

/* Read what has come since the connection was put aside; 0 where it is dead. */
static int still_good(struct link *link)
{
    char text[LINK_TEXT];
    struct patience once = {NULL, 0.0, text}; /* what is torn is LATE at once: nobody waits here */
    while (platform_wait(link->channel, 0, 0.0)) {
        struct wire_header header;
        if (read_message(link, &header, &once) != GOOD || !is_late(link, &header))
            return 0;
    }
    return 1;
}

static void forget_other_process(void)
{
    int64_t self = platform_process();
    platform_lock();
    struct link *others = owner == self ? NULL : idle;
    if (owner != self) {
        owner = self;
        idle = NULL;
        idle_count = 0;
        starting = 0;
    }
    platform_unlock();
    while (others != NULL) {
        struct link *next = others->next;
        drop(others);
        others = next;
    }
}

/* An idle connection whose slot is free, else a new one. */
static enum outcome borrow(struct link **borrowed, const struct patience *patience)
{
    struct link *waiting = NULL, *link;
    forget_other_process();
    drop_idle(platform_now() - KEPT);
    while ((link = take_idle()) != NULL) {
        if (!still_good(link)) {
            drop(link);
            continue;
        }
        if (link->owed == 0)
            break;
        link->next = waiting;
        waiting = link;
    }
    while (waiting != NULL) {
        struct link *next = waiting->next;
        give_back(waiting);
        waiting = next;
    }
    if (link != NULL) {
        *borrowed = link;
        return GOOD;
    }
    return open_link(borrowed, patience);
}

/* --- one attempt at a frame ------------------------------------------------------------------ */

static void put_plan(struct wire *message, const struct link_plan *plan)
{
    wire_int(message, 10, plan->instance);
    wire_doubles(message, 11, &plan->time, 1);
    wire_doubles(message, 12, plan->scale, 2);
    wire_doubles(message, 13, &plan->aspect, 1);
    wire_ints(message, 14, plan->source, 4);
    wire_doubles(message, 15, plan->window, 4);
    wire_ints(message, 16, plan->render, 4);
    wire_int(message, 17, plan->components);
    wire_int(message, 18, plan->premultiplied);
    wire_int(message, 19, plan->mask);
    wire_bytes(message, 20, plan->knobs, plan->knobs_size);
}

static int is_empty(const link_rect rect) { return rect[0] >= rect[2] || rect[1] >= rect[3]; }

static int is_inside(const link_rect inner, const link_rect outer)
{
    return inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2]
           && inner[3] <= outer[3];
}

static size_t aligned(size_t size, size_t step) { return (size + step - 1) / step * step; }

/* Where source, mask (-1: none) and result lie in the slot. */
struct layout {
    int64_t source, mask, result;
    size_t size;
};

static struct layout laid_out(const link_rect rect, int with_mask)
{
    size_t pixels = (size_t)(rect[2] - rect[0]) * (size_t)(rect[3] - rect[1]);
    size_t picture = aligned(16 * pixels, 64), mask = with_mask ? aligned(4 * pixels, 64) : 0;
    return (struct layout){0, with_mask ? (int64_t)picture : -1, (int64_t)(picture + mask),
                           2 * picture + mask};
}

/* Make the slot at least `size` bytes large, and known to the worker. Slots grow in steps, so that
 * a face that comes nearer does not cost a new slot with each frame. */
static enum outcome provide_slot(struct link *link, uint32_t job, size_t size,
                                 const struct patience *patience)
{
    if (link->slot.size >= size)
        return GOOD;
    size_t roomy = aligned(size + size / 4, SLOT_STEP);
    if (roomy > (uint64_t)link->largest_slot)
        roomy = aligned(size, PAGE);
    if (roomy > (uint64_t)link->largest_slot) {
        say(patience->text, "This frame needs %lld MiB of shared memory, the worker takes at most "
            "%lld MiB. Give it more memory, or render a proxy.", (long long)(size >> 20),
            (long long)(link->largest_slot >> 20));
        return REFUSED;
    }
    struct platform_why why;
    platform_unshare(&link->slot);
    if (!platform_share(&link->slot, roomy, &why)) {
        say(patience->text, "%s", why.text);
        return REFUSED;
    }
    struct wire message = {0};
    wire_start(&message, WIRE_SLOT, job);
    wire_int(&message, 40, 1);
    wire_int(&message, 41, (int64_t)link->slot.size);
    if (link->slot.name[0] != '\0')
        wire_text(&message, 44, link->slot.name);
    enum outcome outcome = send_message(link, &message, &link->slot, patience);
    wire_free(&message);
    struct wire_header header;
    if (outcome == GOOD)
        outcome = answer(link, job, WIRE_SLOT_READY, &header, patience);
    int64_t id = 0;
    if (outcome == GOOD
        && (!wire_get_ints(link->payload, header.length, 40, &id, 1) || id != 1))
        outcome = broken(patience, "a slot that nobody offered");
    if (outcome != GOOD)
        platform_unshare(&link->slot); /* never used before the worker has it */
    if (outcome == BUSY_NOW)
        link_close(); /* it has no memory for another slot: ours that lie idle are some */
    return outcome;
}

/* A host that lost interest: the worker may stop, and what it still answers is read later. */
static enum outcome give_up(struct link *link, uint32_t job, int slot_in_use)
{
    struct wire cancel = {0};
    wire_start(&cancel, WIRE_CANCEL, job);
    size_t done = 0;
    link->broken = !wire_finish(&cancel, ++link->sent)
                   || platform_send(link->channel, cancel.bytes, cancel.size, NULL, &done)
                          != PLATFORM_OK
                   || done != cancel.size;
    wire_free(&cancel);
    link->abandoned = job;
    link->owed = slot_in_use ? job : link->owed;
    return ABORTED;
}

static enum outcome ask_region(struct link *link, uint32_t job, const struct link_plan *plan,
                               link_rect wanted, int *with_mask, size_t *size,
                               const struct patience *patience)
{
    struct wire message = {0};
    wire_start(&message, WIRE_PLAN, job);
    put_plan(&message, plan);
    enum outcome outcome = send_message(link, &message, NULL, patience);
    wire_free(&message);
    struct wire_header header;
    if (outcome == GOOD)
        outcome = answer(link, job, WIRE_REGION, &header, patience);
    if (outcome != GOOD)
        return outcome;
    int64_t mask = 0, bytes = 0;
    if (!wire_get_ints(link->payload, header.length, 30, wanted, 4)
        || !wire_get_ints(link->payload, header.length, 31, &mask, 1)
        || !wire_get_ints(link->payload, header.length, 32, &bytes, 1))
        return broken(patience, "an incomplete region");
    wire_get_text(link->payload, header.length, 33, patience->text, LINK_TEXT);
    if (is_empty(wanted))
        return GOOD;
    if (!is_inside(wanted, plan->source) || wanted[2] - wanted[0] > LONGEST_SIDE
        || wanted[3] - wanted[1] > LONGEST_SIDE)
        return broken(patience, "a region outside the source");
    if (mask != 0 && !plan->mask)
        return broken(patience, "a wish for a mask that is not there");
    if (bytes < 0)
        return broken(patience, "a slot size below 0");
    *with_mask = mask != 0;
    *size = (size_t)bytes;
    return GOOD;
}

static enum outcome ask_result(struct link *link, uint32_t job, const struct link_plan *plan,
                               const link_rect wanted, const struct layout *layout,
                               link_rect changed, const struct patience *patience)
{
    const struct link_client *client = patience->client;
    int64_t offsets[3] = {layout->source, layout->mask, layout->result};
    struct wire message = {0};
    wire_start(&message, WIRE_RENDER, job);
    put_plan(&message, plan);
    wire_int(&message, 40, 1);
    wire_ints(&message, 42, wanted, 4);
    wire_ints(&message, 43, offsets, 3);
    enum outcome outcome = send_message(link, &message, NULL, patience);
    wire_free(&message);
    if (outcome != GOOD)
        return outcome;
    client->meanwhile(client->self, wanted);
    struct wire_header header;
    outcome = answer(link, job, WIRE_DONE, &header, patience);
    if (outcome != GOOD)
        return outcome;
    if (!wire_get_ints(link->payload, header.length, 50, changed, 4))
        return broken(patience, "a result without its rectangle");
    if (changed[0] > changed[2] || changed[1] > changed[3]
        || (!is_empty(changed) && !is_inside(changed, wanted)))
        return broken(patience, "a result outside its region");
    char note[LINK_TEXT];
    if (wire_get_text(link->payload, header.length, 51, note, sizeof note) && note[0] != '\0')
        say(patience->text, "%s", note);
    return GOOD;
}

static enum outcome attempt(struct link *link, const struct link_plan *plan,
                            const struct patience *patience)
{
    const struct link_client *client = patience->client;
    uint32_t job = atomic_fetch_add(&last_job, 1) + 1;
    link_rect wanted, changed;
    int with_mask = 0;
    size_t size = 0;
    enum outcome outcome =
        ask_region(link, job, plan, wanted, &with_mask, &size, patience);
    if (outcome == GOOD && is_empty(wanted)) {
        const link_rect nothing = {0, 0, 0, 0};
        client->meanwhile(client->self, nothing);
        client->take(client->self, nothing, nothing, NULL);
        return GOOD;
    }
    struct layout layout = {0};
    if (outcome == GOOD) {
        layout = laid_out(wanted, with_mask);
        /* More than a little beyond what the region holds is no wish, but damage. */
        if (size > 2 * layout.size + SLOT_STEP)
            outcome = broken(patience, "a slot size far beyond its region");
        else
            outcome = provide_slot(link, job, size > layout.size ? size : layout.size, patience);
    }
    if (outcome == ABORTED)
        return give_up(link, job, 0);
    if (outcome != GOOD)
        return outcome;
    unsigned char *slot = link->slot.bytes;
    client->fill(client->self, wanted, (float *)(void *)(slot + layout.source),
                 with_mask ? (float *)(void *)(slot + layout.mask) : NULL);
    if (aborted(patience))
        return give_up(link, job, 0);
    outcome = ask_result(link, job, plan, wanted, &layout, changed, patience);
    if (outcome == ABORTED)
        return give_up(link, job, 1);
    if (outcome == GOOD)
        client->take(client->self, wanted, changed,
                     (const float *)(const void *)(slot + layout.result));
    return outcome;
}

/* --- a frame --------------------------------------------------------------------------------- */

enum link_status link_render(const struct link_plan *plan, const struct link_client *client,
                             double timeout, char text[LINK_TEXT])
{
    struct patience patience = {client, platform_now() + timeout, text};
    double pause = BUSY;
    for (int try = 1;; try++) {
        struct link *link = NULL;
        text[0] = '\0';
        enum outcome outcome = borrow(&link, &patience);
        if (outcome == GOOD) {
            outcome = attempt(link, plan, &patience);
            link->broken |= outcome == LATE || outcome == GONE || outcome == BROKEN;
            give_back(link);
        }
        if (outcome == BUSY_NOW) {
            /* The worker's own words are the reason, should the time run out meanwhile. */
            enum outcome rested = rest(pause, &patience);
            pause = 2.0 * pause < BUSY_MOST ? 2.0 * pause : BUSY_MOST;
            try--;
            if (rested == GOOD)
                continue;
            outcome = rested == LATE ? REFUSED : rested;
        }
        if ((outcome == GONE || outcome == SUPERSEDED) && try < TRIES) {
            if (aborted(&patience))
                return LINK_ABORTED;
            continue;
        }
        switch (outcome) {
        case GOOD:
            return LINK_DONE;
        case ABORTED:
            return LINK_ABORTED;
        case LATE:
            say(text, "The worker gave no answer within %g seconds. It is hung, or this machine "
                "needs longer: restart the worker, or raise the worker's time-out.", timeout);
            break;
        case GONE:
            say(text, "The worker died %d times over this frame. Its log says why: ", TRIES);
            platform_log_path(text + strlen(text), LINK_TEXT - strlen(text));
            break;
        case SUPERSEDED:
            say(text, "Another render of this node took this one's place, %d times. "
                "Render the frame again.", TRIES);
            break;
        default:
            break; /* the reason stands there already */
        }
        return LINK_FAILED;
    }
}

void link_forget(int64_t instance)
{
    forget_other_process();
    struct link *link = take_idle();
    if (link == NULL)
        return;
    struct wire message = {0};
    wire_start(&message, WIRE_FORGET, 0);
    wire_int(&message, 10, instance);
    size_t done = 0;
    link->broken = !wire_finish(&message, ++link->sent)
                   || platform_send(link->channel, message.bytes, message.size, NULL, &done)
                          != PLATFORM_OK
                   || done != message.size;
    wire_free(&message);
    give_back(link);
}

void link_restart(void)
{
    platform_channel channel;
    int64_t peer = 0;
    struct platform_why why;
    if (platform_connect(&channel, &peer, &why) == PLATFORM_OK) {
        platform_disconnect(channel);
        platform_kill(peer);
    }
    link_close();
}

void link_close(void) { drop_idle(platform_now()); }
