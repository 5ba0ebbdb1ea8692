"""What a delivery says of itself, and whether that still holds: marks, credentials, releases.

Nothing is asked of the network, and nothing that is checked is written to. Every file is read in
full where a hash stands for it. That a signature holds says that nothing was changed since; who
signed is only as certain as the certificate.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from semblance import credentials, exr, provenance, release
from semblance.credentials import Credential, FrameList, ListedFrame
from semblance.credentials.frames import LIST_ENDING, SIDECAR_ENDING
from semblance.credentials.reading import EMBEDS, MEDIA_TYPES
from semblance.errors import InputError, SemblanceError
from semblance.exr.sequence import compact
from semblance.listing import changes, mark_faults

__all__ = ["Checked", "Judge", "verify"]

State = Literal["intact", "changed", "unsigned", "unmarked"]

_NONE: Final = "none"
_RELEASE_ENDING: Final = ".release.json"
_MEDIA: Final = tuple(ending for ending, kind in MEDIA_TYPES.items() if kind in EMBEDS)


@dataclass(frozen=True)
class Checked:
    """One file, or a list of frames with all that is in it.

    Parameters
    ----------
    path : Path
    state : {"intact", "changed", "unsigned", "unmarked"}
        As it was signed; changed since; with marks that nobody signed; with nothing of ours.
    says : mapping of str to str
        What it says of itself, in words by topic.
    faults : tuple of str
        What was changed, one sentence each.
    signer : str
        Who signed; empty where nobody did.
    test : bool
        Whether a test certificate signed, which proves nothing about who did.
    """

    path: Path
    state: State
    says: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    signer: str = ""
    test: bool = False

    @property
    def good(self) -> bool:
        """Whether nothing that the file claims is open to doubt of ours."""
        return self.state in ("intact", "unmarked") and not self.faults

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "path": str(self.path),
            "state": self.state,
            "says": dict(self.says),
            "faults": list(self.faults),
            "signer": self.signer,
            "test_certificate": self.test,
        }


@dataclass(frozen=True)
class Judge:
    """By what files are judged.

    Parameters
    ----------
    anchors : str
        Certificates of the authorities whose word counts, as PEM text; empty where none was named.
    models : tuple of Path
        Models beside which releases are looked for, besides the files' own folders.
    trust : tuple of Path
        Public keys of rights holders.
    today : datetime.date
        The day for releases where no time stamp tells another.
    memory : Path or None
        The folder of the newest revocation lists that were seen (`release.verify`).
    """

    anchors: str = ""
    models: tuple[Path, ...] = ()
    trust: tuple[Path, ...] = ()
    today: date = field(default_factory=date.today)
    memory: Path | None = None


def verify(paths: Sequence[Path], judge: Judge) -> Iterator[Checked]:
    """Check files and folders.

    Parameters
    ----------
    paths : sequence of Path
        Frames (EXR), pictures and movies, lists of frames, credentials beside a file, or folders
        of them with all folders inside. A frame that stands in a list is checked by it.
    judge : Judge

    Yields
    ------
    Checked
        One for each file, and one for each list of frames, with its frames' faults.

    Raises
    ------
    InputError
        A path does not exist, or is nothing that can be checked.
    """
    for path in paths:
        if path.is_dir():
            for folder, inner, names in os.walk(path):
                inner.sort()
                yield from _folder(Path(folder), sorted(names), judge)
        elif not path.exists():
            raise InputError(f"{path} does not exist", "Check the path.")
        else:
            yield _file(path, judge)


def _folder(folder: Path, names: list[str], judge: Judge) -> Iterator[Checked]:
    covered: set[str] = set()
    names = [name for name in names if not name.startswith(".")]
    for name in names:
        if name.endswith(LIST_ENDING) and (folder / name).is_file():
            checked, listed = _list(folder / name, judge)
            covered |= listed | {Path(name).with_suffix(SIDECAR_ENDING).name}
            yield checked
    for name in names:
        path = folder / name
        own = path.with_suffix(SIDECAR_ENDING).exists()
        if (name in covered and not own) or not path.is_file():  # a pipe would be waited for
            continue
        if path.suffix == SIDECAR_ENDING and not _signed_by(path).exists():
            yield _file(path, judge)
        elif path.suffix.lower() == ".exr":
            yield _frame(path, judge, None)
        elif path.suffix.lower() in _MEDIA:
            yield _picture(path, judge)


def _file(path: Path, judge: Judge) -> Checked:
    ending = path.suffix.lower()
    if path.name.endswith(LIST_ENDING):
        return _list(path, judge)[0]
    if ending == SIDECAR_ENDING:
        signed = _signed_by(path)
        if signed.exists():
            return _file(signed, judge)
        fault = f"{signed.name}, which it was made for, is missing"
        return Checked(path, "changed", faults=(fault,))
    if ending == ".exr":
        return _frame(path, judge, _listing(path))
    if ending in _MEDIA:
        return _picture(path, judge)
    raise InputError(
        f"{path} is nothing that can be checked",
        "Give frames (.exr), pictures or movies (.png, .jpg, .mp4), a list (.frames.json), a "
        "credential (.c2pa) or a folder.",
    )


def _signed_by(sidecar: Path) -> Path:
    """Return what a credential lies beside."""
    listed = sidecar.with_suffix(".json")
    return listed if listed.name.endswith(LIST_ENDING) else sidecar.with_suffix(".exr")


# --- pictures and movies ---------------------------------------------------------------------


def _picture(path: Path, judge: Judge) -> Checked:
    try:
        credential = credentials.read_credential(path, None, judge.anchors)
    except SemblanceError as error:
        return Checked(path, "changed", faults=(error.fact,))
    if credential is not None:
        return _signed(path, credential, judge, [])
    try:
        claimed = provenance.SOURCE_TYPE.encode() in path.read_bytes()
    except OSError as error:
        return Checked(path, "changed", faults=(f"it can't be read: {error.strerror or error}",))
    says = {"marks": provenance.SOURCE_TYPE} if claimed else {}
    return Checked(path, "unsigned" if claimed else "unmarked", says)


# --- frames ----------------------------------------------------------------------------------


def _frame(path: Path, judge: Judge, listing: tuple[Path, ListedFrame] | None) -> Checked:
    """Check a frame by its own credential, by the list that it stands in, or by its marks."""
    sidecar = path.with_suffix(SIDECAR_ENDING)
    if listing is not None and not sidecar.exists():
        return _in_list(path, *listing, judge)
    faults: list[str] = []
    says: dict[str, str] = {}
    marks = _marks(path, says, faults)
    if sidecar.exists():
        try:
            credential = credentials.read_credential(path, sidecar, judge.anchors)
        except SemblanceError as error:
            return Checked(path, "changed", says, (*faults, error.fact))
        assert credential is not None  # a sidecar that holds none is an error
        if not credential.intact:
            entry = _entry(path, credential)
            faults += changes(path, entry) if entry is not None else []
        return _signed(path, credential, judge, faults, says)
    if marks is None:
        return Checked(path, "changed" if faults else "unmarked", says, tuple(faults))
    says["release"] = _release(path.parent, marks.release, marks.model_sha256, "", judge, faults)
    return Checked(path, "changed" if faults else "unsigned", says, tuple(faults))


def _marks(path: Path, says: dict[str, str], faults: list[str]) -> provenance.Marks | None:
    """Read a frame's marks, say what they say, and find what is wrong with them."""
    try:
        header = exr.read_header(path)
    except SemblanceError as error:
        faults.append(error.fact)
        return None
    found = (provenance.read_marks(part.metadata) for part in header.parts)
    marks = next((each for each in found if each is not None), None)
    if marks is None:
        return None
    if not exr.is_whole(path):
        faults.append("it is torn, or was written again by other software")
    says["marks"] = f"{marks.software}, model {marks.model}, release {marks.release}"
    if marks.release_check != "valid":
        says["slate"] = marks.release_check
    faults += mark_faults(header)
    return marks


