"""Signing what was rendered: a shot's frames, one frame, or the pictures and movies of a review.

What is claimed is taken from the marks in the frames' own headers. Their release is claimed only
where it was on file when the frames were signed, and held; a name in a header is not enough.

A list of frames and its credential are two files, and no file system replaces two at once. Both are
written in full under hidden names first. A signing that is killed between the two renames leaves a
list and a credential that don't belong together, which every check says; signing again mends it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from semblance import credentials, exr, provenance
from semblance.credentials import Claim, Credential, FrameList, Ingredient, ListedFrame, Released
from semblance.credentials.frames import SIDECAR_ENDING
from semblance.errors import Cancelled, CredentialError, OutputError, PlateError, frame_context
from semblance.exr.hidden import hidden_path, sweep
from semblance.exr.sequence import compact
from semblance.listing import frame_marks, list_frame, mark_faults

__all__ = [
    "OnFile",
    "Sealed",
    "media_seal",
    "on_file",
    "seal_each",
    "seal_frames",
]

_THREADS: Final = 4
_NONE: Final = "none"


@dataclass(frozen=True)
class OnFile:
    """A release document and what its check came to.

    Parameters
    ----------
    verdict : ReleaseVerdict
    sha256 : str
        Of the document; empty where there is none.
    """

    verdict: provenance.ReleaseVerdict
    sha256: str


@dataclass(frozen=True)
class Sealed:
    """What was signed.

    Parameters
    ----------
    path : Path
        The credential.
    frames : int
        How many frames it stands for.
    kept : bool
        Whether it was there already: for the same frames, by the same certificate.
    release_check : str
        ``valid``, or why no release is claimed.
    """

    path: Path
    frames: int
    kept: bool
    release_check: str


def on_file(verdict: provenance.ReleaseVerdict, document: Path | None) -> OnFile:
    """Return a release as it is claimed: together with the hash of the document that was checked.

    Raises
    ------
    CredentialError
        A release that held a moment ago can't be read any more.
    """
    if not verdict.valid or document is None:
        return OnFile(verdict, "")
    try:
        return OnFile(verdict, hashlib.sha256(document.read_bytes()).hexdigest())
    except OSError as error:
        raise CredentialError(
            f"the release {document} can't be read: {error.strerror or error}", "Check the file."
        ) from error


def seal_frames(
    frames: exr.Sequence,
    signer: credentials.Signer,
    release: OnFile,
    *,
    plate: str = "",
    report: Callable[[int], None] = lambda frame: None,
    cancel: Callable[[], bool] = lambda: False,
) -> Sealed:
    """List the frames of a sequence that are on disk, and sign the list.

    Parameters
    ----------
    frames : Sequence
        With a frame field.
    signer : Signer
    release : OnFile
        For the model of these frames.
    plate : str
        The plate's file name or pattern, where it is known.
    report : callable
        Hears of each frame that was read.
    cancel : callable
        Polled between frames.

    Returns
    -------
    Sealed

    Raises
    ------
    SequenceError, PlateError
        A frame is not there, or is torn.
    CredentialError
        No frame has marks, no signature can be had, or what should be an earlier credential can't
        be read.
    OutputError
        List and credential can't be written.
    Cancelled
        `cancel` returned true.
    """
    numbers = frames.select(None)
    listed = _listed(frames, numbers, report, cancel)
    confirmed = tuple(_confirmed(each, release) for each in listed)
    whole = FrameList(Path(str(frames)).name, confirmed)
    path, sidecar = credentials.list_paths(frames.folder, frames.head, frames.tail)
    released, check = _released(listed, release)
    claim = _claim(path.name, listed, plate, released, check)
    content = whole.to_bytes()
    before = _before(path, sidecar)
    if before is not None and _is_same(before[1], signer, claim) and _holds(path, content):
        return Sealed(sidecar, len(numbers), True, check)
    sweep(frames.folder)
    with _hidden(path) as new_list, _hidden(sidecar) as new_sidecar:
        _write(new_list, content)
        _write(new_sidecar, credentials.sign_beside(new_list, signer, claim, before))
        os.replace(new_list, path)
        os.replace(new_sidecar, sidecar)
    return Sealed(sidecar, len(numbers), False, check)


def seal_each(
    frames: exr.Sequence,
    signer: credentials.Signer,
    release: OnFile,
    *,
    plate: str = "",
    report: Callable[[int], None] = lambda frame: None,
    cancel: Callable[[], bool] = lambda: False,
) -> tuple[Sealed, ...]:
    """Sign frames one by one, each with a credential beside it (``result.1001.c2pa``).

    A frame without marks is passed over: nothing was done to it. Parameters, result and errors are
    those of `seal_frames`.
    """
    sealed = []
    for each in _listed(frames, frames.select(None), report, cancel):
        if not each.marks:
            continue
        path = frames.folder / each.file
        sidecar = path.with_suffix(SIDECAR_ENDING)
        released, check = _released((each,), release)
        claim = _claim(path.name, (each,), plate, released, check)
        before = _before(path, sidecar)
        kept = before is not None and before[1].intact and _is_same(before[1], signer, claim)
        if not kept:
            with _hidden(sidecar) as hidden:
                _write(hidden, credentials.sign_beside(path, signer, claim, before))
                os.replace(hidden, sidecar)
        sealed.append(Sealed(sidecar, 1, kept, check))
    return tuple(sealed)


def media_seal(
    frames: exr.Sequence,
    numbers: Sequence[int],
    signer: credentials.Signer,
    release: OnFile,
    title: str = "",
) -> Callable[[Path], None]:
    """Return what signs a picture or movie in its place, as made of these frames.

    Parameters
    ----------
    frames : Sequence
        What it shows.
    numbers : sequence of int
        Which of them; those that can't be read are no part of the claim.
    signer : Signer
    release : OnFile
        For the model of these frames.
    title : str
        What it is called; the file's own name where empty.

    Raises
    ------
    CredentialError
        No frame has marks. So does the result, where a file can't be signed; then the file is as it
        was.
    """
    marks = []
    for number in numbers:
        with suppress(PlateError):
            marks.append(frame_marks(exr.read_header(frames.path(number))))
    shown = [each for each in marks if each]
    if not shown:
        raise _unmarked(frames)
    released, check = _released_by(shown, release)
    whole = _joined([each["inputs"] for each in shown])
    parts = (Ingredient("frames", Path(str(frames)).name, whole), *_models(shown))
    said = {"frames": compact(numbers), **_hashes(shown)}

    def seal(path: Path) -> None:
        claim = Claim(title or path.name, version("semblance"), parts, released, check, said)
        with _hidden(path) as hidden:
            credentials.sign_media(path, hidden, signer, claim)
            os.replace(hidden, path)

    return seal


# --- what the frames say ---------------------------------------------------------------------


def _listed(
    frames: exr.Sequence,
    numbers: tuple[int, ...],
    report: Callable[[int], None],
    cancel: Callable[[], bool],
) -> tuple[ListedFrame, ...]:
    def look(number: int) -> ListedFrame:
        path = frames.path(number)
        if cancel():
            raise Cancelled("signing was stopped")
        listed = list_frame(path, number)
        with frame_context(number, path):
            if not exr.is_whole(path):
                raise PlateError(
                    "the file is torn, or holds bytes that are no part of it",
                    "Render the frame again, then sign.",
                )
            if faults := mark_faults(exr.read_header(path)):
                raise CredentialError(f"it can't be signed: {faults[0]}", "Render it again.")
        return listed

    listed = []
    with ThreadPoolExecutor(_THREADS) as readers:
        for each in readers.map(look, numbers):
            listed.append(each)
            report(each.frame)
    if not any(each.marks for each in listed):
        raise _unmarked(frames)
    return tuple(listed)


def _unmarked(frames: exr.Sequence) -> CredentialError:
    return CredentialError(
        f"no frame of {frames} carries Semblance's marks: nothing there is to be signed",
        "Name frames that Semblance rendered.",
    )


def _confirmed(each: ListedFrame, release: OnFile) -> ListedFrame:
    """Return a frame without the release that it names, where that was not on file."""
    if not each.marks or _confirms(release, each.marks):
        return each
    return replace(each, marks={**each.marks, "release": _NONE})


def _confirms(release: OnFile, marks: Mapping[str, str]) -> bool:
    return bool(
        release.verdict.valid and release.sha256 and marks["release"] == release.verdict.release_id
    )


def _released(listed: tuple[ListedFrame, ...], release: OnFile) -> tuple[Released | None, str]:
    return _released_by([each.marks for each in listed if each.marks], release)


def _released_by(
    marks: Sequence[Mapping[str, str]], release: OnFile
) -> tuple[Released | None, str]:
    """Return the release that all frames were made under and that is on file, or why none."""
    verdict = release.verdict
    if not verdict.valid or not release.sha256:
        return None, f"not valid: {verdict.reason}"
    others = sorted({each["release"] for each in marks if not _confirms(release, each)})
    if others:
        return None, f"not valid: frames name {', '.join(map(repr, others))} as their release"
    if len({each["modelHash"] for each in marks}) > 1:
        return None, "not valid: the frames were made with several models"
    return Released(verdict.release_id, verdict.rights_holder, release.sha256), "valid"


def _claim(
    title: str,
    listed: tuple[ListedFrame, ...],
    plate: str,
    released: Released | None,
    check: str,
) -> Claim:
    marked = [each for each in listed if each.marks]
    marks = [each.marks for each in marked]
    plates = Ingredient("plate", plate or "plate", _joined([each["plateHash"] for each in marks]))
    said: dict[str, Any] = {
        "frames": compact(each.frame for each in listed),
        "framesWithLikeness": compact(each.frame for each in marked),
        **_hashes(marks),
    }
    if len(listed) == 1:
        said |= {
            "bytes": listed[0].size,
            "pixels": listed[0].pixels,
            "attributes": dict(listed[0].attributes),
        }
    parts = (plates, *_models(marks))
    return Claim(title, version("semblance"), parts, released, check, said)


def _models(marks: Sequence[Mapping[str, str]]) -> tuple[Ingredient, ...]:
    held = dict.fromkeys((each["model"], each["modelHash"]) for each in marks)
    return tuple(Ingredient("model", name, sha256) for name, sha256 in held)


def _hashes(marks: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the frames' hashes of model and knobs: the one that all share, or that of all."""
    found = {}
    for name in ("modelHash", "knobsHash"):
        held = [each[name] for each in marks]
        found[name] = held[0] if len(set(held)) == 1 else _joined(held)
    return found


