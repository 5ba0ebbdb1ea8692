"""Render farms: a shot as an Open Job Description bundle, and what a farm's machine does with it.

- `Job`, `write_bundle`: a folder with a template, its values and the knobs' curves, that
  `openjd run` runs here and any farm that speaks Open Job Description runs there.
- `attempt`: one chunk, tried again where it fails; what was finished before is kept.
- `keep`, `ask`, `serve`: a process that keeps the model open for all chunks of a machine.

The template's commands are this program's own (`semblance farm task`), without a shell between:
no value of a parameter is ever a command.

References
----------
Open Job Description, template schemas 2023-09; RFC 0001, task chunking (both of the
OpenJobDescription/openjd-specifications repository).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from semblance.errors import EnvironmentFault, OutputError
from semblance.forms import farm_parameters
from semblance.knobs import declared
from semblance.preset import animate

if TYPE_CHECKING:
    from semblance.exr import Sequence

__all__ = [
    "CAN_KEEP",
    "Bundle",
    "Job",
    "ask",
    "attempt",
    "keep",
    "serve",
    "template",
    "write_bundle",
]

_NOTIFY_SECONDS: Final = 120
"""A cancelled chunk finishes the frame in work; a slow one may take that long."""

_PAUSE_SECONDS: Final = 1.0
_SETTLED: Final = (0, 2, 3)
"""Exit codes after which another attempt ends no otherwise: done, no sense, not released."""

_DIED: Final = -9
_STARTING_SECONDS: Final = 120.0
_POLITE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_LONGEST_LINE: Final = 1 << 20
_LONGEST_PLACE: Final = 90
"""A socket's whole path has to fit into 104 bytes, on some systems."""


# --- the bundle ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A shot to be rendered on a farm.

    Parameters
    ----------
    plates, output : Sequence
    frames : tuple of int
    values : mapping
        As a preset: knobs by name, a curve as ``{frame: value}``. Model and track are named.
    roto : Sequence or None
    release : Path or None
        The likeness's release.
    trust : tuple of Path
        Public keys that may release, or folders of them.
    options : tuple of str
        Further options of `semblance apply`, as they stand on its command line.
    require_release : bool
        Whether a chunk without a valid release fails, instead of carrying a slate.
    chunk : int
        Frames that a machine makes at a time.
    attempts : int
        How often a chunk is tried on a machine before the farm hears that it failed.
    program : str
        The program `semblance` as the farm's machines know it.
    """

    plates: Sequence
    output: Sequence
    frames: tuple[int, ...]
    values: Mapping[str, Any]
    roto: Sequence | None = None
    release: Path | None = None
    trust: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    require_release: bool = True
    chunk: int = 10
    attempts: int = 3
    program: str = "semblance"

    @property
    def curves(self) -> dict[str, Mapping[str, Any]]:
        """The knobs that move, by name."""
        return {name: held for name, held in self.values.items() if isinstance(held, Mapping)}


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written.

    Parameters
    ----------
    folder, template, values : Path
        The folder that a farm takes, the template in it, and the parameters as `openjd` reads them.
    chunks : int
        Tasks that it makes of the shot.
    """

    folder: Path
    template: Path
    values: Path
    chunks: int


@dataclass(frozen=True)
class _Parameter:
    """A parameter of the job that is no knob, and its value."""

    definition: Mapping[str, Any]
    value: str | int

    @property
    def name(self) -> str:
        return str(self.definition["name"])


