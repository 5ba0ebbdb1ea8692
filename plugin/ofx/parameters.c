#include "parameters.h"

#include <stdio.h>
#include <string.h>

#include "shim.h"
#include "version.h"

static const double TIMEOUT = 60.0, TIMEOUT_LEAST = 0.1, TIMEOUT_MOST = 3600.0;
enum { NAME_ROOM = 96, TIP_ROOM = 512 };

/* --- describing ------------------------------------------------------------------------------ */

static void set_text(OfxPropertySetHandle set, const char *name, const char *value)
{
    (void)suites.property->propSetString(set, name, 0, value);
}

static void set_int(OfxPropertySetHandle set, const char *name, int value)
{
    (void)suites.property->propSetInt(set, name, 0, value);
}

static void set_double(OfxPropertySetHandle set, const char *name, double value)
{
    (void)suites.property->propSetDouble(set, name, 0, value);
}

/* Hosts differ in what they know: a property that one refuses is no reason to fail. */
static OfxPropertySetHandle define(OfxParamSetHandle all, const char *type, const char *name,
                                   const char *label, const char *tip, const char *parent)
{
    OfxPropertySetHandle made = NULL;
    if (suites.parameter->paramDefine(all, type, name, &made) != kOfxStatOK || made == NULL)
        return NULL;
    set_text(made, kOfxPropLabel, label);
    set_text(made, kOfxPropShortLabel, label);
    set_text(made, kOfxPropLongLabel, label);
    set_text(made, kOfxParamPropScriptName, name);
    if (tip[0] != '\0')
        set_text(made, kOfxParamPropHint, tip);
    if (parent != NULL)
        set_text(made, kOfxParamPropParent, parent);
    return made;
}

static const char *group_name(const char *group, char room[NAME_ROOM])
{
    snprintf(room, NAME_ROOM, "group_%s", group); /* a knob may have the group's own name */
    return room;
}

static void put_group(OfxParamSetHandle all, const char *group)
{
    char name[NAME_ROOM];
    OfxPropertySetHandle made =
        define(all, kOfxParamTypeGroup, group_name(group, name), group, "", NULL);
    if (made != NULL)
        set_int(made, kOfxParamPropGroupOpen, 1);
}

static const char *type_of(semblance_kind kind)
{
    switch (kind) {
    case SEMBLANCE_FLOAT: return kOfxParamTypeDouble;
    case SEMBLANCE_INT: return kOfxParamTypeInteger;
    case SEMBLANCE_BOOL: return kOfxParamTypeBoolean;
    case SEMBLANCE_CHOICE: return kOfxParamTypeChoice;
    default: return kOfxParamTypeString;
    }
}

/* Limits and slider both: where a host is given one alone, it clamps the other to -1..1. */
static void put_doubles(OfxPropertySetHandle made, double value, double low, double high,
                        double slider_low, double slider_high)
{
    set_double(made, kOfxParamPropDefault, value);
    set_double(made, kOfxParamPropMin, low);
    set_double(made, kOfxParamPropMax, high);
    set_double(made, kOfxParamPropDisplayMin, slider_low);
    set_double(made, kOfxParamPropDisplayMax, slider_high);
}

static OfxStatus put_knob(OfxParamSetHandle all, const semblance_knob *knob)
{
    char parent[NAME_ROOM], tip[TIP_ROOM];
    snprintf(tip, sizeof tip, knob->unit[0] != '\0' ? "%s (%s)" : "%s", knob->help, knob->unit);
    OfxPropertySetHandle made = define(all, type_of(knob->kind), knob->name, knob->label, tip,
                                       group_name(knob->group, parent));
    if (made == NULL)
        return kOfxStatFailed;
    set_int(made, kOfxParamPropAnimates, knob->animates);
    switch (knob->kind) {
    case SEMBLANCE_FLOAT:
        put_doubles(made, knob->number, knob->low, knob->high, knob->slider_low,
                    knob->slider_high);
        break;
    case SEMBLANCE_INT:
        set_int(made, kOfxParamPropDefault, (int)knob->number);
        set_int(made, kOfxParamPropMin, (int)knob->low);
        set_int(made, kOfxParamPropMax, (int)knob->high);
        set_int(made, kOfxParamPropDisplayMin, (int)knob->slider_low);
        set_int(made, kOfxParamPropDisplayMax, (int)knob->slider_high);
        break;
    case SEMBLANCE_CHOICE:
        for (int i = 0; knob->choices[i] != NULL; i++)
            (void)suites.property->propSetString(made, kOfxParamPropChoiceOption, i,
                                                 knob->choices[i]);
        set_int(made, kOfxParamPropDefault, (int)knob->number);
        break;
    case SEMBLANCE_BOOL:
        set_int(made, kOfxParamPropDefault, (int)knob->number);
        break;
    case SEMBLANCE_FILE:
        set_text(made, kOfxParamPropStringMode, kOfxParamStringIsFilePath);
        set_int(made, kOfxParamPropStringFilePathExists, 0); /* on a farm it may come later */
        set_text(made, kOfxParamPropDefault, knob->text);
        break;
    default:
        set_text(made, kOfxParamPropStringMode, kOfxParamStringIsSingleLine);
        set_text(made, kOfxParamPropDefault, knob->text);
        break;
    }
    return kOfxStatOK;
}

