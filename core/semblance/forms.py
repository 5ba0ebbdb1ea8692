"""The knob table in the forms that other programs read, each a small function of `declared()`.

* `markdown`: the reference page, `docs/knobs.md`;
* `ofx_header`: a constant C array that the OpenFX shim loops over, `plugin/ofx/knobs_table.h`;
* `gizmo_knobs`: Nuke's ``addUserKnob`` lines, `gizmos/semblance_knobs.tcl`;
* `farm_parameters`: the parameter definitions of an Open Job Description template.

The first three are files in the repository, so that a clone builds without a generation step::

    python -m semblance.forms .

Standard library only, as `semblance.knobs`.

References
----------
OpenFX image effect API 1.4, parameter properties. Nuke's user knob codes, as scripts hold them.
Open Job Description, template schema 2023-09, section 2 (job parameters).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from semblance.knobs import Knob, declared, digest

__all__ = ["farm_parameters", "generated", "gizmo_knobs", "markdown", "ofx_header"]

NOTICE = "Generated from core/semblance/knobs.py by `make knobs`; changes belong there."


def generated() -> dict[str, str]:
    """Return the text of every generated file by its path in the repository."""
    return {
        "docs/knobs.md": markdown(),
        "gizmos/semblance_knobs.tcl": gizmo_knobs(),
        "plugin/ofx/knobs_table.h": ofx_header(),
    }


def _groups() -> Iterator[tuple[str, tuple[Knob, ...]]]:
    for name, members in groupby(declared(), key=lambda knob: knob.group):
        yield name, tuple(members)


def _plain(value: Any) -> str:
    """Return a value as a person, Tcl and Open Job Description write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tip(knob: Knob) -> str:
    """Return the help with its unit, for hosts that have no place for one."""
    return f"{knob.help} ({knob.unit})" if knob.unit else knob.help


# --- the reference page ----------------------------------------------------------------------


