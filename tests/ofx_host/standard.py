"""Which properties the standard (1.5) gives to which object, of what type, and who may write them.

A line reads `name type dimension access`: type is p(ointer), s(tring), d(ouble) or i(nteger);
dimension 0 means any number; access is `w` where a plug-in may write, `r` where it may only read.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """What holds for one property of one kind of object."""

    type: str
    dimension: int
    writable: bool


def _rules(text: str) -> dict[str, Rule]:
    rules = {}
    for line in text.split("\n"):
        if words := line.split():
            name, kind, dimension, access = words
            rules[name] = Rule(kind, int(dimension), access == "w")
    return rules


_LABELS = """
OfxPropLabel s 1 w
OfxPropShortLabel s 1 w
OfxPropLongLabel s 1 w
"""

HOST = _rules("""
OfxPropType s 1 r
OfxPropName s 1 r
OfxPropLabel s 1 r
OfxPropVersion i 0 r
OfxPropVersionLabel s 1 r
OfxPropAPIVersion i 0 r
OfxImageEffectHostPropIsBackground i 1 r
OfxImageEffectPropSupportsOverlays i 1 r
OfxImageEffectPropSupportsMultiResolution i 1 r
OfxImageEffectPropSupportsTiles i 1 r
OfxImageEffectPropTemporalClipAccess i 1 r
OfxImageEffectPropSupportedComponents s 0 r
OfxImageEffectPropSupportedContexts s 0 r
OfxImageEffectPropSupportedPixelDepths s 0 r
OfxImageEffectPropMultipleClipDepths i 1 r
OfxImageEffectPropSupportsMultipleClipPARs i 1 r
OfxImageEffectPropSetableFrameRate i 1 r
OfxImageEffectPropSetableFielding i 1 r
OfxImageEffectInstancePropSequentialRender i 1 r
OfxImageEffectPropRenderQualityDraft i 1 r
OfxImageEffectHostPropNativeOrigin s 1 r
OfxImageEffectPropOpenGLRenderSupported s 1 r
OfxParamHostPropSupportsCustomInteract i 1 r
OfxParamHostPropSupportsStringAnimation i 1 r
OfxParamHostPropSupportsChoiceAnimation i 1 r
OfxParamHostPropSupportsStrChoice i 1 r
OfxParamHostPropSupportsStrChoiceAnimation i 1 r
OfxParamHostPropSupportsBooleanAnimation i 1 r
OfxParamHostPropSupportsCustomAnimation i 1 r
OfxParamHostPropSupportsParametricAnimation i 1 r
OfxParamHostPropMaxParameters i 1 r
OfxParamHostPropMaxPages i 1 r
OfxParamHostPropPageRowColumnCount i 2 r
OfxPropHostOSHandle p 1 r
""")

EFFECT_DESCRIPTOR = _rules(f"""
OfxPropType s 1 r
{_LABELS}
OfxPropVersion i 0 w
OfxPropVersionLabel s 1 w
OfxPropPluginDescription s 1 w
OfxPropIcon s 2 w
OfxPluginPropFilePath s 1 r
OfxImageEffectPropSupportedContexts s 0 w
OfxImageEffectPropSupportedPixelDepths s 0 w
OfxImageEffectPluginPropGrouping s 1 w
OfxImageEffectPluginPropSingleInstance i 1 w
OfxImageEffectPluginRenderThreadSafety s 1 w
OfxImageEffectPluginPropHostFrameThreading i 1 w
OfxImageEffectPluginPropOverlayInteractV1 p 1 w
OfxImageEffectPluginPropOverlayInteractV2 p 1 w
OfxImageEffectPropSupportsMultiResolution i 1 w
OfxImageEffectPropSupportsTiles i 1 w
OfxImageEffectPropTemporalClipAccess i 1 w
OfxImageEffectPropMultipleClipDepths i 1 w
OfxImageEffectPropSupportsMultipleClipPARs i 1 w
OfxImageEffectPluginPropFieldRenderTwiceAlways i 1 w
OfxImageEffectPropClipPreferencesSlaveParam s 0 w
OfxImageEffectPropOpenGLRenderSupported s 1 w
""")

EFFECT_INSTANCE = _rules("""
OfxPropType s 1 r
OfxPropLabel s 1 r
OfxPropInstanceData p 1 w
OfxImageEffectPropContext s 1 r
OfxImageEffectPropProjectSize d 2 r
OfxImageEffectPropProjectOffset d 2 r
OfxImageEffectPropProjectExtent d 2 r
OfxImageEffectPropPixelAspectRatio d 1 r
OfxImageEffectInstancePropEffectDuration d 1 r
OfxImageEffectInstancePropSequentialRender i 1 w
OfxImageEffectPropSupportsTiles i 1 r
OfxImageEffectPropFrameRate d 1 r
OfxPropIsInteractive i 1 r
""")

CLIP_DESCRIPTOR = _rules(f"""
OfxPropType s 1 r
OfxPropName s 1 r
{_LABELS}
OfxImageEffectPropSupportedComponents s 0 w
OfxImageEffectPropTemporalClipAccess i 1 w
OfxImageEffectPropSupportsTiles i 1 w
OfxImageClipPropOptional i 1 w
OfxImageClipPropFieldExtraction s 1 w
OfxImageClipPropIsMask i 1 w
""")

CLIP_INSTANCE = _rules("""
OfxPropType s 1 r
OfxPropName s 1 r
OfxPropLabel s 1 r
OfxPropShortLabel s 1 r
OfxPropLongLabel s 1 r
OfxImageEffectPropSupportedComponents s 0 r
OfxImageEffectPropTemporalClipAccess i 1 r
OfxImageEffectPropSupportsTiles i 1 r
OfxImageClipPropOptional i 1 r
OfxImageClipPropFieldExtraction s 1 r
OfxImageClipPropIsMask i 1 r
OfxImageEffectPropPixelDepth s 1 r
OfxImageEffectPropComponents s 1 r
OfxImageClipPropUnmappedPixelDepth s 1 r
OfxImageClipPropUnmappedComponents s 1 r
OfxImageEffectPropPreMultiplication s 1 r
OfxImagePropPixelAspectRatio d 1 r
OfxImageEffectPropFrameRate d 1 r
OfxImageEffectPropFrameRange d 2 r
OfxImageEffectPropUnmappedFrameRate d 1 r
OfxImageEffectPropUnmappedFrameRange d 2 r
OfxImageClipPropFieldOrder s 1 r
OfxImageClipPropConnected i 1 r
OfxImageClipPropContinuousSamples i 1 r
""")

IMAGE = _rules("""
OfxPropType s 1 r
OfxImageEffectPropPixelDepth s 1 r
OfxImageEffectPropComponents s 1 r
OfxImageEffectPropPreMultiplication s 1 r
OfxImageEffectPropRenderScale d 2 r
OfxImagePropPixelAspectRatio d 1 r
OfxImagePropData p 1 r
OfxImagePropBounds i 4 r
OfxImagePropRegionOfDefinition i 4 r
OfxImagePropRowBytes i 1 r
OfxImagePropField s 1 r
OfxImagePropUniqueIdentifier s 1 r
""")

PARAM_SET = _rules("""
OfxPropType s 1 r
OfxPropParamSetNeedsSyncing i 1 w
OfxPluginPropParamPageOrder s 0 w
""")

_PARAM = f"""
OfxPropType s 1 r
OfxPropName s 1 r
{_LABELS}
OfxPropIcon s 2 w
OfxParamPropType s 1 r
OfxParamPropSecret i 1 w
OfxParamPropHint s 1 w
OfxParamPropScriptName s 1 w
OfxParamPropParent s 1 w
OfxParamPropEnabled i 1 w
OfxParamPropDataPtr p 1 w
OfxParamPropInteractV1 p 1 w
"""

_VALUE = """
OfxParamPropAnimates i 1 w
OfxParamPropIsAnimating i 1 r
OfxParamPropIsAutoKeying i 1 r
OfxParamPropPersistant i 1 w
OfxParamPropEvaluateOnChange i 1 w
OfxParamPropPluginMayWrite i 1 w
OfxParamPropCacheInvalidation s 1 w
OfxParamPropCanUndo i 1 w
"""


def _number(kind: str, dimension: int, more: str = "") -> dict[str, Rule]:
    limits = "\n".join(
        f"OfxParamProp{name} {kind} {dimension} w"
        for name in ("Default", "Min", "Max", "DisplayMin", "DisplayMax")
    )
    return _rules(f"{_PARAM}{_VALUE}{limits}\n{more}")


_DOUBLE = """
OfxParamPropIncrement d 1 w
OfxParamPropDigits i 1 w
OfxParamPropDoubleType s 1 w
OfxParamPropShowTimeMarker i 1 w
OfxParamPropDefaultCoordinateSystem s 1 w
OfxParamPropDimensionLabel s 0 w
"""

PARAM = {
    "OfxParamTypeInteger": _number("i", 1),
    "OfxParamTypeDouble": _number("d", 1, _DOUBLE),
    "OfxParamTypeDouble2D": _number("d", 2, _DOUBLE),
    "OfxParamTypeRGB": _number("d", 3),
    "OfxParamTypeRGBA": _number("d", 4),
    "OfxParamTypeBoolean": _rules(f"{_PARAM}{_VALUE}OfxParamPropDefault i 1 w"),
    "OfxParamTypeChoice": _rules(f"""{_PARAM}{_VALUE}
