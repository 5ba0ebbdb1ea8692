/* The OpenFX node: answers a host's actions, and hands frames to the worker (link.h).
 *
 * Nothing here draws. A render copies Source to Output while the worker draws the face, and lays
 * what changed over it; where the worker can't, the frame fails with the reason on the node.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"
#include "link.h"
#include "parameters.h"
#include "platform.h"
#include "shim.h"
#include "version.h"

#define IDENTIFIER "io.github.semblance.semblance"
#define MASK_CLIP "Mask"
#define MESSAGE_ID "semblance"

struct suites suites;
static OfxHost *host;

struct instance {
    OfxImageEffectHandle effect;
    OfxImageClipHandle source, mask, output; /* mask: NULL where the host has no such input */
    struct parameters parameters;
    int64_t id;
    char shown[LINK_TEXT]; /* the message on the node, as far as we know; under platform_lock */
};

/* --- properties ------------------------------------------------------------------------------ */

static void set_texts(OfxPropertySetHandle set, const char *name, const char *first,
                      const char *second)
{
    (void)suites.property->propSetString(set, name, 0, first);
    if (second != NULL)
        (void)suites.property->propSetString(set, name, 1, second);
}

static void set_int(OfxPropertySetHandle set, const char *name, int value)
{
    (void)suites.property->propSetInt(set, name, 0, value);
}

/* The host's text, or an empty one. Valid until the host is called again. */
static const char *text_of(OfxPropertySetHandle set, const char *name)
{
    char *text = NULL;
    if (set == NULL || suites.property->propGetString(set, name, 0, &text) != kOfxStatOK)
        return "";
    return text != NULL ? text : "";
}

static int doubles_of(OfxPropertySetHandle set, const char *name, int count, double *values)
{
    return set != NULL && suites.property->propGetDoubleN(set, name, count, values) == kOfxStatOK;
}

static double time_of(OfxPropertySetHandle in)
{
    double time = 0.0;
    (void)doubles_of(in, kOfxPropTime, 1, &time);
    return time;
}

static struct instance *instance_of(OfxImageEffectHandle effect)
{
    OfxPropertySetHandle set = NULL;
    void *data = NULL;
    if (suites.effect->getPropertySet(effect, &set) != kOfxStatOK
        || suites.property->propGetPointer(set, kOfxPropInstanceData, 0, &data) != kOfxStatOK)
        return NULL;
    return data;
}

/* --- the message on the node ----------------------------------------------------------------- */

/* Only on change: a host's console may get a line for each call. An empty text clears; an error
 * left standing would keep some hosts from ever rendering this node again. */
static void show(struct instance *instance, const char *type, const char *text)
{
    platform_lock();
    int changed = strcmp(instance->shown, text) != 0;
    if (changed)
        snprintf(instance->shown, sizeof instance->shown, "%s", text);
    platform_unlock();
    if (!changed)
        return;
    if (text[0] == '\0') {
        if (suites.message != NULL)
            (void)suites.message->clearPersistentMessage(instance->effect);
    } else if (suites.message != NULL) {
        (void)suites.message->setPersistentMessage(instance->effect, type, MESSAGE_ID, "%s", text);
    } else if (suites.plain != NULL && strcmp(type, kOfxMessageError) == 0) {
        /* A box that is clicked away: for errors alone. */
        (void)suites.plain->message(instance->effect, type, MESSAGE_ID, "%s", text);
    }
}

/* --- load and describe ----------------------------------------------------------------------- */