def markdown() -> str:
    """Return the reference page: one table for each group, in declared order."""
    lines = [
        "# Knobs",
        "",
        f"<!-- {NOTICE} -->",
        "",
        "The same knobs, by the same names, are options of `semblance apply` (`--mask-grow`), keys",
        "of a preset file, parameters of the OpenFX node and knobs of the gizmo.",
    ]
    for group, knobs in _groups():
        lines += [
            "",
            f"## {group}",
            "",
            "| knob | default | accepts | unit | animates | what it does |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [_row(knob) for knob in knobs]
    return "\n".join(lines) + "\n"


def _row(knob: Knob) -> str:
    cells = (
        f"`{knob.name}`",
        f"`{_plain(knob.default)}`" if knob.default != "" else "",
        _accepted(knob),
        knob.unit,
        "yes" if knob.animates else "no",
        knob.help,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _accepted(knob: Knob) -> str:
    if knob.kind == "choice":
        return ", ".join(f"`{choice}`" for choice in knob.choices)
    if knob.kind == "bool":
        return "`true`, `false`"
    if knob.range is None:
        return {"file": "a file's path", "text": "text"}[knob.kind]
    low, high = knob.range
    return f"{low:g} to {high:g}"


# --- OpenFX ----------------------------------------------------------------------------------


def ofx_header() -> str:
    """Return a C header that holds the table as one constant array, with its digest.

    The C code loops over the array and names no knob. A choice's default is its index, as OpenFX
    counts; strings are UTF-8 bytes.
    """
    knobs = declared()
    choices = [
        f"static const char *const semblance_choices_{knob.name}[] = {{"
        + ", ".join([*map(_c_string, knob.choices), "NULL"])
        + "};"
        for knob in knobs
        if knob.kind == "choice"
    ]
    return (
        f"/* {NOTICE} */\n"
        "#ifndef SEMBLANCE_KNOBS_TABLE_H\n"
        "#define SEMBLANCE_KNOBS_TABLE_H\n\n"
        "#include <stddef.h>\n\n"
        "/* Sent in the worker's hello: equal where plug-in and worker know the same knobs. */\n"
        f"#define SEMBLANCE_KNOBS_DIGEST {_c_string(digest())}\n"
        f"#define SEMBLANCE_KNOB_COUNT {len(knobs)}\n\n"
        "typedef enum {\n"
        "    SEMBLANCE_FLOAT, SEMBLANCE_INT, SEMBLANCE_BOOL,\n"
        "    SEMBLANCE_CHOICE, SEMBLANCE_TEXT, SEMBLANCE_FILE\n"
        "} semblance_kind;\n\n"
        "typedef struct {\n"
        "    const char *name, *group, *label, *help, *unit;\n"
        "    semblance_kind kind;\n"
        "    int animates;\n"
        "    double number;              /* default of a number, bool (0, 1), choice (index) */\n"
        "    const char *text;           /* default of a text or a file, else empty */\n"
        "    double low, high;           /* hard limits of a number, both allowed, else 0 */\n"
        "    double slider_low, slider_high;\n"
        "    const char *const *choices; /* ends with NULL; NULL where there are none */\n"
        "    int idles;                  /* the result is the plate while the value is `idle` */\n"
        "    double idle;                /* of a text or a file: the empty one */\n"
        "    int inspects;               /* off its default it is never the plate */\n"
        "} semblance_knob;\n\n" + "\n".join(choices) + "\n\n"
        "static const semblance_knob semblance_knobs[SEMBLANCE_KNOB_COUNT] = {\n"
        + "".join(f"    {_c_entry(knob)},\n" for knob in knobs)
        + "};\n\n"
        "#endif\n"
    )


def _c_entry(knob: Knob) -> str:
    low, high = knob.range or (0.0, 0.0)
    slider_low, slider_high = knob.slider or (0.0, 0.0)
    number = _c_number(knob, knob.default)
    text = str(knob.default) if knob.kind in ("text", "file") else ""
    strings = (knob.name, knob.group, knob.label, knob.help, knob.unit)
    fields = (
        *map(_c_string, strings),
        f"SEMBLANCE_{knob.kind.upper()}",
        str(int(knob.animates)),
        repr(float(number)),
        _c_string(text),
        *(repr(float(limit)) for limit in (low, high, slider_low, slider_high)),
        f"semblance_choices_{knob.name}" if knob.choices else "NULL",
        str(int(knob.idle is not None)),
        repr(_c_number(knob, knob.idle)),
        str(int(knob.inspects)),
    )
    return "{" + ", ".join(fields) + "}"


def _c_number(knob: Knob, value: Any) -> float:
    """Return a value as the array holds numbers: a choice by its index, a text as 0."""
    if knob.kind == "choice" and value is not None:
        return float(knob.choices.index(value))
    return 0.0 if value is None or isinstance(value, str) else float(value)


def _c_string(text: str) -> str:
    """Return a C string literal; three octal digits never swallow what follows, as hex would."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{plain}"'


# --- Nuke ------------------------------------------------------------------------------------

_NUKE = {"text": 1, "file": 2, "int": 3, "choice": 4, "bool": 6, "float": 7}
_NUKE_TAB = 20


def gizmo_knobs() -> str:
    """Return the lines of a Nuke group node that make its knobs and set their defaults.

    Nuke has no hard limits on a user knob: `R` is what its slider spans, and a value beyond the
    knob's range is refused where it is used.
    """
    lines = [f"# {NOTICE}", f" addUserKnob {{{_NUKE_TAB} semblance l Semblance}}"]
    for group, knobs in _groups():
        lines.append(f" addUserKnob {{{_NUKE_TAB} group_{group} l {_tcl_string(group)} n 1}}")
        for knob in knobs:
            lines.append(f" addUserKnob {{{_nuke_knob(knob)}}}")
            if knob.default != "":
                lines.append(f" {knob.name} {_tcl_string(_plain(knob.default))}")
        lines.append(f" addUserKnob {{{_NUKE_TAB} end_{group} n -1}}")
    return "\n".join(lines) + "\n"


def _nuke_knob(knob: Knob) -> str:
    words = [str(_NUKE[knob.kind]), knob.name, "l", _tcl_string(knob.label)]
    words += ["t", _tcl_string(_tip(knob))]
    if knob.choices:
        words += ["M", "{" + " ".join(knob.choices) + "}"]
    if knob.slider is not None:
        words += ["R", *(f"{limit:g}" for limit in knob.slider)]
    if knob.kind == "bool":
        words.append("+STARTLINE")
    return " ".join(words)


def _tcl_string(text: str) -> str:
    """Return a quoted Tcl word that stays whole inside braces and is never evaluated."""
    return '"' + "".join(f"\\{c}" if c in '\\"{}[]$' else c for c in text) + '"'


# --- Open Job Description --------------------------------------------------------------------


def farm_parameters() -> dict[str, Any]:
    """Return ``{"parameterDefinitions": [...]}``, ready to be merged into a job template.

    The 2023-09 schema has no boolean: those are ``true`` or ``false`` under a check box.
    """
    return {"parameterDefinitions": [_farm_parameter(knob) for knob in declared()]}


def _farm_parameter(knob: Knob) -> dict[str, Any]:
    kind, control = {
        "float": ("FLOAT", "SPIN_BOX"),
        "int": ("INT", "SPIN_BOX"),
        "bool": ("STRING", "CHECK_BOX"),
        "choice": ("STRING", "DROPDOWN_LIST"),
        "text": ("STRING", "LINE_EDIT"),
        "file": ("PATH", "CHOOSE_INPUT_FILE"),
    }[knob.kind]
    parameter: dict[str, Any] = {
        "name": knob.name,
        "type": kind,
        "description": _tip(knob),
        "default": _plain(knob.default) if kind == "STRING" else knob.default,
        "userInterface": {"control": control, "label": knob.label, "groupLabel": knob.group},
    }
    if knob.range is not None:
        cast = int if kind == "INT" else float
        parameter["minValue"], parameter["maxValue"] = map(cast, knob.range)
    if kind == "FLOAT":
        parameter["userInterface"]["decimals"] = 3
    if knob.kind == "bool":
        parameter["allowedValues"] = ["true", "false"]
    elif knob.choices:
        parameter["allowedValues"] = list(knob.choices)
    elif kind == "PATH":
        parameter.update(objectType="FILE", dataFlow="IN")
    return parameter


if __name__ == "__main__":
    for place, content in generated().items():
        target = Path(sys.argv[1]) / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode())
