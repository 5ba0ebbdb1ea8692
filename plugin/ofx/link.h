/* The client's side of protocol 1: one call renders one frame, whatever happens to the worker. */
#ifndef SEMBLANCE_LINK_H
#define SEMBLANCE_LINK_H

#include <stddef.h>
#include <stdint.h>

enum { LINK_TEXT = 1024 };

/* x1, y1, x2, y2 in pixels, y up, as the host counts. */
typedef int64_t link_rect[4];

/* What the worker must know of a frame. */
struct link_plan {
    int64_t instance;
    double time, scale[2], aspect;
    link_rect source;  /* bounds of Source */
    double window[4];  /* display window, canonical */
    link_rect render;  /* what the host asked for */
    int64_t components, premultiplied, mask;
    const unsigned char *knobs;
    size_t knobs_size;
};

/* What the caller does on the way; each may be called again if the worker died. */
struct link_client {
    void *self;
    int (*aborted)(void *self);
    /* Write the rectangle of Source, and of the mask where it is not NULL, rows top-down. */
    void (*fill)(void *self, const link_rect wanted, float *source, float *mask);
    /* Work that needs no worker, done while it works on a rectangle, which may be empty. */
    void (*meanwhile)(void *self, const link_rect wanted);
    /* Complete Output: what changed lies in `result`, rows of `filled` top-down; the rest of the
     * frame is the source. Called once, after meanwhile; both rectangles may be empty. */
    void (*take)(void *self, const link_rect filled, const link_rect changed,
                 const float *result);
};

enum link_status { LINK_DONE, LINK_ABORTED, LINK_FAILED };

/* Render a frame in at most `timeout` seconds, starting the worker where none runs and rendering
 * again where it died. `text` gets the reason of LINK_FAILED; of LINK_DONE, a note or nothing.
 */
enum link_status link_render(const struct link_plan *plan, const struct link_client *client,
                             double timeout, char text[LINK_TEXT]);

/* Tell the worker that an instance is gone; never waits. */
void link_forget(int64_t instance);
/* End the worker, whatever state it is in; the next frame starts another. */
void link_restart(void);
/* Close all idle connections. */
void link_close(void);

#endif