def write_bundle(job: Job, folder: Path) -> Bundle:
    """Write a job as a folder: ``template.json``, its values, ``curves.json`` where knobs move.

    Values are there twice, because two readers know two forms: ``parameter_values.json`` as farms
    read a bundle, ``openjd_values.json`` as ``openjd run -p`` does. All paths in them are absolute.

    Raises
    ------
    KnobError
        A value is not accepted.
    OutputError
        The folder can't be written.
    """
    animate(job.values)
    held = _values(job)
    files: dict[str, Any] = {
        "template.json": template(job),
        "parameter_values.json": {
            "parameterValues": [{"name": name, "value": value} for name, value in held.items()]
        },
        "openjd_values.json": held,
    }
    if job.curves:
        files["curves.json"] = job.curves
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "curves.json").unlink(missing_ok=True)
        for name, content in files.items():
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"the bundle {folder} can't be written: {error.strerror}", "Name another folder."
        ) from error
    return Bundle(
        folder,
        folder / "template.json",
        folder / "openjd_values.json",
        -(-len(job.frames) // job.chunk),
    )


def template(job: Job) -> dict[str, Any]:
    """Return a job template that follows the schema 2023-09 with the extension TASK_CHUNKING."""
    own = _parameters(job)
    knobs = _knobs(job)
    task = [
        "farm",
        "task",
        "--session",
        "{{Session.WorkingDirectory}}",
        "--attempts",
        "{{Param.attempts}}",
        "--require-release",
        "{{Param.require_release}}",
    ]
    for knob in knobs:
        task += ["--knob", f"{knob['name']}={{{{Param.{knob['name']}}}}}"]
    task += ["--", *_rendering(job)]
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": f"Semblance {_stem(job.output)}"[:64],
        "description": "A likeness over a performance. Chunks may run anywhere, at once, twice.",
        "parameterDefinitions": [*(each.definition for each in own), *knobs],
        "jobEnvironments": [
            {
                "name": "Semblance",
                "description": "Opens the model once for all chunks of a machine.",
                "script": {
                    "actions": {
                        "onEnter": _action(
                            [
                                "farm",
                                "enter",
                                "--session",
                                "{{Session.WorkingDirectory}}",
                                "--model",
                                "{{Param.model}}",
                                *_provider(job),
                            ]
                        ),
                        "onExit": _action(
                            ["farm", "leave", "--session", "{{Session.WorkingDirectory}}"]
                        ),
                    }
                },
            }
        ],
        "steps": [
            {
                "name": "Render",
                "parameterSpace": {
                    "taskParameterDefinitions": [
                        {
                            "name": "frames",
                            "type": "CHUNK[INT]",
                            "range": "{{Param.frames}}",
                            "chunks": {
                                "defaultTaskCount": "{{Param.chunk_size}}",
                                "rangeConstraint": "NONCONTIGUOUS",
                            },
                        }
                    ]
                },
                "script": {"actions": {"onRun": _action(task)}},
            }
        ],
    }


def _action(arguments: list[str]) -> dict[str, Any]:
    return {
        "command": "{{Param.program}}",
        "args": arguments,
        "cancelation": {
            "mode": "NOTIFY_THEN_TERMINATE",
            "notifyPeriodInSeconds": _NOTIFY_SECONDS,
        },
    }


def _provider(job: Job) -> list[str]:
    if "--provider" not in job.options:
        return []
    return ["--provider", job.options[job.options.index("--provider") + 1]]


def _rendering(job: Job) -> list[str]:
    """Return the arguments of `semblance apply` that are no knobs."""
    line = ["{{Param.plate_folder}}/{{Param.plate_name}}"]
    line += ["-o", "{{Param.output_folder}}/{{Param.output_name}}"]
    line += ["--frames", "{{Task.Param.frames}}"]
    if job.roto is not None:
        line += ["--roto", "{{Param.roto_folder}}/{{Param.roto_name}}"]
    if job.release is not None:
        line += ["--release", "{{Param.release}}"]
    for number in range(1, len(job.trust) + 1):
        line += ["--trust", f"{{{{Param.trust_{number}}}}}"]
    if job.curves:
        line += ["--preset", "{{Param.curves}}"]
    return [*line, *(_literal(option) for option in job.options)]


def _literal(text: str) -> str:
    """Refuse text that Open Job Description would take for one of its expressions."""
    if "{{" in text:
        raise OutputError(
            f"{text!r} holds '{{{{', which a job template reads", "Name it otherwise."
        )
    return text


