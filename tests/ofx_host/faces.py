"""How the hosts differ, as far as their public records tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MANDATORY = frozenset(
    {("OfxPropertySuite", 1), ("OfxImageEffectSuite", 1), ("OfxParameterSuite", 1)}
)
_USUAL = MANDATORY | {
    ("OfxMemorySuite", 1),
    ("OfxMultiThreadSuite", 1),
    ("OfxMessageSuite", 1),
    ("OfxProgressSuite", 1),
    ("OfxTimeLineSuite", 1),
}
_V2 = frozenset({("OfxMessageSuite", 2), ("OfxProgressSuite", 2)})
_VERSION = frozenset({"OfxPropVersion", "OfxPropVersionLabel", "OfxPropAPIVersion"})
_STATUS = frozenset(
    {
        "OfxImageEffectPropSequentialRenderStatus",
        "OfxImageEffectPropInteractiveRenderStatus",
        "OfxImageEffectPropRenderQualityDraft",
    }
)


@dataclass(frozen=True)
class Face:
    """One host's looks.

    Parameters
    ----------
    name, label : str
        `OfxPropName` and `OfxPropLabel` of the host.
    suites : frozenset
        Names and versions that `fetchSuite` answers.
    version : tuple of int
        Empty where the host tells none.
    contexts, depths : tuple of str
    tiles, multiresolution : bool
    absent : frozenset of str
        Properties of the standard that this host does not have, on any object.
    torn_message_suite : bool
        A version 2 message suite of which only `message` is there.
    unconnected : {"failed", "null", "black"}
        What `clipGetImage` gives for an input without anything at it.
    claims_connected : bool
        Says of every input that it is connected.
    blocks_on_error : bool
        Renders no more while a persistent error stands.
    wrong_region : bool
        The images' own region of definition is not true.
    """

    name: str
    label: str
    suites: frozenset[tuple[str, int]]
    version: tuple[int, ...] = ()
    contexts: tuple[str, ...] = ("OfxImageEffectContextFilter", "OfxImageEffectContextGeneral")
    depths: tuple[str, ...] = ("OfxBitDepthFloat",)
    tiles: bool = True
    multiresolution: bool = True
    absent: frozenset[str] = frozenset()
    torn_message_suite: bool = False
    unconnected: Literal["failed", "null", "black"] = "failed"
    claims_connected: bool = False
    blocks_on_error: bool = False
    wrong_region: bool = False


NUKE = Face(
    "uk.co.thefoundry.nuke",
    "Nuke",
    _USUAL | _V2,
    version=(17, 0, 1),
    blocks_on_error=True,
    wrong_region=True,
)
RESOLVE = Face(
    "DaVinciResolve",
    "DaVinci Resolve",
    _USUAL | _V2,
    version=(19, 1, 0),
    contexts=(
        "OfxImageEffectContextFilter",
        "OfxImageEffectContextGeneral",
        "OfxImageEffectContextTransition",
        "OfxImageEffectContextGenerator",
    ),
    depths=("OfxBitDepthByte", "OfxBitDepthShort", "OfxBitDepthFloat"),
    tiles=False,
    multiresolution=False,
    absent=_STATUS | {"OfxPropPluginDescription", "OfxPropHostOSHandle"},
    torn_message_suite=True,
    unconnected="null",
    claims_connected=True,
)
RESOLVE_BLACK = Face(
    "DaVinciResolveLite",
    "DaVinci Resolve Lite",
    RESOLVE.suites,
    contexts=RESOLVE.contexts,
    depths=RESOLVE.depths,
    tiles=False,
    multiresolution=False,
    absent=RESOLVE.absent | _VERSION,
    torn_message_suite=True,
    unconnected="black",
    claims_connected=True,
)
FUSION = Face(
    "com.blackmagicdesign.Fusion",
    "Fusion",
    _USUAL,
    contexts=("OfxImageEffectContextGeneral", "OfxImageEffectContextFilter"),
    depths=("OfxBitDepthByte", "OfxBitDepthShort", "OfxBitDepthHalf", "OfxBitDepthFloat"),
    tiles=False,
    absent=_VERSION | {"OfxImageEffectPropRenderQualityDraft", "OfxPropHostOSHandle"},
)
NATRON = Face(
    "fr.inria.Natron",
    "Natron",
    _USUAL | _V2,
    version=(2, 5, 0),
    depths=("OfxBitDepthFloat", "OfxBitDepthShort", "OfxBitDepthByte"),
)
BARE = Face(
    "org.example.bare",
    "Bare",
    MANDATORY,
    contexts=("OfxImageEffectContextFilter",),
    tiles=False,
    multiresolution=False,
    absent=_VERSION | _STATUS | {"OfxPropHostOSHandle", "OfxPropPluginDescription"},
    unconnected="null",
)

FACES = (NUKE, RESOLVE, RESOLVE_BLACK, FUSION, NATRON, BARE)