static OfxStatus load(void)
{
    if (host == NULL || host->fetchSuite == NULL)
        return kOfxStatErrMissingHostFeature;
    suites.property = host->fetchSuite(host->host, kOfxPropertySuite, 1);
    suites.effect = host->fetchSuite(host->host, kOfxImageEffectSuite, 1);
    suites.parameter = host->fetchSuite(host->host, kOfxParameterSuite, 1);
    suites.message = host->fetchSuite(host->host, kOfxMessageSuite, 2);
    suites.plain = host->fetchSuite(host->host, kOfxMessageSuite, 1);
    /* Resolve hands out version 2 without its functions: NULL first, then whatever lies there. */
    if (suites.message != NULL
        && (suites.message->setPersistentMessage == NULL
            || suites.message->clearPersistentMessage == NULL))
        suites.message = NULL;
    if (suites.plain != NULL && suites.plain->message == NULL)
        suites.plain = NULL;
    return suites.property != NULL && suites.effect != NULL && suites.parameter != NULL
               ? kOfxStatOK
               : kOfxStatErrMissingHostFeature;
}

static OfxStatus unload(void)
{
    link_close();
    memset(&suites, 0, sizeof suites);
    return kOfxStatOK;
}

/* A pure function of this binary: hosts keep the answer on disk. */
static OfxStatus describe(OfxImageEffectHandle effect)
{
    OfxPropertySetHandle set = NULL;
    if (suites.effect->getPropertySet(effect, &set) != kOfxStatOK)
        return kOfxStatOK; /* an error here leaves an empty menu entry, or worse */
    set_texts(set, kOfxPropLabel, "Semblance", NULL);
    set_texts(set, kOfxPropShortLabel, "Semblance", NULL);
    set_texts(set, kOfxPropLongLabel, "Semblance", NULL);
    set_texts(set, kOfxImageEffectPluginPropGrouping, "Semblance", NULL);
    set_texts(set, kOfxPropPluginDescription,
              "Lays a consented likeness over a performance, in scene-linear light. "
              "Version " SEMBLANCE_VERSION ".", NULL);
    set_texts(set, kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextFilter,
              kOfxImageEffectContextGeneral);
    set_texts(set, kOfxImageEffectPropSupportedPixelDepths, kOfxBitDepthFloat, NULL);
    set_texts(set, kOfxImageEffectPluginRenderThreadSafety, kOfxImageEffectRenderInstanceSafe,
              NULL);
    set_int(set, kOfxImageEffectPluginPropHostFrameThreading, 0);
    set_int(set, kOfxImageEffectPluginPropFieldRenderTwiceAlways, 0);
    set_int(set, kOfxImageEffectPropSupportsTiles, 0); /* a face is found in the whole frame */
    set_int(set, kOfxImageEffectPropSupportsMultiResolution, 1);
    set_int(set, kOfxImageEffectPropTemporalClipAccess, 0);
    set_int(set, kOfxImageEffectPropSupportsMultipleClipDepths, 0);
    set_int(set, kOfxImageEffectPropSupportsMultipleClipPARs, 0);
    return kOfxStatOK;
}

static OfxStatus define_clip(OfxImageEffectHandle effect, const char *name, const char *first,
                             const char *second, int is_mask)
{
    OfxPropertySetHandle set = NULL;
    if (suites.effect->clipDefine(effect, name, &set) != kOfxStatOK)
        return kOfxStatFailed;
    set_texts(set, kOfxImageEffectPropSupportedComponents, first, second);
    set_int(set, kOfxImageEffectPropSupportsTiles, 0);
    set_int(set, kOfxImageEffectPropTemporalClipAccess, 0);
    if (is_mask) {
        set_int(set, kOfxImageClipPropOptional, 1);
        set_int(set, kOfxImageClipPropIsMask, 1);
    }
    return kOfxStatOK;
}

/* The same in both contexts; inputs in the order in which a host shows them. */
static OfxStatus describe_in_context(OfxImageEffectHandle effect)
{
    if (define_clip(effect, kOfxImageEffectSimpleSourceClipName, kOfxImageComponentRGBA,
                    kOfxImageComponentRGB, 0) != kOfxStatOK
        || define_clip(effect, MASK_CLIP, kOfxImageComponentAlpha, kOfxImageComponentRGBA, 1)
               != kOfxStatOK
        || define_clip(effect, kOfxImageEffectOutputClipName, kOfxImageComponentRGBA,
                       kOfxImageComponentRGB, 0) != kOfxStatOK)
        return kOfxStatFailed;
    return parameters_define(effect);
}

