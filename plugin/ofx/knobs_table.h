/* Generated from core/semblance/knobs.py by `make knobs`; changes belong there. */
#ifndef SEMBLANCE_KNOBS_TABLE_H
#define SEMBLANCE_KNOBS_TABLE_H

#include <stddef.h>

/* Sent in the worker's hello: equal where plug-in and worker know the same knobs. */
#define SEMBLANCE_KNOBS_DIGEST "5181893bf2f4a70b"
#define SEMBLANCE_KNOB_COUNT 32

typedef enum {
    SEMBLANCE_FLOAT, SEMBLANCE_INT, SEMBLANCE_BOOL,
    SEMBLANCE_CHOICE, SEMBLANCE_TEXT, SEMBLANCE_FILE
} semblance_kind;

typedef struct {
    const char *name, *group, *label, *help, *unit;
    semblance_kind kind;
    int animates;
    double number;              /* default of a number, bool (0, 1), choice (index) */
    const char *text;           /* default of a text or a file, else empty */
    double low, high;           /* hard limits of a number, both allowed, else 0 */
    double slider_low, slider_high;
    const char *const *choices; /* ends with NULL; NULL where there are none */
    int idles;                  /* the result is the plate while the value is `idle` */
    double idle;                /* of a text or a file: the empty one */
    int inspects;               /* off its default it is never the plate */
} semblance_knob;

static const char *const semblance_choices_mask_source[] = {"learned", "hull", "learned_hull", "roto", NULL};
static const char *const semblance_choices_roto_mode[] = {"multiply", "replace", "add", NULL};
static const char *const semblance_choices_colour_match[] = {"none", "mean", "linear", "histogram", NULL};
static const char *const semblance_choices_blend_mode[] = {"over", "multiband", "poisson", NULL};
static const char *const semblance_choices_view[] = {"result", "patch", "matte", "difference", "landmarks", "canonical", NULL};

