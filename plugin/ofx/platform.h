/* What differs between operating systems: the channel to the worker, shared memory, starting a
 * process, clocks and the one lock. platform_posix.c and platform_windows.c fulfil it.
 */
#ifndef SEMBLANCE_PLATFORM_H
#define SEMBLANCE_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

enum platform_status {
    PLATFORM_OK,
    PLATFORM_AGAIN,   /* nothing now; wait, then try again */
    PLATFORM_NOBODY,  /* no worker listens, or it is gone */
    PLATFORM_REFUSED  /* a reason stands in `why`, and trying again does not help */
};

/* A reason for a person; platform functions write it, whoever calls shows it. */
struct platform_why {
    char text[512];
};

double platform_now(void);           /* seconds, steady */
void platform_sleep(double seconds); /* short */
int64_t platform_process(void);      /* this process's number */
uint64_t platform_random(void);      /* unlike any other process's */

/* One lock for the process; held for a few instructions, never over a wait or a host's call. */
void platform_lock(void);
void platform_unlock(void);

/* --- the channel: a stream of bytes to the worker of this user, never blocking --------------- */

typedef intptr_t platform_channel;

/* PLATFORM_REFUSED where what is there can't be trusted: not this user's, or open to others. */
enum platform_status platform_connect(platform_channel *channel, int64_t *peer,
                                      struct platform_why *why);
void platform_disconnect(platform_channel channel);
/* 1 once something can be done, 0 after `seconds`. */
int platform_wait(platform_channel channel, int writing, double seconds);
enum platform_status platform_receive(platform_channel channel, void *bytes, size_t count,
                                      size_t *done);
struct platform_memory;
/* `memory`, where it is not NULL, travels with the first byte. */
enum platform_status platform_send(platform_channel channel, const void *bytes, size_t count,
                                   const struct platform_memory *memory, size_t *done);

/* --- shared memory --------------------------------------------------------------------------- */

struct platform_memory {
    void *bytes; /* NULL where there is none */
    size_t size;
    intptr_t handle;
    char name[64]; /* where memory is opened by name; else empty */
};

/* Allocated and touched before it returns: later writes can't fail, and cost no page faults. */
int platform_share(struct platform_memory *memory, size_t size, struct platform_why *why);
void platform_unshare(struct platform_memory *memory);

/* --- the worker's process -------------------------------------------------------------------- */

struct platform_worker {
    intptr_t watch; /* tells when the process has ended */
    char path[1024];
};

enum platform_status platform_start(struct platform_worker *worker, struct platform_why *why);
/* PLATFORM_AGAIN while it runs, PLATFORM_NOBODY once it ended, PLATFORM_REFUSED if it never ran. */
enum platform_status platform_watch(const struct platform_worker *worker,
                                    struct platform_why *why);
void platform_unwatch(struct platform_worker *worker);
void platform_kill(int64_t peer);
/* Where the worker's log is, for messages. */
void platform_log_path(char *path, size_t room);

#endif