/* --- instances ------------------------------------------------------------------------------- */

static OfxImageClipHandle clip_of(OfxImageEffectHandle effect, const char *name)
{
    OfxImageClipHandle clip = NULL;
    if (suites.effect->clipGetHandle(effect, name, &clip, NULL) != kOfxStatOK)
        return NULL;
    return clip;
}

/* Starts no process and sets no value: hosts have crashed over either. */
static OfxStatus create_instance(OfxImageEffectHandle effect)
{
    OfxPropertySetHandle set = NULL;
    struct instance *instance = calloc(1, sizeof *instance);
    if (instance == NULL)
        return kOfxStatErrMemory;
    instance->effect = effect;
    instance->source = clip_of(effect, kOfxImageEffectSimpleSourceClipName);
    instance->mask = clip_of(effect, MASK_CLIP);
    instance->output = clip_of(effect, kOfxImageEffectOutputClipName);
    instance->id = (int64_t)(platform_random() >> 1);
    if (instance->source == NULL || instance->output == NULL
        || !parameters_bind(effect, &instance->parameters)
        || suites.effect->getPropertySet(effect, &set) != kOfxStatOK
        || suites.property->propSetPointer(set, kOfxPropInstanceData, 0, instance) != kOfxStatOK) {
        free(instance);
        return kOfxStatFailed;
    }
    return kOfxStatOK;
}

static OfxStatus destroy_instance(OfxImageEffectHandle effect)
{
    struct instance *instance = instance_of(effect);
    OfxPropertySetHandle set = NULL;
    if (instance == NULL)
        return kOfxStatErrBadHandle;
    link_forget(instance->id);
    if (suites.effect->getPropertySet(effect, &set) == kOfxStatOK)
        (void)suites.property->propSetPointer(set, kOfxPropInstanceData, 0, NULL);
    free(instance);
    return kOfxStatOK;
}

static OfxStatus instance_changed(struct instance *instance, OfxPropertySetHandle in)
{
    if (strcmp(text_of(in, kOfxPropChangeReason), kOfxChangeTime) == 0)
        return kOfxStatReplyDefault;
    if (strcmp(text_of(in, kOfxPropName), PARAMETER_RESTART) == 0)
        link_restart();
    show(instance, kOfxMessageError, "");
    return kOfxStatOK;
}

/* --- what a host asks before it renders ------------------------------------------------------ */

static int is_connected(OfxImageClipHandle clip)
{
    OfxPropertySetHandle set = NULL;
    int connected = 0;
    return clip != NULL && suites.effect->clipGetPropertySet(clip, &set) == kOfxStatOK
           && suites.property->propGetInt(set, kOfxImageClipPropConnected, 0, &connected)
                  == kOfxStatOK
           && connected;
}

/* Output has what Source has. It varies with time over a still: the track and the grain do. */
static OfxStatus clip_preferences(const struct instance *instance, OfxPropertySetHandle out)
{
    OfxPropertySetHandle set = NULL;
    const char *components = kOfxImageComponentRGBA;
    if (suites.effect->clipGetPropertySet(instance->source, &set) != kOfxStatOK)
        return kOfxStatReplyDefault;
    if (strcmp(text_of(set, kOfxImageEffectPropComponents), kOfxImageComponentRGB) == 0)
        components = kOfxImageComponentRGB;
    set_texts(out, "OfxImageClipPropComponents_" kOfxImageEffectOutputClipName, components, NULL);
    set_texts(out, "OfxImageClipPropComponents_" kOfxImageEffectSimpleSourceClipName, components,
              NULL);
    char premultiplied[64];
    snprintf(premultiplied, sizeof premultiplied, "%s",
             text_of(set, kOfxImageEffectPropPreMultiplication));
    if (premultiplied[0] != '\0')
        set_texts(out, kOfxImageEffectPropPreMultiplication, premultiplied, NULL);
    set_int(out, kOfxImageEffectFrameVarying, 1);
    return kOfxStatOK;
}