OfxParamPropDefault i 1 w
OfxParamPropChoiceOption s 0 w
OfxParamPropChoiceOrder i 0 w"""),
    "OfxParamTypeString": _rules(f"""{_PARAM}{_VALUE}
OfxParamPropDefault s 1 w
OfxParamPropStringMode s 1 w
OfxParamPropStringFilePathExists i 1 w"""),
    "OfxParamTypeGroup": _rules(f"{_PARAM}OfxParamPropGroupOpen i 1 w"),
    "OfxParamTypePage": _rules(f"{_PARAM}OfxParamPropPageChild s 0 w"),
    "OfxParamTypePushButton": _rules(_PARAM),
}
"""Types that a plug-in may define. Integer2D and 3D, StrChoice, Custom and Parametric are left out:
each is known to break some host."""

PARAM_INSTANCE_FIXED = frozenset(
    [
        "OfxParamPropScriptName",
        "OfxParamPropParent",
        "OfxParamPropAnimates",
        "OfxParamPropPersistant",
        "OfxParamPropCacheInvalidation",
        "OfxParamPropCanUndo",
        "OfxParamPropPluginMayWrite",
        "OfxParamPropGroupOpen",
        "OfxParamPropPageChild",
        "OfxParamPropStringMode",
        "OfxParamPropDoubleType",
        "OfxParamPropStringFilePathExists",
        "OfxParamPropInteractV1",
        "OfxParamPropDefault",
        "OfxParamPropDefaultCoordinateSystem",
        "OfxParamPropHint",
    ]
)
"""Properties that can no longer be written once the parameter is an instance's."""

