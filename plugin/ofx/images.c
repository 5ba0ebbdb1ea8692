#include "images.h"

#include <string.h>

#include "shim.h"

static const size_t SAMPLE = sizeof(float);

/* --- reading what a host says of an image ---------------------------------------------------- */

static int text_is(OfxPropertySetHandle set, const char *name, const char *expected)
{
    char *found = NULL;
    return suites.property->propGetString(set, name, 0, &found) == kOfxStatOK && found != NULL
           && strcmp(found, expected) == 0;
}

const char *picture_read(OfxPropertySetHandle image, struct picture *picture)
{
    void *data = NULL;
    int row_bytes = 0, bounds[4] = {0, 0, 0, 0};
    if (!text_is(image, kOfxImageEffectPropPixelDepth, kOfxBitDepthFloat))
        return "pixels that are not float";
    if (text_is(image, kOfxImageEffectPropComponents, kOfxImageComponentRGBA))
        picture->components = 4;
    else if (text_is(image, kOfxImageEffectPropComponents, kOfxImageComponentRGB))
        picture->components = 3;
    else if (text_is(image, kOfxImageEffectPropComponents, kOfxImageComponentAlpha))
        picture->components = 1;
    else
        return "components other than RGBA, RGB or alpha";
    if (suites.property->propGetPointer(image, kOfxImagePropData, 0, &data) != kOfxStatOK
        || data == NULL)
        return "no pixels";
    if (suites.property->propGetIntN(image, kOfxImagePropBounds, 4, bounds) != kOfxStatOK
        || suites.property->propGetInt(image, kOfxImagePropRowBytes, 0, &row_bytes) != kOfxStatOK)
        return "no bounds";
    int64_t width = (int64_t)bounds[2] - bounds[0], height = (int64_t)bounds[3] - bounds[1];
    int64_t length = row_bytes < 0 ? -(int64_t)row_bytes : row_bytes;
    if (width <= 0 || height <= 0 || width > 1 << 20 || height > 1 << 20)
        return "bounds that hold no pixel";
    if (height > 1 && length < width * picture->components * (int64_t)SAMPLE)
        return "rows that are shorter than their pixels";
    picture->data = data;
    picture->row_bytes = row_bytes;
    picture->bounds = (OfxRectI){bounds[0], bounds[1], bounds[2], bounds[3]};
    return NULL;
}

/* --- rectangles and rows --------------------------------------------------------------------- */

OfxRectI rect_common(OfxRectI a, OfxRectI b)
{
    return (OfxRectI){a.x1 > b.x1 ? a.x1 : b.x1, a.y1 > b.y1 ? a.y1 : b.y1,
                      a.x2 < b.x2 ? a.x2 : b.x2, a.y2 < b.y2 ? a.y2 : b.y2};
}

int rect_empty(OfxRectI rect) { return rect.x1 >= rect.x2 || rect.y1 >= rect.y2; }

static size_t across(OfxRectI rect) { return (size_t)((int64_t)rect.x2 - rect.x1); }

/* The pixel (x, y), which must lie inside the bounds. */
static float *pixel(const struct picture *picture, int x, int y)
{
    ptrdiff_t row = (ptrdiff_t)y - picture->bounds.y1, column = (ptrdiff_t)x - picture->bounds.x1;
    return (float *)(void *)(picture->data + row * picture->row_bytes
                             + column * picture->components * (ptrdiff_t)SAMPLE);
}

/* A row between pictures of one, three or four components; alpha that is not there is 1. */
static void convert(float *to, int to_components, const float *from, int from_components,
                    size_t count)
{
    if (to_components == from_components) {
        memcpy(to, from, count * (size_t)to_components * SAMPLE);
        return;
    }
    for (size_t i = 0; i < count; i++, to += to_components, from += from_components) {
        for (int c = 0; c < to_components && c < 3; c++)
            to[c] = from_components == 1 ? from[0] : from[c];
        if (to_components == 4)
            to[3] = 1.0f;
    }
}

