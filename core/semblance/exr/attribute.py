"""One attribute of an OpenEXR header, as its type name and its bytes, readable on request.

Image libraries translate a header into terms of their own: OpenImageIO renames ``owner`` to
``Copyright`` and leaves out types that it does not know, OpenEXR's Python module cannot write a
rational. A plate's attributes have to come out as they went in, so they are carried as they lie.

References
----------
Academy Software Foundation, "OpenEXR File Layout", section "Predefined Attribute Types",
https://openexr.com/en/latest/OpenEXRFileLayout.html
SMPTE ST 12-1, "Time and Control Code" (time codes).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.plate import Window

__all__ = ["Attribute", "Attributes"]

_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "box2f": "<4f",
        "box2i": "<4i",
        "chromaticities": "<8f",
        "compression": "<B",
        "deepImageState": "<B",
        "double": "<d",
        "envmap": "<B",
        "float": "<f",
        "int": "<i",
        "keycode": "<7i",
        "lineOrder": "<B",
        "m33d": "<9d",
        "m33f": "<9f",
        "m44d": "<16d",
        "m44f": "<16f",
        "rational": "<iI",
        "tiledesc": "<2IB",
        "timecode": "<2I",
        "v2d": "<2d",
        "v2f": "<2f",
        "v2i": "<2i",
        "v3d": "<3d",
        "v3f": "<3f",
        "v3i": "<3i",
    }
)


@dataclass(frozen=True)
class Attribute:
    """One header attribute as it lies in the file.

    Two attributes are equal when their bytes are, so a NaN equals itself.

    Parameters
    ----------
    kind : str
        The type's name in the file: ``string``, ``float``, ``v2f``, ``timecode`` …
    data : bytes
        The value, little-endian, without the length in front.
    """

    kind: str
    data: bytes

    @classmethod
    def of(cls, value: Any) -> Attribute:
        """Return the attribute that holds a Python value.

        Parameters
        ----------
        value : Attribute, str, int, float, Fraction, or sequence
            A sequence of str, or of two or three int or float. A float is stored in 32 bits.

        Raises
        ------
        TypeError
            If OpenEXR has no attribute type for the value.
        """
        if isinstance(value, Attribute):
            return value
        if isinstance(value, str):
            return cls("string", value.encode())
        if isinstance(value, Fraction):
            return cls("rational", struct.pack("<iI", value.numerator, value.denominator))
        if isinstance(value, int):
            return cls("int", struct.pack("<i", value))
        if isinstance(value, float):
            return cls("float", struct.pack("<f", value))
        if isinstance(value, (list, tuple)):
            if all(isinstance(item, str) for item in value):
                texts = (item.encode() for item in value)
                return cls("stringvector", b"".join(struct.pack("<i", len(t)) + t for t in texts))
            if len(value) in (2, 3) and all(isinstance(item, (int, float)) for item in value):
                letter = "i" if all(isinstance(item, int) for item in value) else "f"
                return cls(f"v{len(value)}{letter}", struct.pack(f"<{len(value)}{letter}", *value))
        raise TypeError(f"no OpenEXR attribute type holds {value!r}")

    @classmethod
    def box(cls, window: Window) -> Attribute:
        """Return the attribute that holds a window; its upper bounds are inclusive in a file."""
        box = (window.x0, window.y0, window.x1 - 1, window.y1 - 1)
        return cls("box2i", struct.pack("<4i", *box))

    @property
    def value(self) -> Any:
        """The value in Python's terms; the bytes themselves where the type is not a standard one.

        str for ``string``; a number, or a tuple of numbers in the file's order, for the fixed
        types; a tuple for ``stringvector`` and ``floatvector``; (width, height) for ``preview``.
        """
        if self.kind == "string":
            return self.data.decode(errors="replace")
        if self.kind == "stringvector":
            return _strings(self.data)
        if self.kind == "floatvector":
            return struct.unpack(f"<{len(self.data) // 4}f", self.data[: len(self.data) // 4 * 4])
        if self.kind == "preview" and len(self.data) >= 8:
            return struct.unpack_from("<2I", self.data)
        layout = _FORMATS.get(self.kind)
        if layout is None or len(self.data) != struct.calcsize(layout):
            return self.data
        numbers = struct.unpack(layout, self.data)
        return numbers[0] if len(numbers) == 1 else numbers

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the value as an array, so that NumPy takes a numeric attribute as it is."""
        return np.array(self.value, dtype)

    def __str__(self) -> str:
        """Return the value as a person reads it."""
        value = self.value
        if isinstance(value, bytes):
            kind = self.kind.encode(errors="replace").decode()  # a damaged one may not be text
            return f"{len(value)} bytes of {kind}"
        if self.kind == "timecode":
            return _timecode(value[0])
        if self.kind == "rational":
            return f"{value[0]}/{value[1]}"
        if self.kind == "preview":
            return f"{value[0]} × {value[1]} pixels"
        if isinstance(value, tuple):
            return ", ".join(
                f"{item:.7g}" if isinstance(item, float) else str(item) for item in value
            )
        return f"{value:.7g}" if isinstance(value, float) else str(value)


Attributes: TypeAlias = Mapping[str, Attribute]
"""A header, by name."""


def _strings(data: bytes) -> tuple[str, ...]:
    """Return the texts of a ``stringvector`` attribute."""
    texts = []
    position = 0
    while position + 4 <= len(data):
        (length,) = struct.unpack_from("<i", data, position)
        position += 4
        texts.append(data[position : position + max(length, 0)].decode(errors="replace"))
        position += max(length, 0)
    return tuple(texts)


def _timecode(bits: int) -> str:
    """Return a time code as text, ``;`` before the frames where frames are dropped (SMPTE 12M)."""
    hours, minutes, seconds, frames = (
        (bits >> shift & 0xF) + 10 * (bits >> shift + 4 & mask)
        for shift, mask in ((24, 3), (16, 7), (8, 7), (0, 3))
    )
    return f"{hours:02}:{minutes:02}:{seconds:02}{';' if bits >> 6 & 1 else ':'}{frames:02}"
