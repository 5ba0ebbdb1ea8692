"""Knobs from a file, with curves: ``{name: value}`` or ``{name: {frame: value}}``.

::

    {"mask_grow": 1.5, "identity_strength": {"1001": 0.0, "1012": 1.0}}

A number is linear between its keys, anything else holds until the next key; before the first and
past the last key the nearest one holds. Standard library only.

A file that lies beside the preset (model, track, drawn roto) is named relative to it, so that a
folder with all of them can be moved; any other relative path is one from where the program runs.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from semblance.documents import loads, read_text
from semblance.errors import KnobError, frame_context
from semblance.knobs import Knob, Knobs, Value, declared

__all__ = ["animate", "load_preset"]


def load_preset(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a preset file; `animate` checks what is in it.

    Returns
    -------
    dict
        As it stands in the file, but that a file that the preset names and that lies beside it
        is given by its full path.

    Raises
    ------
    KnobError
        The file can't be read or is not one JSON object.
    """
    with frame_context(None, path):
        try:
            values = loads(read_text(path))
        except OSError as error:
            raise KnobError(
                f"the preset can't be read ({error.strerror})", "Give the path of a JSON file."
            ) from error
        except ValueError as error:
            raise KnobError(
                f"the preset is not JSON ({error})", 'Write it as {"identity_strength": 0.5}.'
            ) from error
        if not isinstance(values, dict):
            raise KnobError(
                f"a preset is one JSON object, found {type(values).__name__}",
                'Write it as {"identity_strength": 0.5}.',
            )
        files = {knob.name for knob in declared() if knob.kind == "file"}
        folder = os.path.dirname(os.path.abspath(path))
        return {
            name: _beside(folder, value) if name in files else value
            for name, value in values.items()
        }


def _beside(folder: str, value: Any) -> Any:
    """Return the path of a file in a folder, or what was given where there is none."""
    if not isinstance(value, str) or not value:
        return value
    there = os.path.join(folder, value)
    return there if os.path.isfile(there) else value


def animate(values: Mapping[str, Any]) -> Callable[[int], Knobs]:
    """Return the knobs of every frame.

    Parameters
    ----------
    values : mapping
        ``{name: value}``, where a knob that animates may have ``{frame: value}`` instead.

    Returns
    -------
    callable
        From a frame number to plain `Knobs`.

    Raises
    ------
    KnobError
        A name is unknown, a value is not accepted, or a knob that does not animate has a curve.
    """
    still = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    known = {knob.name: knob for knob in declared()}
    curves = {
        name: _checked(known[name], keys)
        for name, keys in values.items()
        if isinstance(keys, Mapping) and name in known
    }
    unknown = {name: None for name in values if name not in known}
    fixed = Knobs.from_flat({**still, **unknown})
    if not curves:
        return lambda frame: fixed
    return lambda frame: Knobs.from_flat(
        {**still, **{name: _at(known[name], keys, frame) for name, keys in curves.items()}}
    )


def _checked(knob: Knob, keys: Mapping[Any, Any]) -> dict[int, Value]:
    if not knob.animates:
        raise KnobError(f"knob {knob.name!r} does not animate", "Give it one value.")
    try:
        curve = {int(frame): knob.check(value) for frame, value in keys.items()}
    except (TypeError, ValueError):
        curve = {}
    if not curve:
        raise KnobError(
            f"the curve of knob {knob.name!r} needs frame numbers, found {list(keys)}",
            f'Write it as {{"1001": {json.dumps(knob.default)}}}.',
        )
    return dict(sorted(curve.items()))


def _at(knob: Knob, curve: Mapping[int, Value], frame: int) -> Value:
    """Return a curve's value; `curve` is sorted by frame and not empty."""
    frames = list(curve)
    after = bisect_right(frames, frame)
    left = frames[max(after - 1, 0)]
    right = frames[min(after, len(frames) - 1)]
    if knob.kind != "float" or left >= right:
        return curve[left]
    share = (frame - left) / (right - left)
    return float(curve[left]) + share * (float(curve[right]) - float(curve[left]))