static void clear_span(const struct picture *to, int y, int x1, int x2)
{
    if (x1 < x2)
        memset(pixel(to, x1, y), 0,
               (size_t)((int64_t)x2 - x1) * (size_t)to->components * SAMPLE);
}

void picture_clear(const struct picture *to, OfxRectI window)
{
    window = rect_common(window, to->bounds);
    for (int y = window.y1; y < window.y2; y++)
        clear_span(to, y, window.x1, window.x2);
}

void picture_copy(const struct picture *to, const struct picture *from, OfxRectI window)
{
    window = rect_common(window, to->bounds);
    if (rect_empty(window))
        return;
    OfxRectI both = rect_common(window, from->bounds);
    if (rect_empty(both)) {
        picture_clear(to, window);
        return;
    }
    size_t row = across(both) * (size_t)to->components * SAMPLE;
    if (memcmp(&both, &window, sizeof both) == 0 && to->components == from->components
        && to->row_bytes == from->row_bytes && to->row_bytes == (ptrdiff_t)row) {
        /* One block: the library's copy of large blocks spares the cache. */
        memcpy(pixel(to, both.x1, both.y1), pixel(from, both.x1, both.y1),
               row * (size_t)((int64_t)both.y2 - both.y1));
        return;
    }
    for (int y = window.y1; y < window.y2; y++) {
        if (y < both.y1 || y >= both.y2) {
            clear_span(to, y, window.x1, window.x2);
            continue;
        }
        clear_span(to, y, window.x1, both.x1);
        convert(pixel(to, both.x1, y), to->components, pixel(from, both.x1, y), from->components,
                across(both));
        clear_span(to, y, both.x2, window.x2);
    }
}

void picture_copy_around(const struct picture *to, const struct picture *from, OfxRectI window,
                         OfxRectI hole)
{
    hole = rect_common(hole, window);
    if (rect_empty(hole)) {
        picture_copy(to, from, window);
        return;
    }
    picture_copy(to, from, (OfxRectI){window.x1, window.y1, window.x2, hole.y1});
    picture_copy(to, from, (OfxRectI){window.x1, hole.y1, hole.x1, hole.y2});
    picture_copy(to, from, (OfxRectI){hole.x2, hole.y1, window.x2, hole.y2});
    picture_copy(to, from, (OfxRectI){window.x1, hole.y2, window.x2, window.y2});
}

/* --- to and from the worker ------------------------------------------------------------------ */

void picture_send(const struct picture *from, OfxRectI rect, float *rgba)
{
    for (int y = rect.y2 - 1; y >= rect.y1; y--, rgba += 4 * across(rect))
        convert(rgba, 4, pixel(from, rect.x1, y), from->components, across(rect));
}

void picture_send_mask(const struct picture *from, OfxRectI rect, float *mask)
{
    OfxRectI both = rect_common(rect, from->bounds);
    size_t step = (size_t)from->components, alpha = step - 1;
    for (int y = rect.y2 - 1; y >= rect.y1; y--, mask += across(rect)) {
        memset(mask, 0, across(rect) * SAMPLE);
        if (rect_empty(both) || y < both.y1 || y >= both.y2)
            continue;
        const float *row = pixel(from, both.x1, y) + alpha;
        float *to = mask + ((ptrdiff_t)both.x1 - rect.x1);
        for (size_t i = 0; i < across(both); i++)
            to[i] = row[step * i];
    }
}

void picture_receive(const struct picture *to, OfxRectI rect, OfxRectI part, const float *rgba,
                     int opaque)
{
    part = rect_common(rect_common(part, rect), to->bounds);
    if (rect_empty(part))
        return;
    size_t count = across(part);
    for (int y = part.y1; y < part.y2; y++) {
        size_t row = (size_t)((int64_t)rect.y2 - 1 - y), column = (size_t)((int64_t)part.x1 - rect.x1);
        float *pixels = pixel(to, part.x1, y);
        convert(pixels, to->components, rgba + 4 * (row * across(rect) + column), 4, count);
        for (size_t i = 0; opaque && to->components == 4 && i < count; i++)
            pixels[4 * i + 3] = 1.0f;
    }
}
