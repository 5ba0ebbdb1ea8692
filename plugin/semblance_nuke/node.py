"""What the buttons and callbacks of a Semblance node do.

Every function takes the `Host` first, so that the tests can run them in a Nuke of their own. A node
is either the gizmo, the group that it became, or the bare OpenFX node; `engine` finds what holds
the declared knobs: the last, or what stands in its place where the group works by frames.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Optional

from semblance.errors import EnvironmentFault, InputError, KnobError, SemblanceError
from semblance.knobs import Knob, Value, declared
from semblance.preset import animate
from semblance_nuke import jobs
from semblance_nuke.host import Host, Node, slashes
from semblance_panel.programs import program

__all__ = [
    "ENGINE",
    "Source",
    "analyse",
    "asked_range",
    "bake",
    "by_frames",
    "changed",
    "create",
    "engine",
    "file_space",
    "live_space",
    "pick_space",
    "read_above",
    "read_knob",
    "reporting",
    "send_to_farm",
    "snapshot",
    "source",
    "update_model",
    "write_curve",
    "write_knob",
]

ENGINE: Final = "OFXio.github.semblance.semblance_v1"
GIZMO: Final = "Semblance"
MARK: Final = "semblance_gizmo"
"""The hidden knob by which a group is known as ours."""

_INNER: Final = "ENGINE"
_FRAMES: Final = "NoOp"
"""Class of the inner node where the group works by frames."""

_RANGE: Final = re.compile(r"\s*(?P<first>-?\d+)\s*(?:-\s*(?P<last>-?\d+))?\s*")
_THROUGH: Final = frozenset({"Dot", "NoOp"})
"""What may stand between a Read and the node without changing a pixel."""

_VERSION: Final = re.compile(r"(?P<head>.*v)(?P<number>\d+)(?P<tail>\D*)", re.IGNORECASE)
_DEFAULT_SPACE: Final = re.compile(r"default(?: \((?P<name>.*)\))?")
_DEPTH: Final = 1000


# --- the node and its knobs ------------------------------------------------------------------


def engine(node: Any) -> Optional[Any]:
    """Return what holds a Semblance node's declared knobs, or None where it is no such node."""
    if node.Class() == ENGINE:
        return node
    if node.knob(MARK) is None:
        return None
    return node.node(_INNER)


def create(host: Host) -> Any:
    """Create a Semblance node below the selected one and return it; None where that fails.

    It becomes a group, which the script holds: a render node then needs the OpenFX node alone.
    """
    with reporting(host):
        try:
            gizmo = host.create(GIZMO, False)
        except RuntimeError as error:
            raise EnvironmentFault(
                f"Nuke can't make the node ({error})",
                "Put the folder plugin/semblance_nuke on Nuke's plugin path, and start Nuke again.",
            ) from error
        group = host.ungroup(gizmo)
        pick_space(host, group)
        return group
    return None


def read_knob(node: Any, declaration: Knob, frame: int) -> Value:
    """Return a declared knob's value of an OpenFX node at a frame, as the knob holds it.

    Raises
    ------
    KnobError
        The node has no such knob: it is of another version.
    """
    knob = node.knob(declaration.name)
    if knob is None:
        raise KnobError(
            f"the node has no knob {declaration.name!r}: the OpenFX node is of another version",
            "Run `semblance install-host` and start Nuke again.",
        )
    if declaration.kind in ("float", "int", "bool"):
        number = knob.getValueAt(frame) if knob.isAnimated() else knob.value()
        kinds: Mapping[str, Callable[[float], Value]] = {
            "float": float,
            "int": round,
            "bool": lambda value: value >= 0.5,
        }
        return declaration.check(kinds[declaration.kind](number))
    return declaration.check(str(knob.value()))