def _listing(path: Path) -> tuple[Path, ListedFrame] | None:
    """Return the list beside a frame that it stands in."""
    for candidate in sorted(path.parent.glob(f"*{LIST_ENDING}")):
        try:
            held = FrameList.read(candidate)
        except SemblanceError:
            continue
        for each in held.frames:
            if each.file == path.name:
                return candidate, each
    return None


def _in_list(path: Path, listing: Path, entry: ListedFrame, judge: Judge) -> Checked:
    faults: list[str] = changes(path, entry)
    says: dict[str, str] = {"list": listing.name}
    _marks(path, says, faults)
    credential, fault = _list_credential(listing, judge)
    if credential is None:
        return Checked(path, "changed" if faults else "unsigned", says, (*faults, fault))
    return _signed(path, credential, judge, faults, says)


def _list_credential(listing: Path, judge: Judge) -> tuple[Credential | None, str]:
    sidecar = listing.with_suffix(SIDECAR_ENDING)
    if not sidecar.exists():
        return None, f"its list {listing.name} is not signed: {sidecar.name} is missing"
    try:
        return credentials.read_credential(listing, sidecar, judge.anchors), ""
    except SemblanceError as error:
        return None, error.fact


def _list(path: Path, judge: Judge) -> tuple[Checked, set[str]]:
    """Check a list, and every frame that stands in it; also return the names of these."""
    try:
        held = FrameList.read(path)
    except SemblanceError as error:
        return Checked(path, "changed", faults=(error.fact,)), set()
    faults: list[str] = []
    names = {each.file for each in held.frames}
    for each in held.frames:
        faults += [f"{each.file}: {fault}" for fault in changes(path.parent / each.file, each)]
    there = _matching(path.parent, held.pattern)
    faults += [f"{name}: it is not in the list" for name in sorted(there - names)]
    likeness = [each.frame for each in held.frames if each.marks]
    says = {
        "frames": f"{len(held.frames)}: {compact(each.frame for each in held.frames)}",
        "likeness": f"in {len(likeness)}: {compact(likeness)}" if likeness else "in none",
    }
    covered = names | there
    credential, fault = _list_credential(path, judge)
    if credential is None:
        return Checked(path, "changed", says, (fault, *faults)), covered
    if not credential.intact:
        faults.insert(0, "list and credential do not belong together, or one was changed; where a "
                      "signing was broken off, sign again")  # fmt: skip
    return _signed(path, credential, judge, faults, says), covered