static int set_region(OfxImageClipHandle clip, double time, OfxPropertySetHandle out,
                      const char *name)
{
    OfxRectD region;
    if (suites.effect->clipGetRegionOfDefinition(clip, time, &region) != kOfxStatOK)
        return 0;
    const double values[4] = {region.x1, region.y1, region.x2, region.y2};
    return suites.property->propSetDoubleN(out, name, 4, values) == kOfxStatOK;
}

/* The source's, whatever the mask's is; a host's own guess would be the union. */
static OfxStatus region_of_definition(const struct instance *instance, OfxPropertySetHandle in,
                                      OfxPropertySetHandle out)
{
    return set_region(instance->source, time_of(in), out, kOfxImageEffectPropRegionOfDefinition)
               ? kOfxStatOK
               : kOfxStatReplyDefault;
}

static OfxStatus regions_of_interest(const struct instance *instance, OfxPropertySetHandle in,
                                     OfxPropertySetHandle out)
{
    double time = time_of(in);
    if (!set_region(instance->source, time, out,
                    "OfxImageClipPropRoI_" kOfxImageEffectSimpleSourceClipName))
        return kOfxStatReplyDefault;
    if (is_connected(instance->mask))
        (void)set_region(instance->mask, time, out, "OfxImageClipPropRoI_" MASK_CLIP);
    return kOfxStatOK;
}

/* Asked often: answered from the parameters alone. */
static OfxStatus is_identity(const struct instance *instance, OfxPropertySetHandle in,
                             OfxPropertySetHandle out)
{
    double time = time_of(in);
    if (!parameters_idle(&instance->parameters, time))
        return kOfxStatReplyDefault;
    set_texts(out, kOfxPropName, kOfxImageEffectSimpleSourceClipName, NULL);
    (void)suites.property->propSetDouble(out, kOfxPropTime, 0, time);
    return kOfxStatOK;
}

/* --- render ---------------------------------------------------------------------------------- */

struct render {
    struct instance *instance;
    OfxPropertySetHandle images[3];
    struct picture source, mask, output;
    int has_mask, copied;
    OfxRectI window; /* what the host asked for, inside Output */
    OfxRectI hole;   /* the part of it that waits for the result */
};

static int render_aborted(void *self)
{
    struct render *render = self;
    return suites.effect->abort(render->instance->effect) != 0;
}

/* The worker's rectangles were checked against bounds that are ints. */
static OfxRectI small(const link_rect rect)
{
    return (OfxRectI){(int)rect[0], (int)rect[1], (int)rect[2], (int)rect[3]};
}

static void render_fill(void *self, const link_rect wanted, float *source, float *mask)
{
    struct render *render = self;
    picture_send(&render->source, small(wanted), source);
    if (mask != NULL)
        picture_send_mask(&render->mask, small(wanted), mask);
}

static void render_meanwhile(void *self, const link_rect wanted)
{
    struct render *render = self;
    if (render->copied)
        return; /* the worker died, and this is another try */
    render->copied = 1;
    render->hole = rect_common(small(wanted), render->window);
    picture_copy_around(&render->output, &render->source, render->window, render->hole);
}

static void render_take(void *self, const link_rect filled, const link_rect changed,
                        const float *result)
{
    struct render *render = self;
    OfxRectI part = rect_common(small(changed), render->window);
    if (!rect_empty(render->hole))
        picture_copy_around(&render->output, &render->source, render->hole, part);
    if (!rect_empty(part))
        picture_receive(&render->output, small(filled), part, result,
                        render->source.components == 3);
}

/* Get an image and read it; NULL where there is none. `wrong` is set where it can't be used. */
static OfxPropertySetHandle image_of(OfxImageClipHandle clip, double time, struct picture *picture,
                                     const char **wrong)
{
    OfxPropertySetHandle image = NULL;
    if (suites.effect->clipGetImage(clip, time, NULL, &image) != kOfxStatOK || image == NULL)
        return NULL;
    *wrong = picture_read(image, picture);
    return image;
}