static OfxStatus put_own(OfxParamSetHandle all)
{
    char parent[NAME_ROOM];
    const char *group = group_name("host", parent);
    OfxPropertySetHandle made;
    put_group(all, "host");

    made = define(all, kOfxParamTypeBoolean, PARAMETER_USE_MASK, "use mask",
                  "Take the alpha of the Mask input as roto; off where a host delivers black for an "
                  "input that is not connected.", group);
    if (made == NULL)
        return kOfxStatFailed;
    set_int(made, kOfxParamPropDefault, 1);
    set_int(made, kOfxParamPropAnimates, 0);

    made = define(all, kOfxParamTypeDouble, PARAMETER_TIMEOUT, "time-out",
                  "Longest that a frame waits for the worker before it fails. (seconds)", group);
    if (made == NULL)
        return kOfxStatFailed;
    put_doubles(made, TIMEOUT, TIMEOUT_LEAST, TIMEOUT_MOST, 1.0, 300.0);
    set_int(made, kOfxParamPropAnimates, 0);
    set_int(made, kOfxParamPropEvaluateOnChange, 0);

    made = define(all, kOfxParamTypePushButton, PARAMETER_RESTART, "restart worker",
                  "End the worker that draws the faces, also a hung one; the next frame starts "
                  "another.", group);
    if (made == NULL)
        return kOfxStatFailed;

    made = define(all, kOfxParamTypeString, "version", "version", "Version of this plug-in.", group);
    if (made == NULL)
        return kOfxStatFailed;
    set_text(made, kOfxParamPropStringMode, kOfxParamStringIsLabel);
    set_text(made, kOfxParamPropDefault, "Semblance " SEMBLANCE_VERSION);
    set_int(made, kOfxParamPropAnimates, 0);
    set_int(made, kOfxParamPropPersistant, 0);
    set_int(made, kOfxParamPropEvaluateOnChange, 0);
    return kOfxStatOK;
}

/* One page for hosts that lay out by pages: every group, in order. */
static void put_page(OfxParamSetHandle all)
{
    char name[NAME_ROOM];
    int child = 0;
    OfxPropertySetHandle page = define(all, kOfxParamTypePage, "Controls", "Controls", "", NULL);
    if (page == NULL)
        return;
    for (int i = 0; i < SEMBLANCE_KNOB_COUNT; i++)
        if (i == 0 || strcmp(semblance_knobs[i].group, semblance_knobs[i - 1].group) != 0)
            (void)suites.property->propSetString(page, kOfxParamPropPageChild, child++,
                                                 group_name(semblance_knobs[i].group, name));
    (void)suites.property->propSetString(page, kOfxParamPropPageChild, child,
                                         group_name("host", name));
}

OfxStatus parameters_define(OfxImageEffectHandle descriptor)
{
    OfxParamSetHandle all = NULL;
    if (suites.effect->getParamSet(descriptor, &all) != kOfxStatOK)
        return kOfxStatFailed;
    for (int i = 0; i < SEMBLANCE_KNOB_COUNT; i++) {
        if (i == 0 || strcmp(semblance_knobs[i].group, semblance_knobs[i - 1].group) != 0)
            put_group(all, semblance_knobs[i].group);
        if (put_knob(all, &semblance_knobs[i]) != kOfxStatOK)
            return kOfxStatFailed;
    }
    OfxStatus status = put_own(all);
    put_page(all);
    return status;
}

/* --- values ---------------------------------------------------------------------------------- */

