"""Content credentials: sign what was rendered, and check what was delivered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semblance.cli.options import DONE, FAILED, FILE, FOLDER, JSON, TRUST
from semblance.cli.terminal import complain, print_json, progress, stopping
from semblance.errors import SemblanceError

if TYPE_CHECKING:
    from semblance.credentials import Signer
    from semblance.exr import Sequence as Frames
    from semblance.provenance import ReleaseVerdict
    from semblance.sealing import OnFile, Sealed
    from semblance.verification import Checked

__all__ = ["SIGNING", "Signing", "certificate", "sign", "sign_result", "verify"]

_NO_PROOF = "a TEST certificate signs here: it proves nothing about who signed."
_WORDS = {"intact": "ok", "changed": "CHANGED", "unsigned": "UNSIGNED", "unmarked": "no marks"}


@dataclass(frozen=True)
class Signing:
    """What the command line says about signing."""

    certificate: Path | None
    key: Path | None
    command: str
    timestamp: str

    def open(self) -> Signer | None:
        """Return who signs, tried out; None where nobody was named.

        Raises
        ------
        CredentialError
            With what was given nobody can sign.
        """
        if self.certificate is None:
            if self.key or self.command or self.timestamp:
                raise click.UsageError("Signing needs a certificate; name it with --certificate.")
            return None
        from semblance import credentials

        signer = credentials.load_signer(self.certificate, self.key, self.command, self.timestamp)
        credentials.try_out(signer)
        if signer.test:
            complain(_NO_PROOF)
        return signer


def SIGNING(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who signs, as one argument `signing`."""

    @click.option(
        "--certificate", type=FILE, help="Sign the result: the certificate and its issuers (PEM)."
    )
    @click.option("--key", type=FILE, help="The certificate's private key (PEM).")
    @click.option(
        "--signer",
        "command",
        default="",
        metavar="COMMAND",
        help="Instead of a key: gets the bytes to sign on stdin, gives the signature on stdout.",
    )
    @click.option(
        "--timestamp",
        default="",
        metavar="URL",
        help="Ask this time-stamping service (RFC 3161); without it none is asked.",
    )
    @wraps(command)
    def with_signing(
        *, certificate: Path | None, key: Path | None, command: str, timestamp: str, **given: Any
    ) -> Any:
        return called(signing=Signing(certificate, key, command, timestamp), **given)

    called = command
    return with_signing


def sign_result(
    frames: Frames, signer: Signer, verdict: ReleaseVerdict, document: Path, plate: str
) -> Path | None:
    """Sign the frames of a render and return their credential; None, and a word, where it fails.

    The frames are there then, and can be signed later.
    """
    from semblance import sealing

    try:
        release = sealing.on_file(verdict, document)
        with stopping() as stop:
            if frames.single:
                sealed = sealing.seal_each(frames, signer, release, plate=plate, cancel=stop)
            else:
                sealed = (sealing.seal_frames(frames, signer, release, plate=plate, cancel=stop),)
    except SemblanceError as error:
        complain(f"the frames are not signed: {error}")
        return None
    _doubts(sealed)
    return sealed[0].path


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FRAMES|FILE|FOLDER...")
@click.option("--each", is_flag=True, help="A credential beside every frame, instead of one list.")
@click.option(
    "--of", "shown", metavar="PATTERN", help="The frames that a picture or movie shows (result)."
)
@click.option(
    "--release",
    "release_path",
    type=click.Path(path_type=Path, exists=True),
    help="The release that the frames name; without it none is claimed.",
)
@TRUST
@SIGNING
def sign(
    paths: tuple[str, ...],
    each: bool,
    shown: str | None,
    release_path: Path | None,
    trust: tuple[Path, ...],
    signing: Signing,
) -> int:
    """Sign frames (result.####.exr), a picture or movie, or the frames in a FOLDER.

    A sequence gets a list of its frames, result.frames.json, with its credential result.frames.c2pa
    beside it. Pictures and movies hold theirs inside.
    """
    signer = signing.open()
    if signer is None:
        raise click.UsageError("Nobody signs; name a certificate with --certificate.")
    from semblance import sealing
    from semblance.exr import Sequence as Frames

    for text in paths:
        path = Path(text)
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".mp4"):
            if shown is None:
                raise click.UsageError(f"{path} shows frames; name these with --of PATTERN.")
            frames = Frames.parse(shown)
            release = _on_file(frames, release_path, trust)
            sealing.media_seal(frames, frames.select(None), signer, release)(path)
            click.echo(f"signed    {path}\nby        {signer.name}")
            continue
        for frames in _sequences(path) if path.is_dir() else [Frames.parse(text)]:
            release = _on_file(frames, release_path, trust)
            _sign(frames, signer, release, each=each or frames.single)
    return DONE


