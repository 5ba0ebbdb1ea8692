"""What every output says of itself: EXR attributes, and a slate on unlicensed previews.

The source type is IPTC's ``compositeWithTrainedAlgorithmicMedia`` (Digital Source Type NewsCodes):
existing media, changed with a trained generative model. It is written under the name of the IPTC
Photo Metadata property, ``Iptc4xmpExt:DigitalSourceType``, and in an ``xmp`` packet (ISO 16684-1),
the string attribute in which programs that keep XMP in EXR look for it; OpenImageIO and OpenEXR
carry both through untouched. All other marks are named ``semblance:…``. Attribute names stay
within 31 characters, because longer ones need a flag that old readers refuse, and no value is
empty, because OpenImageIO drops empty strings.

Nothing here removes a mark that the plate brought: the marks of an earlier pass and a source type
that ours replaces are kept in ``semblance:history``, and an XMP packet of the plate's stays as it
is.

Nothing depends on the time, the machine or the folder: equal renders carry equal marks.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from semblance.knobs import declared
from semblance.plate import Plate, Window

__all__ = ["SOURCE_TYPE", "Marks", "burn_in", "marks", "read_marks"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC: media changed with a trained generative model."""

_SOURCE_TYPE_NAME = "Iptc4xmpExt:DigitalSourceType"
_PREFIX = "semblance:"
_NONE = "none"
_VALID = "valid"

_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    f"<{_SOURCE_TYPE_NAME}>{SOURCE_TYPE}</{_SOURCE_TYPE_NAME}>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)

_SLATE_HEIGHT = 1 / 24
"""Type size of the slate as a share of the display window's height."""

_SLATE_CONTRAST = 32.0
"""The slate's letters over its backing: five stops."""


class ReleaseVerdict(Protocol):
    """What a check of the release came to (`semblance.release.Verdict` is one)."""

    @property
    def valid(self) -> bool:
        """Whether the likeness may be used."""

    @property
    def reason(self) -> str:
        """Why, in one sentence."""

    @property
    def release_id(self) -> str:
        """The release's id."""

    @property
    def rights_holder(self) -> str:
        """Who consented."""


@dataclass(frozen=True)
class Marks:
    """The marks of a frame, as they were read; nothing in them is proven.

    Parameters
    ----------
    source_type : str
        IPTC digital source type.
    software : str
        Semblance and its version.
    model, model_sha256 : str
        The likeness model by name and by the sha256 of its file.
    release, rights_holder : str
        Id and holder of the release that was valid at the time; ``none`` where none was.
    release_check : str
        ``valid``, or why not.
    knobs : mapping
        The knobs that were not at their defaults.
    knobs_intact : bool
        Whether `knobs` still has the hash that was written with it.
    frame : int
        The frame's number.
    history : tuple of mapping
        What the plate said of itself before each pass, oldest first: its marks by attribute name
        without ``semblance:``, and its source type where it was another.
    """

    source_type: str
    software: str
    model: str
    model_sha256: str
    release: str
    rights_holder: str
    release_check: str
    knobs: Mapping[str, Any]
    knobs_intact: bool
    frame: int
    history: tuple[Mapping[str, Any], ...]