/* Fetch what this frame is made of; returns 0 with a reason, which is empty after an abort. */
static int fetch(struct render *render, double time, char reason[LINK_TEXT])
{
    struct instance *instance = render->instance;
    const char *wrong = NULL, *name = kOfxImageEffectOutputClipName;
    render->images[0] = image_of(instance->output, time, &render->output, &wrong);
    if (render->images[0] != NULL && wrong == NULL) {
        name = kOfxImageEffectSimpleSourceClipName;
        render->images[1] = image_of(instance->source, time, &render->source, &wrong);
    }
    if (wrong == NULL && render->images[1] != NULL
        && (render->source.components == 1 || render->output.components == 1))
        wrong = "alpha alone";
    if (wrong == NULL && render->images[1] != NULL && is_connected(instance->mask)
        && parameters_use_mask(&instance->parameters, time)) {
        /* NULL is no mask: some hosts call every input connected. */
        const char *unfit = NULL;
        render->images[2] = image_of(instance->mask, time, &render->mask, &unfit);
        render->has_mask = render->images[2] != NULL;
        if (unfit == NULL && render->has_mask && render->mask.components == 3)
            unfit = "no alpha";
        if (unfit != NULL) {
            wrong = unfit;
            name = MASK_CLIP;
        }
    }
    reason[0] = '\0';
    if (wrong == NULL && render->images[1] != NULL)
        return 1;
    if (render_aborted(render))
        return 0;
    if (wrong != NULL)
        snprintf(reason, LINK_TEXT, "%s has %s at frame %g; float RGBA or RGB is needed "
                 "(Mask: with alpha).", name, wrong, time);
    else
        snprintf(reason, LINK_TEXT, "%s has no picture at frame %g. Connect it, or keep to the "
                 "frames that it has.", name, time);
    return 0;
}

static void release(struct render *render)
{
    for (int i = 0; i < 3; i++)
        if (render->images[i] != NULL)
            (void)suites.effect->clipReleaseImage(render->images[i]);
}

static int near(double expected, int found)
{
    return expected - found < 2.0 && found - expected < 2.0;
}

/* Whether Source's bounds are its region of definition at this scale. */
static int scale_fits(const OfxRectD *region, const double scale[2], double aspect,
                      OfxRectI bounds)
{
    return near(region->x1 * scale[0] / aspect, bounds.x1) && near(region->y1 * scale[1], bounds.y1)
           && near(region->x2 * scale[0] / aspect, bounds.x2)
           && near(region->y2 * scale[1], bounds.y2);
}

/* The render scale: the action's, unless the picture itself contradicts it and fits its own, or 1.
 * Fusion tells a scale of 1/3 while it scrubs, with pictures of another. */
static void find_scale(const struct render *render, OfxPropertySetHandle in, double time,
                       double aspect, double scale[2])
{
    double told[3][2] = {{1.0, 1.0}, {1.0, 1.0}, {1.0, 1.0}};
    OfxRectD region;
    (void)doubles_of(in, kOfxImageEffectPropRenderScale, 2, told[0]);
    (void)doubles_of(render->images[1], kOfxImageEffectPropRenderScale, 2, told[1]);
    int chosen = 0;
    if (suites.effect->clipGetRegionOfDefinition(render->instance->source, time, &region)
        == kOfxStatOK)
        while (chosen < 3 && !scale_fits(&region, told[chosen], aspect, render->source.bounds))
            chosen++;
    memcpy(scale, told[chosen % 3], sizeof told[0]);
}

/* The display window, which a track's y counts down from. A region of definition that starts
 * elsewhere than at 0 is a data window: then the project's size says more. */