def write_knob(node: Any, declaration: Knob, value: Value, frame: int) -> bool:
    """Set a declared knob of an OpenFX node, and return whether it took the value.

    A curve stays a curve: it gets a key at the frame. An expression stays: it takes nothing.
    """
    knob = node.knob(declaration.name)
    if knob is None or knob.hasExpression():
        return False
    value = declaration.check(value)
    if knob.isAnimated() and not isinstance(value, str):
        knob.setValueAt(float(value), frame)
    else:
        knob.setValue(value)
    return True


def write_curve(node: Any, declaration: Knob, curve: Mapping[str, Value]) -> bool:
    """Give a knob a preset's curve, and return whether it took it.

    Every frame from the first key to the last gets a key, because a preset is straight between its
    keys and Nuke is not.
    """
    knob = node.knob(declaration.name)
    if knob is None or knob.hasExpression():
        return False
    at = animate({declaration.name: curve})
    keys = sorted(int(frame) for frame in curve)
    knob.clearAnimated()
    knob.setAnimated()
    for frame in range(keys[0], keys[-1] + 1):
        knob.setValueAt(float(at(frame).to_flat()[declaration.name]), frame)
    return True


def snapshot(node: Any, frames: Iterable[int]) -> dict[str, Any]:
    """Return an OpenFX node's knobs as a preset that gives the same values on these frames.

    What is animated is sampled on every frame, because a preset's curves are straight and Nuke's
    are not. Knobs at their defaults are left out.
    """
    numbers = list(frames)
    values: dict[str, Any] = {}
    for declaration in declared():
        knob = node.knob(declaration.name)
        if declaration.animates and knob is not None and knob.isAnimated():
            curve = {str(each): read_knob(node, declaration, each) for each in numbers}
            alike = len(set(curve.values())) <= 1
            held: Any = next(iter(curve.values())) if alike else curve
        elif declaration.kind == "file" and knob is not None:
            held = str(knob.evaluate() or "")  # the path may hold Tcl
        else:
            held = read_knob(node, declaration, numbers[0])
        if held != declaration.default:
            values[declaration.name] = held
    return values


def changed(host: Host) -> None:
    """React to a change of any group's knob; Nuke calls this for all of them, so leave early."""
    knob = host.this_knob()
    if knob is None or knob.name() != "inputChange":
        return
    node = host.this_node()
    inner = engine(node)
    if inner is None or inner.knob("input_space").value() != "auto" or node.input(0) is None:
        return
    pick_space(host, node)


# --- colour ----------------------------------------------------------------------------------


def live_space(host: Host, read: Optional[Any]) -> str:
    """Return the space of the pixels that reach the node, for the knob `input_space`.

    A Read converts its file to the project's working space, unless it is raw.
    """
    if read is not None and _is_on(read, "raw"):
        return file_space(read)
    if host.setting("colorManagement").upper() != "OCIO":
        return "auto"  # Nuke's own linear: Rec.709 primaries
    return _plain_space(host.setting("workingSpaceLUT")) or "scene_linear"


def file_space(read: Any) -> str:
    """Return the space of a Read's file; ``auto`` where the Read leaves it to the file itself."""
    knob = read.knob("colorspace")
    return "auto" if knob is None else _plain_space(str(knob.value())) or "auto"


def _plain_space(text: str) -> str:
    """Return a space's own name: Nuke shows it after its family, or in brackets after a role.

    >>> _plain_space("scene_linear (ACES - ACEScg)"), _plain_space("default (linear)")
    ('ACES - ACEScg', '')
    """
    if _DEFAULT_SPACE.fullmatch(text):
        return ""
    role = re.fullmatch(r"[a-z_]+ \((?P<name>.*)\)", text)
    return (role["name"] if role else text).split("/")[-1].split("\t")[-1].strip()


def pick_space(host: Host, node: Any) -> None:
    """Set the knob `input_space` to what arrives at the node."""
    inner = engine(node)
    if inner is not None:
        inner.knob("input_space").setValue(live_space(host, read_above(node)[0]))