def _sign(frames: Frames, signer: Signer, release: OnFile, *, each: bool) -> None:
    from semblance import sealing

    total = len(frames.select(None))
    with stopping() as stop, progress("signing", total) as bar:
        count = iter(range(1, total + 1))

        def report(frame: int) -> None:
            bar(next(count), f"frame {frame}")

        if each:
            sealed = sealing.seal_each(frames, signer, release, report=report, cancel=stop)
        else:
            sealed = (sealing.seal_frames(frames, signer, release, report=report, cancel=stop),)
    paths = " to ".join(dict.fromkeys(str(one.path) for one in (sealed[0], sealed[-1])))
    kept = sum(one.frames for one in sealed if one.kept)
    was = f"{sum(one.frames for one in sealed)} frames" + (f", {kept} as before" if kept else "")
    click.echo(f"signed    {paths}: {was}\nby        {signer.name}")
    _doubts(sealed)


def _doubts(sealed: tuple[Sealed, ...]) -> None:
    for check in dict.fromkeys(one.release_check for one in sealed):
        if check != "valid":
            complain(f"no release is claimed: {check}.")


def _sequences(folder: Path) -> list[Frames]:
    """Return the sequences in a folder that hold frames of ours."""
    from semblance.listing import marked_sequences

    found = marked_sequences(folder)
    if not found:
        raise click.UsageError(f"{folder} holds no frames that Semblance rendered.")
    return found


def _on_file(frames: Frames, path: Path | None, trust: tuple[Path, ...]) -> OnFile:
    """Check the release that the frames are said to have, for the model that made them."""
    from semblance import listing, sealing
    from semblance import release as releases

    verdict = releases.verify(
        path,
        listing.model_of(frames),
        date.today(),
        None,
        (*trust, *releases.default_trust_paths()),
        memory=releases.default_memory(),
    )
    return sealing.on_file(verdict, path)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--authorities",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Certificates (PEM) of those who may vouch for a signer; others are refused then.",
)
@click.option(
    "-m",
    "--model",
    "models",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A model; its release is looked for beside it too.",
)
@TRUST
@JSON
def verify(
    paths: tuple[Path, ...],
    authorities: tuple[Path, ...],
    models: tuple[Path, ...],
    trust: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Check frames, pictures, movies or whole folders: marks, credentials, releases.

    Says of each file what it claims, who signed, and what was changed since. Exit code 1 where
    anything was changed, is missing, or carries marks that nobody signed.
    """
    from semblance import release as releases
    from semblance import verification

    judge = verification.Judge(
        "".join(path.read_text(errors="replace") for path in authorities),
        models,
        (*trust, *releases.default_trust_paths()),
        date.today(),
        releases.default_memory(),
    )
    found = []
    for checked in verification.verify(paths, judge):
        found.append(checked)
        if not as_json:
            click.echo(_lines(checked))
    if as_json:
        print_json({"files": [each.to_json() for each in found]})
    if any(each.test for each in found):
        complain("TEST certificates signed here: they prove nothing about who signed.")
    if not found:
        complain("nothing is there that could be checked.")
    return DONE if found and all(each.good for each in found) else FAILED


def _lines(checked: Checked) -> str:
    """Return what a person reads about one file."""
    lines = [f"{_WORDS[checked.state]:<9} {checked.path}"]
    if checked.signer:
        lines.append(f"          signed by    {checked.signer}")
    elif checked.state == "unsigned":
        lines.append("          signed by    nobody: its marks are text that anybody can write")
    elif checked.state == "unmarked":
        lines.append("          nothing is known: neither marks nor a credential are in it")
    lines += [f"          {topic:<12} {text}" for topic, text in checked.says.items()]
    lines += [f"        ! {fault}" for fault in checked.faults]
    return "\n".join(lines)


@click.group()
def certificate() -> None:
    """Certificates for signing."""


@certificate.command("test")
@click.argument("folder", type=FOLDER)
def certificate_test(folder: Path) -> int:
    """Make a TEST certificate with its key in FOLDER. It proves nothing about who signed."""
    from semblance import credentials
    from semblance.errors import OutputError
    from semblance.release import save_new

    made = credentials.test_certificate()
    files = {
        "TEST-certificate.pem": made.chain,
        "TEST-key.pem": made.key,
        "TEST-authority.pem": made.authority,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {folder} can't be made: {error.strerror or error}", "Choose another."
        ) from error
    for name, text in files.items():
        save_new(folder / name, text.encode(), private=name == "TEST-key.pem")
        click.echo(folder / name)
    complain("this is a TEST certificate: it proves nothing about who signed. Deliver nothing.")
    return DONE