def _knobs(job: Job) -> list[dict[str, Any]]:
    """Return the definitions of the knobs that hold still; a file that is not named is left out."""
    known = {each["name"]: each for each in farm_parameters()["parameterDefinitions"]}
    return [
        {**known[knob.name], **({"dataFlow": "IN"} if knob.kind == "file" else {})}
        for knob in declared()
        if knob.name not in job.curves and (knob.kind != "file" or job.values.get(knob.name))
    ]


def _parameters(job: Job) -> list[_Parameter]:
    held = [
        *_files("plate", "The plate.", job.plates, "IN"),
        *_files("output", "The result.", job.output, "OUT"),
        _text("frames", "Frames, as 1001-1100,1200-1300:2.", _expression(job.frames)),
    ]
    if job.roto is not None:
        held += _files("roto", "The artist's matte.", job.roto, "IN")
    if job.release is not None:
        held.append(_path("release", "The likeness's release.", job.release, "FILE", "IN"))
    for number, path in enumerate(job.trust, 1):
        kind = "DIRECTORY" if path.is_dir() else "FILE"
        help_ = "A public key that may release, or a folder of them."
        held.append(_path(f"trust_{number}", help_, path, kind, "IN"))
    if job.curves:
        help_ = f"Curves of {', '.join(job.curves)}."
        definition = {**_path("curves", help_, Path(), "FILE", "IN").definition}
        held.append(_Parameter({**definition, "default": "curves.json"}, ""))
    whole: dict[str, Any] = {"type": "INT", "minValue": 1}
    shown: dict[str, Any] = {"userInterface": {"control": "SPIN_BOX", "groupLabel": "farm"}}
    held += [
        _Parameter(
            {"name": "chunk_size", **whole, "description": "Frames of a chunk.", **shown},
            job.chunk,
        ),
        _Parameter(
            {
                "name": "attempts",
                **whole,
                "description": "How often a machine tries a chunk. What it finished is kept.",
                **shown,
            },
            job.attempts,
        ),
        _Parameter(
            {
                "name": "require_release",
                "type": "STRING",
                "description": "Fail without a valid release, instead of a slate on every frame.",
                "default": "true",
                "allowedValues": ["true", "false"],
                "userInterface": {"control": "CHECK_BOX", "groupLabel": "farm"},
            },
            str(job.require_release).lower(),
        ),
        _text("program", "The program on the farm's machines.", job.program),
    ]
    return held


def _text(name: str, description: str, value: str) -> _Parameter:
    shown = {"control": "LINE_EDIT", "groupLabel": "farm"}
    return _Parameter(
        {"name": name, "type": "STRING", "description": description, "userInterface": shown}, value
    )


def _path(name: str, description: str, path: Path, kind: str, flow: str) -> _Parameter:
    definition = {
        "name": name,
        "type": "PATH",
        "objectType": kind,
        "dataFlow": flow,
        "description": description,
        "userInterface": {
            "control": "CHOOSE_DIRECTORY" if kind == "DIRECTORY" else "CHOOSE_INPUT_FILE",
            "groupLabel": "files",
        },
    }
    return _Parameter(definition, str(path.resolve()))


def _files(name: str, description: str, files: Sequence, flow: str) -> list[_Parameter]:
    """Return a folder, which farms map and carry, and the files' name in it."""
    return [
        _path(f"{name}_folder", description, files.folder, "DIRECTORY", flow),
        _text(f"{name}_name", "Its file name, # for each digit.", Path(str(files)).name),
    ]


def _values(job: Job) -> dict[str, str | int | float]:
    held: dict[str, str | int | float] = {
        each.name: each.value for each in _parameters(job) if each.name != "curves"
    }
    for knob in declared():
        value = job.values.get(knob.name, knob.default)
        if isinstance(value, Mapping) or (knob.kind == "file" and not value):
            continue
        if knob.kind == "file":
            held[knob.name] = str(Path(str(value)).resolve())
        else:
            held[knob.name] = str(value).lower() if isinstance(value, bool) else value
    return held