static void find_window(const struct instance *instance, double time, double aspect,
                        double window[4])
{
    OfxPropertySetHandle set = NULL;
    OfxRectD region = {0.0, 0.0, 0.0, 0.0};
    int format[4] = {0, 0, 0, 0};
    double offset[2] = {0.0, 0.0}, size[2] = {0.0, 0.0};
    if (suites.effect->clipGetPropertySet(instance->source, &set) == kOfxStatOK
        && suites.property->propGetIntN(set, kOfxImageClipPropFormat, 4, format) == kOfxStatOK
        && format[0] < format[2] && format[1] < format[3]) {
        const double values[4] = {format[0] * aspect, format[1], format[2] * aspect, format[3]};
        memcpy(window, values, sizeof values);
        return;
    }
    (void)suites.effect->clipGetRegionOfDefinition(instance->source, time, &region);
    const double values[4] = {region.x1, region.y1, region.x2, region.y2};
    memcpy(window, values, sizeof values);
    if ((region.x1 != 0.0 || region.y1 != 0.0)
        && suites.effect->getPropertySet(instance->effect, &set) == kOfxStatOK
        && doubles_of(set, kOfxImageEffectPropProjectSize, 2, size) && size[0] > 0.0
        && size[1] > 0.0) {
        (void)doubles_of(set, kOfxImageEffectPropProjectOffset, 2, offset);
        const double project[4] = {offset[0], offset[1], offset[0] + size[0], offset[1] + size[1]};
        memcpy(window, project, sizeof project);
    }
}

static void put_rect(link_rect to, OfxRectI from)
{
    const link_rect values = {from.x1, from.y1, from.x2, from.y2};
    memcpy(to, values, sizeof values);
}

static enum link_status render_linked(struct render *render, OfxPropertySetHandle in, double time,
                                      char text[LINK_TEXT])
{
    struct instance *instance = render->instance;
    struct link_plan plan = {.instance = instance->id, .time = time, .aspect = 1.0};
    struct wire values = {0};
    const struct link_client client = {render, render_aborted, render_fill, render_meanwhile,
                                       render_take};
    if (!doubles_of(render->images[1], kOfxImagePropPixelAspectRatio, 1, &plan.aspect)
        || !(plan.aspect > 0.0))
        plan.aspect = 1.0;
    find_scale(render, in, time, plan.aspect, plan.scale);
    find_window(instance, time, plan.aspect, plan.window);
    put_rect(plan.source, render->source.bounds);
    put_rect(plan.render, render->window);
    plan.components = render->source.components;
    plan.premultiplied = render->source.components == 4
                         && strcmp(text_of(render->images[1], kOfxImageEffectPropPreMultiplication),
                                   kOfxImagePreMultiplied) == 0;
    plan.mask = render->has_mask;
    enum link_status status = LINK_FAILED;
    if (parameters_put(&instance->parameters, time, &values)) {
        plan.knobs = values.bytes;
        plan.knobs_size = values.size;
        status = link_render(&plan, &client, parameters_timeout(&instance->parameters, time), text);
    } else {
        snprintf(text, LINK_TEXT, "The host did not give the knobs' values at frame %g. "
                 "Make the node anew.", time);
    }
    wire_free(&values);
    return status;
}

static int is_whole_frame(OfxPropertySetHandle in)
{
    const char *field = text_of(in, kOfxImageEffectPropFieldToRender);
    return field[0] == '\0' || strcmp(field, kOfxImageFieldNone) == 0
           || strcmp(field, kOfxImageFieldBoth) == 0;
}