def _joined(hashes: Sequence[str]) -> str:
    """Return the only hash, or the hash of several, one a line."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{each}\n" for each in hashes).encode()).hexdigest()


# --- files -----------------------------------------------------------------------------------


def _before(path: Path, sidecar: Path) -> tuple[bytes, Credential] | None:
    """Return the credential that is there already, which the next one keeps inside."""
    if not sidecar.exists():
        return None
    try:
        held = sidecar.read_bytes()
        credential = credentials.read_credential(path, sidecar)
    except (OSError, CredentialError) as error:
        raise CredentialError(
            f"{sidecar} is there and can't be read as a credential, so it is not replaced",
            "Move it away; then sign again.",
        ) from error
    assert credential is not None  # a sidecar that holds none is an error
    return held, credential


def _is_same(before: Credential, signer: credentials.Signer, claim: Claim) -> bool:
    """Return whether a credential says what would be signed now, by the same certificate."""
    return (
        before.intact
        and before.serial == signer.serial
        and bool(before.signed_at) == bool(signer.timestamp)
        and before.marks.get("releaseCheck") == claim.release_check
    )


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _hidden(path: Path) -> Iterator[Path]:
    """Yield the hidden name under which a file is made; what still has it afterwards is removed."""
    hidden = hidden_path(path.parent)
    try:
        yield hidden
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}",
            "Make room there, or sign a copy elsewhere.",
        ) from error
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