def _stem(files: Sequence) -> str:
    return (files.head.rstrip("._-") or "shot") if files.padding else Path(files.head).stem


def _expression(frames: tuple[int, ...]) -> str:
    """Return frames as Open Job Description writes them.

    >>> _expression((1001, 1002, 1003, 1010, 1012, 1014, 1020))
    '1001-1003,1010-1014:2,1020'
    """
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        run = runs[-1] if runs else []
        if len(run) == 1 or (len(run) > 1 and frame - run[-1] == run[1] - run[0]):
            run.append(frame)
        else:
            runs.append([frame])
    words = []
    for run in runs:
        step = run[1] - run[0] if len(run) > 1 else 1
        if len(run) == 1 or (len(run) == 2 and step > 1):
            words += [str(frame) for frame in run]
        else:
            words.append(f"{run[0]}-{run[-1]}" + (f":{step}" if step > 1 else ""))
    return ",".join(words)


# --- a chunk on a farm's machine -------------------------------------------------------------


def attempt(
    run: Callable[[], int],
    attempts: int,
    say: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
    pause: float = _PAUSE_SECONDS,
) -> int:
    """Run a chunk until it is done, and return its last exit code.

    A command line that makes no sense is not tried again, and neither is a likeness that is not
    released, nor what was cancelled. The pause doubles each time: a plate may still be on its way,
    a server may come back.

    Parameters
    ----------
    run : callable
        Does the work and returns its exit code; below 0 where a signal ended it.
    attempts : int
        At most that often.
    say : callable
        Hears why it is tried again.
    cancelled : callable
        Whether somebody asked to stop.
    pause : float
        Seconds before the second attempt.
    """
    code = run()
    for number in range(1, attempts):
        if code in _SETTLED or cancelled():
            break
        how = f"signal {-code} ended it" if code < 0 else f"it ended with {code}"
        say(f"attempt {number} of {attempts} failed ({how}); again in {pause:g} s.")
        until = time.monotonic() + pause
        while time.monotonic() < until and not cancelled():
            time.sleep(min(0.1, pause))
        pause *= 2.0
        code = run()
    return code


# --- the process that keeps the model open ---------------------------------------------------


CAN_KEEP: Final = hasattr(socket, "AF_UNIX") and sys.platform != "win32"
"""Whether this system lets a process be kept; elsewhere every chunk starts one of its own."""


def keep(session: Path, command: list[str]) -> None:
    """Start the process that answers a session, and wait until it does.

    Parameters
    ----------
    session : Path
        The farm's folder for this session.
    command : list of str
        What calls `serve`. It outlives this process.

    Raises
    ------
    EnvironmentFault
        It ended at once, or said nothing for two minutes.
    """
    log = session / "semblance-farm.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    until = time.monotonic() + _STARTING_SECONDS
    while process.poll() is None and time.monotonic() < until:
        told = _told(session)
        if told is not None and told[1] == process.pid:
            return
        time.sleep(0.02)
    process.kill()
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise EnvironmentFault(
        f"the process that keeps the model open ended with {process.wait()}: "
        f"{words[-1] if words else 'it said nothing'}",
        "Run the same chunk by hand with `semblance apply`.",
    )