def _is_on(node: Any, name: str) -> bool:
    knob = node.knob(name)
    return knob is not None and bool(knob.value())


# --- the shot above --------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """The files that a node's picture comes from.

    Parameters
    ----------
    pattern : str
        As plate.%04d.exr.
    first, last : int
        Frames.
    space : str
        Of the files.
    skipped : tuple of str
        Nodes between the Read and the node, which the files know nothing of.
    """

    pattern: str
    first: int
    last: int
    space: str
    skipped: tuple[str, ...]


def source(host: Host, node: Any, number: int = 0) -> Source:
    """Return the files of the Read above an input.

    Raises
    ------
    InputError
        There is no Read, it reads nothing, or it renumbers its frames.
    """
    which = ("Source", "Roto")[number]
    read, skipped = read_above(node, number)
    if read is None:
        raise InputError(
            f"{node.name()}: there is no Read above the input {which}, so there are no files to "
            "work on",
            "Connect a Read, or render what is there to EXR and read that.",
        )
    pattern = host.files(read)
    if not pattern:
        raise InputError(f"{read.name()} reads no file", "Choose its file.")
    frame = read.knob("frame")
    if frame is not None and str(frame.value()).strip() not in ("", "0", "0.0"):
        raise InputError(
            f"{read.name()} renumbers its frames ({frame.value()}), and the files know nothing of "
            "that",
            "Clear its frame field and shift with a TimeOffset below Semblance.",
        )
    return Source(
        slashes(pattern), int(read.firstFrame()), int(read.lastFrame()), file_space(read), skipped
    )


def read_above(node: Any, number: int = 0) -> tuple[Optional[Any], tuple[str, ...]]:
    """Return the first Read along the main inputs, and the nodes before it that change pixels."""
    skipped: list[str] = []
    here = node.input(number)
    for _ in range(_DEPTH):
        if here is None or here.Class() == "Read":
            return here, tuple(skipped)
        if here.Class() not in _THROUGH:
            skipped.append(here.name())
        here = here.input(0)
    return None, tuple(skipped)


def _folder(host: Host, node: Any) -> Path:
    """Return where results go: the node's own folder, or one beside the script."""
    knob = node.knob("output_folder")
    if knob is not None and knob.value():
        return Path(str(knob.value()))
    script = host.setting("name")
    if not script:
        raise InputError(
            "the script has no file yet, so there is no place beside it",
            "Save the script, or choose a folder on the node.",
        )
    return Path(script).parent / "semblance"


def _stem(pattern: str) -> str:
    return re.sub(r"[._]?(%\d*d|#+|@+)$", "", Path(pattern).stem)


# --- what takes long -------------------------------------------------------------------------


def analyse(host: Host, node: Any) -> None:
    """Track the face through the shot of the Read above, and set the knob `track_file`."""
    with reporting(host):
        inner = _own(node)
        shot = source(host, node)
        track = _folder(host, node) / f"{_stem(shot.pattern)}.track.json"
        track.parent.mkdir(parents=True, exist_ok=True)
        face = next(each for each in declared() if each.name == "face")
        command = [
            program(), "track", shot.pattern, "-o", str(track),
            "--frames", f"{shot.first}-{shot.last}", "--input-space", shot.space,
            "--face", str(read_knob(inner, face, host.frame())), "--json",
        ]  # fmt: skip

        def done(group: Any, outcome: jobs.Outcome) -> None:
            with host.undo("Semblance: analyse shot"):
                engine(group).knob("track_file").setValue(slashes(str(track)))  # type: ignore[union-attr]
            lost = list(outcome.said.get("lost", ()))
            if lost or shot.skipped:
                host.tell(_notes(shot, f"No face in {len(lost)} frames." if lost else ""))

        _start(host, node, "Semblance: analyse shot", command, None, done)