int parameters_bind(OfxImageEffectHandle effect, struct parameters *parameters)
{
    OfxParamSetHandle all = NULL;
    if (suites.effect->getParamSet(effect, &all) != kOfxStatOK)
        return 0;
    for (int i = 0; i < SEMBLANCE_KNOB_COUNT; i++)
        if (suites.parameter->paramGetHandle(all, semblance_knobs[i].name, &parameters->knobs[i],
                                             NULL) != kOfxStatOK)
            return 0;
    return suites.parameter->paramGetHandle(all, PARAMETER_USE_MASK, &parameters->use_mask, NULL)
               == kOfxStatOK
           && suites.parameter->paramGetHandle(all, PARAMETER_TIMEOUT, &parameters->timeout, NULL)
                  == kOfxStatOK;
}

static int int_at(OfxParamHandle parameter, OfxTime time, int *value)
{
    return suites.parameter->paramGetValueAtTime(parameter, time, value) == kOfxStatOK;
}

static int double_at(OfxParamHandle parameter, OfxTime time, double *value)
{
    return suites.parameter->paramGetValueAtTime(parameter, time, value) == kOfxStatOK;
}

/* The text stays the host's, and only until it is called again: use it at once. */
static int text_at(OfxParamHandle parameter, OfxTime time, char **value)
{
    *value = NULL;
    return suites.parameter->paramGetValueAtTime(parameter, time, value) == kOfxStatOK
           && *value != NULL;
}

static void put_value(struct wire *values, unsigned char kind, const void *bytes, size_t count)
{
    const unsigned char head[4] = {kind, 0, 0, 0};
    wire_put(values, head, sizeof head);
    wire_u32(values, (uint32_t)count);
    wire_put(values, bytes, count);
    wire_pad(values);
}

static void put_number(struct wire *values, unsigned char kind, uint64_t bits)
{
    const unsigned char head[4] = {kind, 0, 0, 0};
    wire_put(values, head, sizeof head);
    wire_u32(values, 8);
    wire_u64(values, bits);
}

/* Kinds of value in a message: 1 bool, 2 int, 3 double, 4 choice, 5 text. */
int parameters_put(const struct parameters *parameters, OfxTime time, struct wire *values)
{
    for (int i = 0; i < SEMBLANCE_KNOB_COUNT; i++) {
        OfxParamHandle knob = parameters->knobs[i];
        double number = 0.0;
        int whole = 0;
        char *text = NULL;
        switch (semblance_knobs[i].kind) {
        case SEMBLANCE_FLOAT:
            if (!double_at(knob, time, &number))
                return 0;
            put_number(values, 3, wire_of_double(number));
            break;
        case SEMBLANCE_INT:
        case SEMBLANCE_BOOL:
        case SEMBLANCE_CHOICE:
            if (!int_at(knob, time, &whole))
                return 0;
            if (semblance_knobs[i].kind == SEMBLANCE_BOOL)
                put_number(values, 1, whole != 0);
            else
                put_number(values, semblance_knobs[i].kind == SEMBLANCE_INT ? 2 : 4,
                           (uint64_t)(int64_t)whole);
            break;
        default:
            if (!text_at(knob, time, &text))
                return 0;
            put_value(values, 5, text, strlen(text));
        }
    }
    return !values->bad;
}

/* Whether a knob holds the number or the text given, exactly; 0 where the host does not say. */
static int holds(OfxParamHandle parameter, OfxTime time, const semblance_knob *knob,
                 double number, const char *text)
{
    double value = 0.0;
    int whole = 0;
    char *words = NULL;
    switch (knob->kind) {
    case SEMBLANCE_FLOAT:
        return double_at(parameter, time, &value) && value == number;
    case SEMBLANCE_TEXT:
    case SEMBLANCE_FILE:
        return text_at(parameter, time, &words) && strcmp(words, text) == 0;
    default:
        return int_at(parameter, time, &whole) && (double)whole == number;
    }
}

int parameters_idle(const struct parameters *parameters, OfxTime time)
{
    int idle = 0;
    for (int i = 0; i < SEMBLANCE_KNOB_COUNT; i++) {
        const semblance_knob *knob = &semblance_knobs[i];
        if (knob->inspects
            && !holds(parameters->knobs[i], time, knob, knob->number, knob->text))
            return 0;
        if (knob->idles && !idle)
            idle = holds(parameters->knobs[i], time, knob, knob->idle, "");
    }
    return idle;
}

int parameters_use_mask(const struct parameters *parameters, OfxTime time)
{
    int use = 1;
    return !int_at(parameters->use_mask, time, &use) || use != 0;
}

double parameters_timeout(const struct parameters *parameters, OfxTime time)
{
    double seconds = TIMEOUT;
    if (!double_at(parameters->timeout, time, &seconds) || !(seconds <= TIMEOUT_MOST))
        return TIMEOUT;
    return seconds < TIMEOUT_LEAST ? TIMEOUT_LEAST : seconds;
}
