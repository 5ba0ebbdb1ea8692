"""The run's folder: settings, and checkpoints from which a run goes on as if never stopped.

A checkpoint is `checkpoint-<step>.safetensors` (network, average, optimiser, what is known of hard
faces) beside `checkpoint-<step>.json` (step, seconds, generator state, the network's shape). Every
batch is a function of (seed, step) and of how hard the faces are, so the step is the data position.
Files are written beside, brought to the disk and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from semblance.errors import TrainingError
from semblance.train.config import FREE_FIELDS, TrainConfig
from semblance.train.faces import Faces, Frame, Person
from semblance.train.network import NetworkConfig

if TYPE_CHECKING:
    from semblance.train.trainer import Trainer

__all__ = [
    "State",
    "adopt",
    "begin",
    "latest",
    "load_tensors",
    "read_network",
    "read_people",
    "read_settings",
    "read_state",
    "restore",
    "save",
    "swept",
]

FORMAT: Final = "semblance-run"
VERSION: Final = 1
KEPT: Final = 2
NAME: Final = re.compile(r"checkpoint-(\d+)\.safetensors")
PEOPLE: Final = ("performer", "likeness")


@dataclass(frozen=True)
class State:
    """How far a run is.

    Parameters
    ----------
    step : int
        Steps done.
    seconds : float
        Training time so far.
    """

    step: int
    seconds: float


def begin(
    run: Path,
    config: TrainConfig,
    faces: tuple[Faces, Faces],
    people: tuple[Person, Person],
    hard: frozenset[Frame] = frozenset(),
    origin: Path | None = None,
) -> None:
    """Write `config.json`, or hold the one that is there against the same.

    Parameters
    ----------
    run : Path
    config : TrainConfig
    faces, people : tuple of Faces, of Person
        Performer and likeness.
    hard : frozenset of Frame
    origin : Path, optional
        The checkpoint that the run begins with.

    Raises
    ------
    TrainingError
        The folder can't be written, or the run was begun with other settings or facesets.
    """
    wanted: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.to_json(),
        "facesets": {
            name: {
                "digest": each.digest,
                "faces": len(each),
                "folders": [_beside(run, folder) for folder in who.facesets],
                "added": [_beside(run, folder) for folder in who.added],
            }
            for name, each, who in zip(PEOPLE, faces, people, strict=True)
        },
        "hard": sorted([list(frame) for frame in hard], key=str),
        "from": None,
    }
    if origin is not None:
        wanted["from"] = {"run": origin.parent.resolve().name, "step": read_state(origin).step}
    path = run / "config.json"
    if path.exists():
        found = read_settings(run)
        _hold_against(run, found, wanted)
        wanted["from"] = wanted["from"] or found.get("from")
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(wanted, indent=2) + "\n")
    except OSError as error:
        raise TrainingError(
            f"the run's folder {run} can't be written: {error.strerror}",
            "Choose another folder.",
        ) from error


def _beside(run: Path, folder: Path) -> str:
    """Return a folder as seen from the run, so that both may move together."""
    return Path(os.path.relpath(folder.resolve(), run.resolve())).as_posix()


def read_settings(run: Path) -> dict[str, Any]:
    """Read a run's `config.json`.

    Raises
    ------
    TrainingError
        There is none, or it is not one of ours.
    """
    path = run / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TrainingError(
            f"{run} holds no training run: config.json is missing",
            "Begin one with: semblance train PERFORMER LIKENESS -o RUN.",
        ) from error
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} can't be read: {error}", "Begin a new run in another folder."
        ) from error
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (
        FORMAT,
        VERSION,
    ):
        raise TrainingError(
            f"{path}: expected format {FORMAT!r} version {VERSION}",
            "Begin a new run in another folder.",
        )
    return found


def read_people(run: Path) -> tuple[Person, Person]:
    """Return where a run's people are, its new material among the rest.

    Raises
    ------
    TrainingError
        There is no run, or it is not one of ours.
    """
    found = read_settings(run)["facesets"]
    try:
        performer, likeness = (
            Person(tuple(run / each for each in (*of["folders"], *of["added"])))
            for of in (found[name] for name in PEOPLE)
        )
    except (KeyError, TypeError) as error:
        raise TrainingError(
            f"{run / 'config.json'} does not say where its facesets are",
            "Name them: semblance train PERFORMER LIKENESS.",
        ) from error
    return performer, likeness


def _hold_against(run: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in PEOPLE:
        before, now = found["facesets"][name], wanted["facesets"][name]
        if before["digest"] != now["digest"]:
            raise TrainingError(
                f"the run in {run} was begun with another {name} faceset: expected "
                f"{before['faces']} faces with digest {before['digest'][:12]}, found "
                f"{now['faces']} faces with digest {now['digest'][:12]}",
                "Give the faceset it was begun with, or another folder for a new run.",
            )
    if found.get("hard", []) != wanted["hard"]:
        raise TrainingError(
            f"the run in {run} was begun with {len(found.get('hard', []))} other hard frames than "
            f"the {len(wanted['hard'])} given",
            "Give the file it was begun with, or another folder for a new run.",
        )
    for name, now in wanted["config"].items():
        before = found["config"].get(name)
        if name not in FREE_FIELDS and before != now:
            raise TrainingError(
                f"the run in {run} was begun with another setting {name!r}: expected "
                f"{before!r}, found {now!r}",
                "Give the setting it was begun with, or another folder for a new run.",
            )


def latest(run: Path) -> Path | None:
    """Return the newest complete checkpoint of a run, or None."""
    found = _checkpoints(run)
    return found[-1] if found else None


def _checkpoints(run: Path) -> list[Path]:
    numbered = []
    for path in run.glob("checkpoint-*.safetensors"):
        match = NAME.fullmatch(path.name)
        if match and path.with_suffix(".json").exists():
            numbered.append((int(match[1]), path))
    return [path for _, path in sorted(numbered)]


def save(run: Path, trainer: Trainer) -> Path:
    """Write a checkpoint, then drop all but the newest two."""
    tensors: dict[str, Tensor] = {}
    for part, values in (
        ("network", trainer.network.state_dict()),
        ("average", trainer.average.state_dict()),
    ):
        tensors |= {f"{part}.{name}": value for name, value in values.items()}
    for index, values in trainer.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in values.items()}
    for name, losses, factors in zip(
        PEOPLE, trainer.mining.losses, trainer.mining.factors, strict=True
    ):
        tensors |= {f"mining.{name}.losses": losses, f"mining.{name}.factors": factors}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {
        "format": FORMAT,
        "version": VERSION,
        "step": trainer.state.step,
        "seconds": trainer.state.seconds,
        "seed": trainer.config.seed,
        "network": asdict(trainer.network.config),
        "generator": torch.get_rng_state().numpy().tobytes().hex(),
    }
    path = run / f"checkpoint-{trainer.state.step}.safetensors"
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial)
    _to_disk(partial)
    about["sha256"] = _sha256(partial)
    write_text(path.with_suffix(".json"), json.dumps(about, indent=2) + "\n")
    os.replace(partial, path)
    for old in _checkpoints(run)[:-KEPT]:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)
    return path


def swept(run: Path) -> None:
    """Remove what a run that was killed while it wrote has left."""
    for partial in run.glob("*.partial"):
        partial.unlink(missing_ok=True)
    for about in run.glob("checkpoint-*.json"):
        if not about.with_suffix(".safetensors").exists():
            about.unlink(missing_ok=True)


def adopt(path: Path, trainer: Trainer) -> None:
    """Begin a trainer with the network of another run's checkpoint, for the faces that it has.

    The averaged network is taken, which is the better picture, and the statistics of its codes are
    measured anew: those of the other run's faces would be another normalisation than the codes of
    these need.

    Raises
    ------
    TrainingError
        The checkpoint is torn, or its network draws pictures of another size.
    """
    shape = read_network(path)
    if shape.size != trainer.config.size:
        raise TrainingError(
            f"{path} draws pictures of {shape.size} pixels, this run of {trainer.config.size}",
            f"Train with --size {shape.size}.",
        )
    tensors = load_tensors(path)
    for module in (trainer.network, trainer.average):
        module.load_state_dict(_under(tensors, "average"))
    trainer.measure()


def restore(path: Path, trainer: Trainer) -> None:
    """Bring a trainer to a checkpoint.

    Raises
    ------
    TrainingError
        The checkpoint is torn or belongs to another network.
    """
    about = _about(path)
    tensors = load_tensors(path)
    try:
        for part, module in (("network", trainer.network), ("average", trainer.average)):
            module.load_state_dict(_under(tensors, part))
        parameters = list(trainer.network.parameters())
        whole = trainer.optimiser.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimiser").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], value)
        trainer.optimiser.load_state_dict({**whole, "state": state})
        for who, person in enumerate(PEOPLE):
            mined = _under(tensors, f"mining.{person}")
            trainer.mining.losses[who].copy_(mined["losses"])
            trainer.mining.factors[who].copy_(mined["factors"])
        trainer.sampler.weights = trainer.mining.weights()
    except (RuntimeError, KeyError, IndexError, ValueError) as error:
        raise TrainingError(
            f"{path} does not fit the network of this version: {str(error).splitlines()[0]}",
            "Begin a new run in another folder.",
        ) from error
    trainer.state = read_state(path)
    generator = bytearray.fromhex(about["generator"])
    torch.set_rng_state(torch.frombuffer(generator, dtype=torch.uint8))


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Give a moment the strides of its parameter: the fused optimiser walks both as one array."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def read_state(path: Path) -> State:
    """Read how far the run was at a checkpoint.

    Raises
    ------
    TrainingError
        What is written beside the checkpoint is torn.
    """
    about = _about(path)
    return State(int(about["step"]), float(about["seconds"]))


def read_network(path: Path) -> NetworkConfig:
    """Read the shape of a checkpoint's network; later versions may begin runs with another.

    Raises
    ------
    TrainingError
        What is written beside the checkpoint is torn, or the shape is of a later version.
    """
    try:
        return NetworkConfig(**_about(path)["network"])
    except TypeError as error:
        raise TrainingError(
            f"{path} holds a network that this version does not know: {error}",
            "Use the version of semblance that trained it.",
        ) from error


def _about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _torn(path, str(error)) from error
    missing = {"step", "seconds", "network", "generator", "sha256"} - set(about)
    if missing:
        raise _torn(path, f"{min(missing)!r} is missing in its .json")
    return dict(about)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors after checking its sha256.

    Raises
    ------
    TrainingError
        The file is missing, torn or changed.
    """
    expected = _about(path)["sha256"]
    try:
        whole = _sha256(path) == expected
        tensors = load_file(path) if whole else {}
    except (OSError, SafetensorError) as error:
        raise _torn(path, str(error)) from error
    if not whole:
        raise _torn(path, "its sha256 differs from the one written with it")
    return tensors


def _torn(path: Path, reason: str) -> TrainingError:
    return TrainingError(
        f"{path} is no complete checkpoint: {reason}",
        "Delete it, and its .json, to go on from the one before it.",
    )


def _under(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = part + "."
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file beside and rename it, so that it is never seen half-written."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    _to_disk(partial)
    os.replace(partial, path)


def _to_disk(path: Path) -> None:
    """Wait until a file has left the system's memory: a rename may overtake its content."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