def bake(host: Host, node: Any) -> None:
    """Render the files of the Read above with their layers, and create a Read of the result."""
    with reporting(host):
        order = _order(host, node)
        files = order.files
        before = [_stamp(file) for file in files]

        def share() -> float:
            now = (_stamp(file) for file in files)
            return sum(new != old for new, old in zip(now, before)) / len(files)

        def done(group: Any, outcome: jobs.Outcome) -> None:
            with host.undo("Semblance: bake"):
                _read_result(host, group, order.shot, order.result)
            complaints = " ".join(outcome.complaints)
            if complaints or order.shot.skipped:
                host.tell(_notes(order.shot, complaints))

        command = [program(), "apply", *order.words, "--json"]
        _start(host, node, "Semblance: bake", command, share, done)


def send_to_farm(host: Host, node: Any) -> None:
    """Write the bake as a folder that a farm renders, and say where it lies and what takes it."""
    with reporting(host):
        order = _order(host, node)
        if not order.values.get("track_file"):
            raise InputError(
                f"{node.name()} has no track, and every chunk of a shot has to use the same",
                "Press Analyse shot first, or choose a track file.",
            )
        bundle = order.preset.parent / "farm"
        command = [program(), "farm", "bundle", *order.words, "-b", str(bundle), "--json"]

        def done(group: Any, outcome: jobs.Outcome) -> None:
            said = outcome.said
            text = (
                f"{said.get('frames')} frames in {said.get('chunks')} chunks: the bundle is "
                f"{slashes(str(bundle))}\n\nFarm: deadline bundle submit {slashes(str(bundle))}\n"
                f"Here: {said.get('run')}\n\nThe result will be {order.result}"
            )
            host.tell("\n\n".join(filter(None, [text, _notes(order.shot, "")])))

        _start(host, node, "Semblance: send to farm", command, None, done)


@dataclass(frozen=True)
class _Order:
    """A shot to be rendered with its layers, as `semblance apply` takes it."""

    shot: Source
    values: Mapping[str, Any]
    preset: Path
    result: str
    files: tuple[Path, ...]
    words: tuple[str, ...]


def _order(host: Host, node: Any) -> _Order:
    """Write a node's knobs as a preset, and return what is to be rendered with it."""
    inner = _own(node)
    shot = source(host, node)
    frames = range(shot.first, shot.last + 1)
    values = {**snapshot(inner, frames), "input_space": shot.space, "view": "result"}
    folder = _folder(host, node) / f"{_stem(shot.pattern)}_{node.name()}"
    folder.mkdir(parents=True, exist_ok=True)
    preset = folder / "preset.json"
    preset.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    head = f"{_stem(shot.pattern)}_semblance"
    result = f"{slashes(str(folder))}/{head}.%04d.exr"
    files = tuple(folder / f"{head}.{frame:04d}.exr" for frame in frames)
    words = [
        shot.pattern, "-o", result, "--preset", str(preset),
        "--frames", f"{shot.first}-{shot.last}", "--layers",
    ]  # fmt: skip
    if node.input(1) is not None and _is_on(inner, "use_mask"):
        words += ["--roto", source(host, node, 1).pattern]
    return _Order(shot, values, preset, result, files, tuple(words))


def _read_result(host: Host, group: Any, shot: Source, result: str) -> None:
    above = read_above(group)[0]
    read = host.create("Read", False)
    read.setInput(0, None)
    read.knob("file").setValue(result)
    for name, value in (("first", shot.first), ("last", shot.last)):
        read.knob(name).setValue(value)
    for name in ("colorspace", "raw"):  # the result is in the plate's own space
        knob = read.knob(name)
        if above is not None and knob is not None and above.knob(name) is not None:
            knob.setValue(above.knob(name).value())
    read.setXYpos(group.xpos() + 120, group.ypos())


def _own(node: Any) -> Any:
    inner = engine(node)
    if inner is None:
        raise InputError(f"{node.name()} is no Semblance node", "Choose one.")
    return inner


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _notes(shot: Source, text: str) -> str:
    if not shot.skipped:
        return text
    names = ", ".join(shot.skipped)
    return f"{text} The files were used as they are: {names} did not count.".strip()