static OfxStatus render_frame(struct instance *instance, OfxPropertySetHandle in)
{
    struct render render = {.instance = instance};
    char text[LINK_TEXT] = "";
    double time = time_of(in);
    int window[4] = {0, 0, 0, 0};
    enum link_status status = LINK_FAILED;
    if (suites.property->propGetIntN(in, kOfxImageEffectPropRenderWindow, 4, window) != kOfxStatOK)
        snprintf(text, sizeof text, "The host did not say which window to render.");
    else if (!is_whole_frame(in))
        snprintf(text, sizeof text, "Single fields can't be rendered. De-interlace the plate first.");
    else if (!fetch(&render, time, text))
        status = text[0] == '\0' ? LINK_ABORTED : LINK_FAILED;
    else {
        render.window = rect_common(
            (OfxRectI){window[0], window[1], window[2], window[3]}, render.output.bounds);
        status = render_linked(&render, in, time, text);
        if (status == LINK_FAILED) /* a host that does not look at the status must not ship this */
            picture_clear(&render.output, render.window);
    }
    release(&render);
    if (status == LINK_ABORTED)
        return kOfxStatOK;
    show(instance, status == LINK_FAILED ? kOfxMessageError : kOfxMessageWarning, text);
    return status == LINK_FAILED ? kOfxStatFailed : kOfxStatOK;
}

/* --- entry ----------------------------------------------------------------------------------- */

static OfxStatus instance_action(const char *action, struct instance *instance,
                                 OfxPropertySetHandle in, OfxPropertySetHandle out)
{
    if (strcmp(action, kOfxImageEffectActionRender) == 0)
        return render_frame(instance, in);
    if (strcmp(action, kOfxImageEffectActionIsIdentity) == 0)
        return is_identity(instance, in, out);
    if (strcmp(action, kOfxImageEffectActionGetRegionOfDefinition) == 0)
        return region_of_definition(instance, in, out);
    if (strcmp(action, kOfxImageEffectActionGetRegionsOfInterest) == 0)
        return regions_of_interest(instance, in, out);
    if (strcmp(action, kOfxImageEffectActionGetClipPreferences) == 0)
        return clip_preferences(instance, out);
    return instance_changed(instance, in);
}

static OfxStatus main_entry(const char *action, const void *handle, OfxPropertySetHandle in,
                            OfxPropertySetHandle out)
{
    static const char *const of_instances[] = {
        kOfxImageEffectActionRender, kOfxImageEffectActionIsIdentity,
        kOfxImageEffectActionGetRegionOfDefinition, kOfxImageEffectActionGetRegionsOfInterest,
        kOfxImageEffectActionGetClipPreferences, kOfxActionInstanceChanged, NULL
    };
    OfxImageEffectHandle effect = (OfxImageEffectHandle)(uintptr_t)handle;
    if (strcmp(action, kOfxActionLoad) == 0)
        return load();
    if (suites.property == NULL)
        return kOfxStatFailed; /* nothing but Load comes before Load */
    if (strcmp(action, kOfxActionUnload) == 0)
        return unload();
    if (strcmp(action, kOfxActionPurgeCaches) == 0) {
        link_close(); /* shared memory is all that is kept */
        return kOfxStatOK;
    }
    if (strcmp(action, kOfxActionDescribe) == 0)
        return describe(effect);
    if (strcmp(action, kOfxImageEffectActionDescribeInContext) == 0)
        return describe_in_context(effect);
    if (strcmp(action, kOfxActionCreateInstance) == 0)
        return create_instance(effect);
    if (strcmp(action, kOfxActionDestroyInstance) == 0)
        return destroy_instance(effect);
    for (int i = 0; of_instances[i] != NULL; i++)
        if (strcmp(action, of_instances[i]) == 0) {
            struct instance *instance = instance_of(effect);
            return instance != NULL ? instance_action(action, instance, in, out)
                                    : kOfxStatErrBadHandle;
        }
    return kOfxStatReplyDefault;
}

static void set_host(OfxHost *given) { host = given; }

#ifdef _WIN32
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

EXPORTED int OfxGetNumberOfPlugins(void);
EXPORTED OfxPlugin *OfxGetPlugin(int nth);

int OfxGetNumberOfPlugins(void) { return 1; }

OfxPlugin *OfxGetPlugin(int nth)
{
    /* The major version is part of the name that scripts are saved with: 1 for good. */
    static OfxPlugin plugin = {
        kOfxImageEffectPluginApi, 1, IDENTIFIER, 1, SEMBLANCE_PLUGIN_MINOR, set_host, main_entry
    };
    return nth == 0 ? &plugin : NULL;
}