static const semblance_knob semblance_knobs[SEMBLANCE_KNOB_COUNT] = {
    {"model", "model", "model", "Likeness model (.onnx, .adapter.json) that draws the face.", "", SEMBLANCE_FILE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 1, 0.0, 0},
    {"likeness", "model", "likeness", "Name of the likeness inside the model; empty takes its only one.", "", SEMBLANCE_TEXT, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"face", "model", "face", "Which tracked face of the plate is replaced, by its number.", "", SEMBLANCE_INT, 0, 0.0, "", 0.0, 99.0, 0.0, 9.0, NULL, 0, 0.0, 0},
    {"input_space", "colour", "input space", "Colour space of the plate, by its OCIO name; auto reads it from the file, else scene-linear Rec.709.", "", SEMBLANCE_TEXT, 0, 0.0, "auto", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"auto_exposure", "colour", "auto exposure", "Bring the face to the level the network knows, steady over the shot.", "", SEMBLANCE_BOOL, 0, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"exposure", "colour", "exposure", "Exposure of the network's view, added to the automatic one; the plate keeps its own.", "stops", SEMBLANCE_FLOAT, 1, 0.0, "", -16.0, 16.0, -4.0, 4.0, NULL, 0, 0.0, 0},
    {"track_file", "track", "track file", "Track of the performer's face (JSON, CSV, .nk); empty tracks the plate on the way.", "", SEMBLANCE_FILE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"smoothing", "track", "smoothing", "Zero-phase smoothing of the track, as the deviation of its filter; 0 keeps it as it is.", "frames", SEMBLANCE_FLOAT, 0, 1.0, "", 0.0, 10.0, 0.0, 3.0, NULL, 0, 0.0, 0},
    {"identity_strength", "identity", "identity strength", "Morph from the performer's own face (0) to the likeness (1), made in the network.", "", SEMBLANCE_FLOAT, 1, 1.0, "", 0.0, 1.0, 0.0, 1.0, NULL, 1, 0.0, 0},
    {"looks", "identity", "looks", "Looks that the network takes at a face, from slightly other crops, and averages: more is steadier and slower.", "", SEMBLANCE_INT, 0, 9.0, "", 1.0, 9.0, 1.0, 9.0, NULL, 0, 0.0, 0},
    {"mask_source", "mask", "source", "Matte from the network, from the landmarks, from both, or from the roto input alone.", "", SEMBLANCE_CHOICE, 0, 2.0, "", 0.0, 0.0, 0.0, 0.0, semblance_choices_mask_source, 0, 0.0, 0},
    {"mask_brows", "mask", "brows", "Replace the brows.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_eyes", "mask", "eyes", "Replace the eyes.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_nose", "mask", "nose", "Replace the nose.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_mouth", "mask", "mouth", "Replace the mouth.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_cheeks", "mask", "cheeks", "Replace the cheeks.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_jaw", "mask", "jaw", "Replace the jaw and the chin.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_forehead", "mask", "forehead", "Replace the forehead.", "", SEMBLANCE_BOOL, 1, 1.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"mask_grow", "mask", "grow", "Grow the matte outward, or shrink it below 0.", "% of face width", SEMBLANCE_FLOAT, 1, 0.0, "", -25.0, 25.0, -10.0, 10.0, NULL, 0, 0.0, 0},
    {"mask_feather", "mask", "feather", "Soften the matte's edge.", "% of face width", SEMBLANCE_FLOAT, 1, 8.0, "", 0.0, 25.0, 0.0, 20.0, NULL, 0, 0.0, 0},
    {"mask_gamma", "mask", "gamma", "Shape the matte's fall-off: above 1 lifts its edge, below 1 lowers it.", "", SEMBLANCE_FLOAT, 1, 1.0, "", 0.1, 10.0, 0.25, 4.0, NULL, 0, 0.0, 0},
    {"mask_occlusion", "mask", "occlusion", "Hold out what passes in front of the face: hands, a microphone, hair.", "", SEMBLANCE_FLOAT, 1, 0.5, "", 0.0, 1.0, 0.0, 1.0, NULL, 0, 0.0, 0},
    {"roto_mode", "mask", "roto mode", "How the roto input meets the matte: it holds out, stands instead of it, or adds to it.", "", SEMBLANCE_CHOICE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, semblance_choices_roto_mode, 0, 0.0, 0},
    {"roto_file", "mask", "roto file", "Drawn shapes (JSON, from semblance view), laid over the roto input where there is one.", "", SEMBLANCE_FILE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, NULL, 0, 0.0, 0},
    {"light_match", "match", "light match", "Give the face the plate's light, from what the network missed of the performer.", "", SEMBLANCE_FLOAT, 1, 1.0, "", 0.0, 1.0, 0.0, 1.0, NULL, 0, 0.0, 0},
    {"colour_match", "match", "colour match", "Bring the face's colour to the plate's: by mean and spread, by linear optimal transport, or by histogram.", "", SEMBLANCE_CHOICE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, semblance_choices_colour_match, 0, 0.0, 0},
    {"colour_amount", "match", "amount", "How much of the colour match is applied.", "", SEMBLANCE_FLOAT, 1, 1.0, "", 0.0, 1.0, 0.0, 1.0, NULL, 0, 0.0, 0},
    {"detail_match", "match", "detail match", "Bring the face's sharpness to the plate's.", "", SEMBLANCE_FLOAT, 1, 0.5, "", 0.0, 1.0, 0.0, 1.0, NULL, 0, 0.0, 0},
    {"grain_match", "match", "grain match", "Lay the plate's own grain over the face.", "", SEMBLANCE_FLOAT, 1, 1.0, "", 0.0, 1.0, 0.0, 1.0, NULL, 0, 0.0, 0},
    {"blend_mode", "blend", "mode", "Composite by over, over several frequency bands, or in the gradient domain.", "", SEMBLANCE_CHOICE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, semblance_choices_blend_mode, 0, 0.0, 0},
    {"mix", "blend", "mix", "Dissolve between the plate (0) and the result (1).", "", SEMBLANCE_FLOAT, 1, 1.0, "", 0.0, 1.0, 0.0, 1.0, NULL, 1, 0.0, 0},
    {"view", "view", "view", "The finished frame, or a look inside: the new face, the matte, the change, the track, the network's own picture.", "", SEMBLANCE_CHOICE, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, semblance_choices_view, 0, 0.0, 1},
};

#endif
