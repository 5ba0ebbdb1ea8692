/* The smallest plug-in that does everything by the book: Output = Source x gain, times Mask.
   FAULT, from the environment at load, names one thing that it then does wrong. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { void *host; const void *(*fetch)(void *, const char *, int); } Host;
typedef struct {
    const char *api; int api_version; const char *identifier; unsigned major, minor;
    void (*set_host)(Host *);
    int (*entry)(const char *, const void *, void *, void *);
} Plugin;

enum { OK, FAILED, DEFAULT = 14 };

static Host *host;
static void *const *props, *const *effects, *const *params, *const *messages;
static const char *fault = "";

static int faulty(const char *name) { return strcmp(fault, name) == 0; }

#define SET_STRING(s, n, i, v) ((int (*)(void *, const char *, int, const char *))props[1])(s, n, i, v)
#define SET_DOUBLE(s, n, i, v) ((int (*)(void *, const char *, int, double))props[2])(s, n, i, v)
#define SET_INT(s, n, i, v) ((int (*)(void *, const char *, int, int))props[3])(s, n, i, v)
#define GET_POINTER(s, n, i, v) ((int (*)(void *, const char *, int, void **))props[8])(s, n, i, v)
#define GET_STRING(s, n, i, v) ((int (*)(void *, const char *, int, char **))props[9])(s, n, i, v)
#define GET_DOUBLE(s, n, i, v) ((int (*)(void *, const char *, int, double *))props[10])(s, n, i, v)
#define GET_INT(s, n, i, v) ((int (*)(void *, const char *, int, int *))props[11])(s, n, i, v)
#define GET_INTS(s, n, c, v) ((int (*)(void *, const char *, int, int *))props[15])(s, n, c, v)
#define EFFECT_PROPS(e, p) ((int (*)(const void *, void **))effects[0])(e, p)
#define EFFECT_PARAMS(e, p) ((int (*)(const void *, void **))effects[1])(e, p)
#define DEFINE_CLIP(e, n, p) ((int (*)(const void *, const char *, void **))effects[2])(e, n, p)
#define CLIP(e, n, c) ((int (*)(const void *, const char *, void **, void **))effects[3])(e, n, c, NULL)
#define IMAGE(c, t, i) ((int (*)(void *, double, void *, void **))effects[5])(c, t, NULL, i)
#define RELEASE(i) ((int (*)(void *))effects[6])(i)
#define REGION(c, t, r) ((int (*)(void *, double, double *))effects[7])(c, t, r)
#define ABORT(e) ((int (*)(const void *))effects[8])(e)
#define DEFINE(s, t, n, p) ((int (*)(void *, const char *, const char *, void **))params[0])(s, t, n, p)
#define PARAM(s, n, p) ((int (*)(void *, const char *, void **, void **))params[1])(s, n, p, NULL)
#define VALUE ((int (*)(void *, ...))params[4])
#define VALUE_AT ((int (*)(void *, double, ...))params[5])
#define SET_VALUE ((int (*)(void *, ...))params[8])
#define PERSISTENT ((int (*)(const void *, const char *, const char *, const char *, ...))messages[1])

static void *dangling;

static int load(void)
{
    fault = getenv("FAULT") ? getenv("FAULT") : "";
    props = host->fetch(host->host, "OfxPropertySuite", 1);
    effects = host->fetch(host->host, "OfxImageEffectSuite", 1);
    params = host->fetch(host->host, "OfxParameterSuite", 1);
    messages = host->fetch(host->host, "OfxMessageSuite", 2);
    return props && effects && params ? OK : 4;
}

static int describe(const void *effect)
{
    void *set;
    EFFECT_PROPS(effect, &set);
    SET_STRING(set, "OfxPropLabel", 0, faulty("label") ? "Ex-ample" : "Example");
    SET_STRING(set, "OfxImageEffectPropSupportedContexts", 0, "OfxImageEffectContextFilter");
    SET_STRING(set, "OfxImageEffectPropSupportedContexts", faulty("index") ? 7 : 1,
               "OfxImageEffectContextGeneral");
    SET_STRING(set, "OfxImageEffectPropSupportedPixelDepths", 0, "OfxBitDepthFloat");
    SET_STRING(set, "OfxImageEffectPluginRenderThreadSafety", 0, "OfxImageEffectRenderInstanceSafe");
    SET_INT(set, "OfxImageEffectPropSupportsTiles", 0, 0);
    if (faulty("type")) SET_DOUBLE(set, "OfxImageEffectPropSupportsTiles", 0, 0.0);
    if (faulty("unknown")) SET_INT(set, "OfxImageEffectPropSupportsTilez", 0, 0);
    if (faulty("readonly")) SET_STRING(set, "OfxPropType", 0, "mine");
    if (faulty("late_fetch")) host->fetch(host->host, "OfxMemorySuite", 1);
    return OK;
}

static int describe_context(const void *effect)
{
    static const char *const names[] = {"Source", "Mask", "Output"};
    void *set, *param, *prop;
    for (int i = 0; i < 3; i++) {
        DEFINE_CLIP(effect, names[i], &prop);
        SET_STRING(prop, "OfxImageEffectPropSupportedComponents", 0,
                   i == 1 ? "OfxImageComponentAlpha" : "OfxImageComponentRGBA");
        if (i == 1) {
            SET_STRING(prop, "OfxImageEffectPropSupportedComponents", 1, "OfxImageComponentRGBA");
            SET_INT(prop, "OfxImageClipPropOptional", 0, 1);
            SET_INT(prop, "OfxImageClipPropIsMask", 0, 1);
        } else {
            SET_STRING(prop, "OfxImageEffectPropSupportedComponents", 1, "OfxImageComponentRGB");
        }
    }
    if (faulty("clip_twice")) DEFINE_CLIP(effect, "Source", &prop);
    EFFECT_PARAMS(effect, &set);
    DEFINE(set, "OfxParamTypeDouble", "gain", &param);
    SET_DOUBLE(param, "OfxParamPropDefault", 0, 1.0);
    SET_DOUBLE(param, "OfxParamPropMin", 0, 0.0);
    SET_DOUBLE(param, "OfxParamPropMax", 0, 100.0);
    if (!faulty("no_display")) {
        SET_DOUBLE(param, "OfxParamPropDisplayMin", 0, 0.0);
        SET_DOUBLE(param, "OfxParamPropDisplayMax", 0, 4.0);
    }
    if (faulty("param_twice")) DEFINE(set, "OfxParamTypeDouble", "gain", &param);
    DEFINE(set, "OfxParamTypeString", "error", &param);
    dangling = param;
    return OK;
}

static int instance_changed(const void *effect)
{
    if (messages && messages[1] && messages[2] && ((uintptr_t)messages[2] >> 48) == 0)
        ((int (*)(const void *))messages[2])(effect);
    return OK;
}

typedef struct { char *data; int bounds[4], pitch, channels; void *handle; } Picture;

static int open_picture(const void *effect, const char *name, double time, Picture *out)
{
    void *clip;
    char *components;
    memset(out, 0, sizeof *out);
    if (CLIP(effect, name, &clip) != OK || IMAGE(clip, time, &out->handle) != OK || !out->handle) {
        out->handle = NULL;
        return 0;
    }
    GET_POINTER(out->handle, "OfxImagePropData", 0, (void **)&out->data);
    GET_INTS(out->handle, "OfxImagePropBounds", 4, out->bounds);
    GET_INT(out->handle, "OfxImagePropRowBytes", 0, &out->pitch);
    GET_STRING(out->handle, "OfxImageEffectPropComponents", 0, &components);
    out->channels = strcmp(components, "OfxImageComponentRGBA") == 0 ? 4
                    : strcmp(components, "OfxImageComponentRGB") == 0 ? 3 : 1;
    return 1;
}

static float *pixel(const Picture *p, int x, int y)
{
    if (!p->handle || x < p->bounds[0] || y < p->bounds[1] || x >= p->bounds[2] || y >= p->bounds[3])
        return NULL;
    ptrdiff_t row = faulty("pitch") ? abs(p->pitch) : p->pitch;
    return (float *)(p->data + (y - p->bounds[1]) * row + (ptrdiff_t)(x - p->bounds[0]) * p->channels * 4);
}

static int render(const void *effect, void *in)
{
    double time, gain;
    int window[4];
    char *error;
    void *set, *param, *clip;
    Picture source, mask, output;
    GET_DOUBLE(in, "OfxPropTime", 0, &time);
    GET_INTS(in, "OfxImageEffectPropRenderWindow", 4, window);
    EFFECT_PARAMS(effect, &set);
    PARAM(set, "error", &param);
    VALUE_AT(param, time, &error);
    if (faulty("keep_string")) {
        PARAM(set, "gain", &param);
        if (error[0] == '?') return FAILED;
    }
    if (error[0] && messages) {
        char copy[64];
        strncpy(copy, error, 63), copy[63] = 0;
        if (faulty("format")) PERSISTENT(effect, "OfxMessageError", "id", copy);
        else PERSISTENT(effect, "OfxMessageError", "id", "%s", copy);
        return FAILED;
    }
    PARAM(set, "gain", &param);
    if (faulty("not_at_time")) VALUE(param, &gain);
    else VALUE_AT(param, faulty("other_time") ? time + 1 : time, &gain);
    if (faulty("set_in_render")) SET_VALUE(param, 2.0);
    if (faulty("dangling")) SET_INT(dangling, "OfxParamPropSecret", 0, 1);
    if (faulty("wrong_handle")) ABORT(param);
    if (faulty("unknown_param")) PARAM(set, "gane", &clip);
    open_picture(effect, "Source", time, &source);
    open_picture(effect, "Mask", time, &mask);
    if (!open_picture(effect, "Output", time, &output)) return FAILED;
    if (faulty("write_input")) source.data[0] = 1;
    if (faulty("touch_handle")) *(volatile char *)source.handle = 1;
    if (faulty("use_released")) RELEASE(output.handle);
    int extra = faulty("overrun") ? 1 : 0, missing = faulty("underrun") ? 1 : 0;
    for (int y = window[1]; y < window[3]; y++) {
        if (ABORT(effect)) break;
        for (int x = window[0]; x < window[2] + extra - missing; x++) {
            const float *from = pixel(&source, x, y), *m = pixel(&mask, x, y);
            float *to = pixel(&output, faulty("overrun") && x >= output.bounds[2] ? x - 1 : x, y);
            if (faulty("off_window") && y > window[1]) to = pixel(&output, x, y - 1);
            if (faulty("beyond") && x == window[2] - 1)
                to = (float *)((char *)pixel(&output, x, y) + 4096);
            float k = (float)gain * (mask.handle ? (m ? m[mask.channels - 1] : 0) : 1);
            for (int c = 0; to && c < output.channels; c++)
                to[c] = from ? (c < 3 ? from[c] * k : from[c]) : 0;
        }
    }
    if (source.handle && !faulty("leak")) RELEASE(source.handle);
    if (faulty("release_twice")) RELEASE(source.handle);
    if (mask.handle) RELEASE(mask.handle);
    if (!faulty("use_released")) RELEASE(output.handle);
    return OK;
}

static int region(const void *effect, void *in, void *out)
{
    double time, r[4];
    void *clip;
    GET_DOUBLE(in, "OfxPropTime", 0, &time);
    CLIP(effect, "Source", &clip);
    if (REGION(clip, time, r) != OK) return DEFAULT;
    for (int i = 0; i < 4; i++) SET_DOUBLE(out, "OfxImageEffectPropRegionOfDefinition", i, r[i]);
    return OK;
}

static int entry(const char *action, const void *effect, void *in, void *out)
{
    if (!strcmp(action, "OfxActionLoad")) return load();
    if (!strcmp(action, "OfxActionDescribe")) return describe(effect);
    if (!strcmp(action, "OfxImageEffectActionDescribeInContext")) return describe_context(effect);
    if (!strcmp(action, "OfxActionInstanceChanged")) return instance_changed(effect);
    if (!strcmp(action, "OfxImageEffectActionGetRegionOfDefinition")) return region(effect, in, out);
    if (!strcmp(action, "OfxImageEffectActionRender")) return render(effect, in);
    return strcmp(action, "OfxActionUnload") ? DEFAULT : OK;
}

static void set_host(Host *given) { host = given; }

static Plugin plugin = {"OfxImageEffectPluginAPI", 1, "org.example.gain", 1, 0, set_host, entry};

int OfxGetNumberOfPlugins(void) { return 1; }
Plugin *OfxGetPlugin(int nth) { return nth == 0 ? &plugin : NULL; }