def _matching(folder: Path, pattern: str) -> set[str]:
    """Return the files on disk that a list's pattern names."""
    try:
        frames = exr.Sequence.parse(folder / pattern)
    except SemblanceError:
        return set()
    return {frames.path(number).name for number in frames.frames()}


def _entry(path: Path, credential: Credential) -> ListedFrame | None:
    """Return what a frame's own credential says of it, where it is one of ours."""
    size, pixels = credential.marks.get("bytes"), credential.marks.get("pixels")
    attributes = credential.marks.get("attributes")
    if not (isinstance(size, int) and isinstance(pixels, str) and isinstance(attributes, Mapping)):
        return None
    return ListedFrame(0, path.name, size, "", pixels, attributes, {})


# --- who signed, and under which release -----------------------------------------------------


def _signed(
    path: Path,
    credential: Credential,
    judge: Judge,
    faults: list[str],
    says: Mapping[str, str] | None = None,
) -> Checked:
    """Return what was signed, with what is wrong with the credential itself."""
    faults = [*faults, *credential.faults]
    told = dict(says or {})
    told["made by"] = credential.software
    told["source type"] = ", ".join(
        dict.fromkeys(each.rpartition("/")[2] for each in credential.source_types)
    )
    told["ingredients"] = ", ".join(name for name, _ in credential.ingredients)
    if credential.marks:
        named = str(credential.marks.get("release", _NONE))
        hashed = str(credential.marks.get("releaseHash", ""))
        model = str(credential.marks.get("modelHash", ""))
        day = credential.signed_at[:10] if credential.time_trusted else ""
        told["release"] = _release(path.parent, named, model, hashed, judge, faults, day)
        if named == _NONE:
            told["release"] = f"none: {credential.marks.get('releaseCheck', '')}"
    told["signed at"] = credential.signed_at or "not stamped"
    if credential.signed_at and not credential.time_trusted:
        told["signed at"] += ", by a service that nobody here vouches for"
    if credential.earlier:
        told["earlier"] = f"{credential.earlier} credentials from before are kept inside"
    if credential.test:
        told["certificate"] = "TEST CERTIFICATE: it proves nothing about who signed"
    elif credential.trusted:
        told["certificate"] = "vouched for by an authority that you named"
    elif not judge.anchors:
        told["certificate"] = "not checked: no authorities were named (--authorities)"
    if judge.anchors and not credential.trusted:
        faults.append(f"no authority that you named vouches for {credential.signer}")
    return Checked(
        path,
        "changed" if faults else "intact",
        {topic: text for topic, text in told.items() if text},
        tuple(dict.fromkeys(faults)),
        credential.signer,
        credential.test,
    )


def _release(
    folder: Path,
    named: str,
    model_sha256: str,
    document_sha256: str,
    judge: Judge,
    faults: list[str],
    day: str = "",
) -> str:
    """Return what became of the release that is named: looked for beside the files and the models.

    A document that is there under that name and is another is a fault. One that isn't there, that
    ended or whose key is not trusted here is told, and no change of the file.
    """
    if named in ("", _NONE):
        return _NONE
    beside = [release.default_release_path(model) for model in judge.models]
    for path in [*sorted(folder.glob(f"*{_RELEASE_ENDING}")), *beside]:
        try:
            signed = release.read_release(path).release
            content = path.read_bytes()
        except (SemblanceError, OSError):
            continue
        if signed.id != named:
            continue
        if document_sha256 and hashlib.sha256(content).hexdigest() != document_sha256:
            faults.append(f"{path.name} is not the release {named} that was on file at the signing")
        day_in_question = _day(day) or judge.today
        verdict = release.verify(
            path, model_sha256, day_in_question, None, judge.trust, judge.models, judge.memory
        )
        if verdict.valid:
            return f"{named}, {verdict.reason}"
        return f"{named}, which does not hold here: {verdict.reason}"
    return f"{named}, not beside the files and not checked (--model)"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