_RENDER_SEQUENCE = """
OfxImageEffectPropFrameRange d 2 r
OfxImageEffectPropFrameStep d 1 r
OfxPropIsInteractive i 1 r
OfxImageEffectPropRenderScale d 2 r
OfxImageEffectPropSequentialRenderStatus i 1 r
OfxImageEffectPropInteractiveRenderStatus i 1 r
OfxImageEffectPropRenderQualityDraft i 1 r
"""
_CHANGED = """
OfxPropType s 1 r
OfxPropName s 1 r
OfxPropChangeReason s 1 r
OfxPropTime d 1 r
OfxImageEffectPropRenderScale d 2 r
"""

_AT = "OfxPropTime d 1 r\nOfxImageEffectPropRenderScale d 2 r\n"

ACTIONS: dict[str, tuple[dict[str, Rule] | None, dict[str, Rule] | None]] = {
    "OfxActionLoad": (None, None),
    "OfxActionUnload": (None, None),
    "OfxActionDescribe": (None, None),
    "OfxImageEffectActionDescribeInContext": (_rules("OfxImageEffectPropContext s 1 r"), None),
    "OfxActionCreateInstance": (None, None),
    "OfxActionDestroyInstance": (None, None),
    "OfxActionPurgeCaches": (None, None),
    "OfxActionSyncPrivateData": (None, None),
    "OfxActionBeginInstanceEdit": (None, None),
    "OfxActionEndInstanceEdit": (None, None),
    "OfxActionBeginInstanceChanged": (_rules("OfxPropChangeReason s 1 r"), None),
    "OfxActionEndInstanceChanged": (_rules("OfxPropChangeReason s 1 r"), None),
    "OfxActionInstanceChanged": (_rules(_CHANGED), None),
    "OfxImageEffectActionGetTimeDomain": (None, _rules("OfxImageEffectPropFrameRange d 2 w")),
    "OfxImageEffectActionGetRegionOfDefinition": (
        _rules(_AT),
        _rules("OfxImageEffectPropRegionOfDefinition d 4 w"),
    ),
    "OfxImageEffectActionGetRegionsOfInterest": (
        _rules(_AT + "OfxImageEffectPropRegionOfInterest d 4 r"),
        _rules(""),  # OfxImageClipPropRoI_ of each clip is added
    ),
    "OfxImageEffectActionGetFramesNeeded": (_rules("OfxPropTime d 1 r"), _rules("")),
    "OfxImageEffectActionIsIdentity": (
        _rules(f"""{_AT}
OfxImageEffectPropFieldToRender s 1 r
OfxImageEffectPropRenderWindow i 4 r"""),
        _rules("OfxPropName s 1 w\nOfxPropTime d 1 w"),
    ),
    "OfxImageEffectActionGetClipPreferences": (
        None,
        _rules("""
OfxImageEffectPropFrameRate d 1 w
OfxImageClipPropFieldOrder s 1 w
OfxImageEffectPropPreMultiplication s 1 w
OfxImageClipPropContinuousSamples i 1 w
OfxImageEffectFrameVarying i 1 w"""),
    ),
    "OfxImageEffectActionBeginSequenceRender": (_rules(_RENDER_SEQUENCE), None),
    "OfxImageEffectActionEndSequenceRender": (_rules(_RENDER_SEQUENCE), None),
    "OfxImageEffectActionRender": (
        _rules(f"""{_AT}
OfxImageEffectPropFieldToRender s 1 r
OfxImageEffectPropRenderWindow i 4 r
OfxImageEffectPropSequentialRenderStatus i 1 r
OfxImageEffectPropInteractiveRenderStatus i 1 r
OfxImageEffectPropRenderQualityDraft i 1 r"""),
        None,
    ),
}
"""Each action's arguments in and out; None where the standard passes NULL."""

ON_RENDER_THREADS = frozenset(
    f"OfxImageEffectAction{name}"
    for name in (
        "Render",
        "BeginSequenceRender",
        "EndSequenceRender",
        "IsIdentity",
        "GetFramesNeeded",
        "GetRegionOfDefinition",
        "GetRegionsOfInterest",
    )
)

OPTIONAL_READS = frozenset(
    [
        "OfxImageEffectPropRenderQualityDraft",
        "OfxImageEffectPropSequentialRenderStatus",
        "OfxImageEffectPropInteractiveRenderStatus",
        "OfxPropVersion",
        "OfxPropVersionLabel",
        "OfxPropAPIVersion",
        "OfxPropHostOSHandle",
        "OfxImageClipPropFormat",
    ]
)
"""What not every version of the standard has; a plug-in may ask, and must take no for an answer."""