def _start(
    host: Host,
    node: Node,
    title: str,
    command: list[str],
    share: Optional[Callable[[], float]],
    done: Callable[[Any, jobs.Outcome], None],
) -> None:
    """Run a command beside Nuke and, where it went well, say so on the main thread.

    The node is kept by name alone: it may be gone by then.
    """
    name = node.fullName()

    def finish(outcome: Optional[jobs.Outcome], wrong: str) -> None:
        group = host.find(name)
        if wrong:
            host.tell(wrong)
        elif outcome is not None and not outcome.cancelled and group is not None:
            done(group, outcome)

    def work() -> None:
        bar = host.progress(title)

        def show(part: float, words: str) -> None:
            bar.setProgress(int(100 * part))
            bar.setMessage(words)

        try:
            outcome = jobs.run(command, show, bar.isCancelled, share)
        except SemblanceError as error:
            host.later(finish, None, str(error))
            return
        failed = outcome.code != 0 and not outcome.cancelled
        words = " ".join(outcome.complaints[-3:]) or f"it ended with {outcome.code}"
        host.later(finish, outcome, f"{title} failed. {words}" if failed else "")

    if host.gui:
        threading.Thread(target=work, name=title, daemon=True).start()
    else:
        work()


# --- the model -------------------------------------------------------------------------------


def by_frames(node: Any) -> None:
    """Refuse a node that does not work by frames.

    Raises
    ------
    InputError
        It is another node, or a live one.
    """
    if _own(node).Class() != _FRAMES:
        raise InputError(
            f"{node.name()} is live, and makes its frames as they are looked at",
            "Set its engine to frames first.",
        )


def asked_range(host: Host, node: Any) -> Optional[tuple[int, int]]:
    """Ask for a range of frames, by default all of the plate's; None where the artist said no.

    Raises
    ------
    InputError
        It is no range.
    """
    source = node.input(0)
    first, last = (1, 1) if source is None else (source.firstFrame(), source.lastFrame())
    text = host.ask("Frames", f"{first}-{last}")
    if text is None:
        return None
    found = _RANGE.fullmatch(text)
    if found is None or int(found["last"] or found["first"]) < int(found["first"]):
        raise InputError(f"{text!r} is no range of frames", "Give one as 1001-1012.")
    return int(found["first"]), int(found["last"] or found["first"])


def update_model(host: Host, node: Any) -> None:
    """Set the knob `model` to the newest version beside it, and say which that is."""
    with reporting(host):
        inner = _own(node)
        current = Path(str(inner.knob("model").value()))
        newest = _newest(current)
        if newest == current:
            host.tell(f"{current.name} is the newest version in {current.parent}.")
            return
        with host.undo("Semblance: update model"):
            inner.knob("model").setValue(slashes(str(newest)))
        host.tell(f"{current.name} is now {newest.name}.")


def _newest(model: Path) -> Path:
    """Return the file of the highest version; a model without a version is its only one.

    Raises
    ------
    InputError
        There is no model.
    """
    if not model.name:
        raise InputError("no model is chosen", "Choose one on the node.")
    own = _VERSION.fullmatch(model.stem)
    if own is None:
        return model
    found = {int(own["number"]): model}
    for each in model.parent.glob(f"*{model.suffix}"):
        other = _VERSION.fullmatch(each.stem)
        if other and (other["head"], other["tail"]) == (own["head"], own["tail"]):
            found.setdefault(int(other["number"]), each)
    return found[max(found)]


@contextmanager
def reporting(host: Host) -> Iterator[None]:
    """Be the border: what the user can mend is told in one line, everything else goes on."""
    try:
        yield
    except SemblanceError as error:
        host.tell(f"Semblance: {error}")
    except OSError as error:
        host.tell(f"Semblance: {error.filename} can't be written: {error.strerror}.")