def ask(
    session: Path,
    arguments: list[str],
    hear: Callable[[str, str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Have a command run by the process that keeps the model open, and return its exit code.

    Parameters
    ----------
    session : Path
        The farm's folder for this session.
    arguments : list of str
        The command line; empty ends the process.
    hear : callable
        Hears "out" or "err" and text, as it is said.
    cancelled : callable
        Polled; the command is then stopped after the frame in work.

    Returns
    -------
    int
        The exit code; -9 where the process died on the way.

    Raises
    ------
    EnvironmentFault
        There is no such process.
    """
    told = _told(session)
    connection = socket.socket(socket.AF_UNIX)
    with connection:
        try:
            if told is None:
                raise ConnectionError
            connection.connect(told[0])
        except OSError:
            raise EnvironmentFault("no process keeps the model open", "") from None
        try:
            connection.sendall(json.dumps(arguments).encode() + b"\n")
            return _followed(connection, hear, cancelled)
        except OSError:
            return _DIED


def _followed(
    connection: socket.socket, hear: Callable[[str, str], None], cancelled: Callable[[], bool]
) -> int:
    connection.settimeout(_POLL_SECONDS)
    asked, rest = False, b""
    while True:
        if not asked and cancelled():
            asked = True
            connection.shutdown(socket.SHUT_WR)
        try:
            piece = connection.recv(1 << 16)
        except TimeoutError:
            continue
        if not piece:
            return _DIED
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            stream, said = json.loads(line)
            if stream == "code":
                return int(said)
            hear(stream, said)


def serve(session: Path, run: Callable[[list[str]], int], idle_seconds: float = 600.0) -> None:
    """Run the commands of a session one after another, on the main thread, until it is over.

    It is over when somebody says so, when the session's folder is gone, or when nothing was asked
    for `idle_seconds`. Who goes away, or asks to stop, stops the command in work as SIGTERM does.

    Parameters
    ----------
    session : Path
        The farm's folder for this session; where to connect is left there.
    run : callable
        Runs a command line and returns its exit code. What it prints goes to who asked.
    idle_seconds : float
    """

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    place = session / f"semblance-farm-{os.getpid()}"
    if len(str(place)) > _LONGEST_PLACE:
        place = Path(tempfile.mkdtemp(prefix="semblance-"))
    place.mkdir(mode=0o700, exist_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place / "farm"))
            listener.listen(8)
            listener.settimeout(_POLL_SECONDS)
            _tell(session, place / "farm")
            last = time.monotonic()
            while session.is_dir() and time.monotonic() - last < idle_seconds:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    if not _answer(connection, run):
                        break
                last = time.monotonic()
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _answer(connection: socket.socket, run: Callable[[list[str]], int]) -> bool:
    """Run one command; False where there is to be no other."""
    connection.settimeout(_POLITE_SECONDS)
    with connection.makefile("rb") as reader:
        try:
            arguments = json.loads(reader.readline(_LONGEST_LINE))
        except (OSError, ValueError):
            return True
        if not isinstance(arguments, list):
            return True
        connection.settimeout(None)
        said: SimpleQueue[bytes | None] = SimpleQueue()
        over = threading.Event()

        def watch() -> None:
            with suppress(OSError):
                reader.read(1)  # until the other side closes, or has no more to ask
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

        def send() -> None:
            for line in iter(said.get, None):
                with suppress(OSError):
                    connection.sendall(line)

        sender = threading.Thread(target=send)
        sender.start()
        watcher = threading.Thread(target=watch, daemon=True)
        try:
            if arguments:
                watcher.start()
            with redirect_stdout(_Told("out", said)), redirect_stderr(_Told("err", said)):
                code = run([str(each) for each in arguments]) if arguments else 0
        finally:
            over.set()
            said.put(None)
            sender.join()
        with suppress(OSError):
            connection.sendall(json.dumps(["code", code]).encode() + b"\n")
            connection.shutdown(socket.SHUT_RDWR)
    return bool(arguments)


class _Told(TextIOBase):
    """What is printed, on its way to who asked; a signal handler may print too."""

    def __init__(self, stream: str, said: SimpleQueue[bytes | None]) -> None:
        self._stream, self._said = stream, said

    def write(self, text: str) -> int:
        self._said.put(json.dumps([self._stream, text]).encode() + b"\n")
        return len(text)

    def writable(self) -> bool:
        return True


def _tell(session: Path, place: Path) -> None:
    hidden = session / f".semblance-farm-{os.getpid()}"
    hidden.write_text(json.dumps([str(place), os.getpid()]), encoding="utf-8")
    hidden.replace(session / "semblance-farm.json")


def _told(session: Path) -> tuple[str, int] | None:
    with suppress(OSError, ValueError, TypeError):
        place, process = json.loads((session / "semblance-farm.json").read_text(encoding="utf-8"))
        return str(place), int(process)
    return None
