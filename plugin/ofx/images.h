/* Rows of a host's pictures: float RGBA, RGB or alpha, y up, at any offset and any row length. */
#ifndef SEMBLANCE_IMAGES_H
#define SEMBLANCE_IMAGES_H

#include <stddef.h>
#include <stdint.h>

#include "ofx_abi.h"

struct picture {
    unsigned char *data; /* of pixel (bounds.x1, bounds.y1), the lowest row */
    ptrdiff_t row_bytes; /* may be negative, or longer than a row's pixels */
    OfxRectI bounds;
    int components; /* 1, 3 or 4 */
};

/* Read what an image says of itself; returns what is wrong with it, or NULL. */
const char *picture_read(OfxPropertySetHandle image, struct picture *picture);

OfxRectI rect_common(OfxRectI a, OfxRectI b);
int rect_empty(OfxRectI rect);

/* Every pixel of `window`, and no other: from where `from` has pixels, zero elsewhere. */
void picture_copy(const struct picture *to, const struct picture *from, OfxRectI window);
/* The same, but for the pixels of `hole`. */
void picture_copy_around(const struct picture *to, const struct picture *from, OfxRectI window,
                         OfxRectI hole);
void picture_clear(const struct picture *to, OfxRectI window);

/* Exchange with the worker: RGBA (or one channel of a mask), rows of `rect` top-down, packed. */
void picture_send(const struct picture *from, OfxRectI rect, float *rgba);
void picture_send_mask(const struct picture *from, OfxRectI rect, float *mask);
/* The part of `rect` that lies in `part`. `opaque` puts 1 for alpha, as a source of RGB has it. */
void picture_receive(const struct picture *to, OfxRectI rect, OfxRectI part, const float *rgba,
                     int opaque);

#endif