def marks(
    model_name: str,
    model_sha256: str,
    verdict: ReleaseVerdict,
    knobs_changed: Mapping[str, Any],
    frame: int,
    version: str,
    plate: Mapping[str, Any],
) -> dict[str, str | int]:
    """Return the attributes that an output carries besides the plate's own.

    Parameters
    ----------
    model_name, model_sha256 : str
        The likeness model.
    verdict : ReleaseVerdict
        What the check of its release came to.
    knobs_changed : mapping of str to bool, int, float or str
        The frame's knobs that are not at their defaults (`Knobs.changed`). Of knobs that name a
        file only the file's own name is kept: a frame tells nobody about folders, and the marks
        are the same wherever it is rendered.
    frame : int
        The frame's number.
    version : str
        Semblance's version.
    plate : mapping
        The plate's own attributes (`Plate.metadata`), so that its marks can be kept.

    Returns
    -------
    dict
        Attributes to be written over the plate's; strings, none empty, and one int.
    """
    plate = _plain(plate)
    knobs = _json(_without_folders(knobs_changed))
    own: dict[str, str | int] = {
        "software": f"Semblance {version}",
        "model": model_name or _NONE,
        "modelHash": model_sha256,
        # An id stands here only where the release holds, so that nobody takes a lapsed one for
        # consent; releaseCheck names it then.
        "release": (verdict.valid and verdict.release_id) or _NONE,
        "rightsHolder": (verdict.valid and verdict.rights_holder) or _NONE,
        "releaseCheck": _VALID if verdict.valid else f"not valid: {verdict.reason}",
        "knobs": knobs,
        "knobsHash": _hash(knobs),
        "frame": frame,
    }
    history = _history(plate)
    if history:
        own["history"] = _json(history)
    written = {_SOURCE_TYPE_NAME: SOURCE_TYPE} | {_PREFIX + k: v for k, v in own.items()}
    if not any(name.lower() == "xmp" for name in plate):
        written["xmp"] = _XMP
    # File names may hold bytes that are no text; EXR strings are UTF-8.
    return {
        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in written.items()
    }


def read_marks(metadata: Mapping[str, Any]) -> Marks | None:
    """Return the marks in a frame's attributes, or None where Semblance left none.

    Parameters
    ----------
    metadata : mapping
        The attributes of an EXR header, by name: plain values, or what holds one as ``.value``
        as those of a plate do. They come from anyone: what is malformed is read as empty, and
        nothing raises.

    Returns
    -------
    Marks or None
        What the frame says of itself. Attributes can be edited; they are labels, not proof.
    """
    metadata = _plain(metadata)
    own = _own(metadata)
    if not own:
        return None
    text = {name: str(value) for name, value in own.items()}
    knobs = _parsed(text.get("knobs", ""))
    frame = own.get("frame", 0)
    return Marks(
        source_type=str(metadata.get(_SOURCE_TYPE_NAME, "")),
        software=text.get("software", ""),
        model=text.get("model", ""),
        model_sha256=text.get("modelHash", ""),
        release=text.get("release", ""),
        rights_holder=text.get("rightsHolder", ""),
        release_check=text.get("releaseCheck", ""),
        knobs=MappingProxyType(knobs if isinstance(knobs, dict) else {}),
        knobs_intact=_hash(text.get("knobs", "")) == text.get("knobsHash"),
        frame=frame if isinstance(frame, int) else 0,
        history=tuple(_past(metadata)),
    )


def burn_in(plate: Plate, text: str) -> Plate:
    """Return the plate with a slate over its picture, near the bottom centre.

    Parameters
    ----------
    plate : Plate
        Any plate. The slate lies where display and data window meet (in the data window alone
        where they don't); a plate without pixels comes back as it is.
    text : str
        What the slate says, in ASCII as far as that goes; it is broken into lines where it has to
        be. Empty leaves the plate.

    Returns
    -------
    Plate
        With an opaque dark box and light letters in the picture channels, in the plate's own
        colour space; the type size is 1/24 of the display window's height, less only where the text
        would not fit, and pixel aspect is allowed for. Their level follows the mean of the plate
        beneath, between 0.18 and 1.6, with the box five stops below, so that the slate reads in
        night and in glare. Every pixel outside the box keeps its bits, and so do alpha and all
        other channels.
    """
    area = plate.display_window.intersection(plate.data_window)
    if area.empty:
        area = plate.data_window
    text = _ascii(text)
    if area.empty or not text.strip():
        return plate
    letters = _letters(text, area, plate.display_window.height, plate.pixel_aspect)
    height, width = letters.shape
    x0 = area.x0 + (area.width - width) // 2
    y0 = area.y1 - height - min(height // 4, area.height - height)
    box = Window(x0, y0, x0 + width, y0 + height)
    level = _slate_level(plate.picture(box))
    backing = level / _SLATE_CONTRAST
    value = backing + letters * (level - backing)
    pixels = np.repeat(value[..., None], 3, axis=-1).astype(np.float32)
    return plate.with_picture(pixels, box, np.ones(letters.shape, np.bool_))


# --- marks -----------------------------------------------------------------------------------


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in metadata.items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _without_folders(knobs: Mapping[str, Any]) -> dict[str, Any]:
    files = {knob.name for knob in declared() if knob.kind == "file"}
    # A Windows path may be written with either slash, so this also splits every other path.
    return {k: PureWindowsPath(v).name if k in files else v for k, v in knobs.items()}


def _own(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {k[len(_PREFIX) :]: v for k, v in metadata.items() if k.startswith(_PREFIX)}


def _past(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    text = metadata.get(f"{_PREFIX}history")
    if text is None:
        return []
    passes = _parsed(str(text))
    if isinstance(passes, list) and all(isinstance(item, dict) for item in passes):
        return passes
    return [{"unreadable": str(text)}]


def _history(plate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what the plate said of itself before this pass: its history and its present marks."""
    last = {name: value for name, value in _own(plate).items() if name != "history"}
    source_type = plate.get(_SOURCE_TYPE_NAME, SOURCE_TYPE)
    if source_type != SOURCE_TYPE:
        last[_SOURCE_TYPE_NAME] = source_type
    plain = {name: v if isinstance(v, int) else str(v) for name, v in last.items()}
    return [*_past(plate), plain] if plain else _past(plate)


# --- slate -----------------------------------------------------------------------------------


def _letters(
    text: str, area: Window, display_height: int, pixel_aspect: float
) -> NDArray[np.float32]:
    """Return the slate's coverage by letters, (h, w) float32 in 0..1, never larger than `area`."""
    # Set in square pixels, then squeezed to the plate's.
    most = (max(int(area.width * pixel_aspect), 1), area.height)
    size = max(display_height * _SLATE_HEIGHT, 1.0)
    while True:
        image = _typeset(text, size, most[0])
        if (image.width <= most[0] and image.height <= most[1]) or size <= 1.0:
            break
        size = max(size * 0.8, 1.0)
    squeezed = image.resize((max(round(image.width / pixel_aspect), 1), image.height))
    # Eight bits of coverage shape the edge of a drawn letter; no picture passes through them.
    return np.asarray(squeezed, np.float32)[: area.height, : area.width] / 255.0


def _typeset(text: str, size: float, width: int) -> Image.Image:
    """Return a text in lines of at most `width` pixels where its words allow, light on dark."""
    # Pillow's own font is the same on every machine, and draws ASCII.
    font = ImageFont.load_default(size)
    padding = max(round(size * 0.5), 1)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width - 2 * padding:
            lines[-1] = longer
        else:
            lines.append(word)
    pitch = round(size * 1.25)
    widest = max(font.getlength(line) for line in lines)
    image = Image.new("L", (int(widest) + 1 + 2 * padding, pitch * len(lines) + 2 * padding))
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        middle = (image.width / 2, padding + (index + 0.5) * pitch)
        draw.text(middle, line, fill=255, font=font, anchor="mm")
    return image


def _ascii(text: str) -> str:
    """Return a text without accents; a letter that has no ASCII form becomes a question mark."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() else "?" for c in letters if not unicodedata.combining(c))


def _slate_level(beneath: NDArray[np.float32]) -> float:
    """Return the value of the letters for the (h, w, 3) picture beneath them."""
    finite = beneath[np.isfinite(beneath)]
    mean = float(finite.mean(dtype=np.float64)) if finite.size else 0.0
    return float(np.clip(4.0 * mean, 0.18, 1.6))
