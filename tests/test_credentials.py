"""Content credentials: what is signed stays as it was signed, or the check says so."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers_credentials import KEYS, TIME_STAMPING, a_certificate, a_claim, a_signer
from semblance import credentials
from semblance.credentials import Credential, FrameList, ListedFrame
from semblance.errors import CredentialError
from semblance.provenance import SOURCE_TYPE

FILE = b"\x76\x2f\x31\x01" + bytes(range(256)) * 8


def a_picture(path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    if path.suffix != ".mp4":
        Image.fromarray(pixels).save(path)
        return path
    with av.open(str(path), "w", format="mp4") as movie:
        stream = movie.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for _ in range(3):
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        movie.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed PNG, and a file with its credential beside it."""
    folder = tmp_path_factory.mktemp("desk")
    signer = a_signer(folder)
    picture = a_picture(folder / "plain.png")
    credentials.sign_media(picture, folder / "signed.png", signer, a_claim("signed.png"))
    (folder / "frame.exr").write_bytes(FILE)
    made = credentials.sign_beside(folder / "frame.exr", signer, a_claim("frame.exr"))
    (folder / "frame.c2pa").write_bytes(made)
    return folder


def is_caught(path: Path, sidecar: Path | None = None) -> bool:
    """Whether a check says that something is wrong."""
    try:
        found = credentials.read_credential(path, sidecar)
    except CredentialError:
        return True
    return found is None or not found.intact


def flipped(data: bytes, bit: int) -> bytes:
    other = bytearray(data)
    other[bit // 8] ^= 1 << bit % 8
    return bytes(other)


# --- what is said ----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".png", ".jpg", ".mp4"])
def test_a_signed_picture_says_what_it_was_made_of_and_by_whom(tmp_path, ending):
    signer = a_signer(tmp_path)
    plain, signed = a_picture(tmp_path / f"plain{ending}"), tmp_path / f"signed{ending}"
    assert credentials.read_credential(plain) is None
    credentials.sign_media(plain, signed, signer, a_claim(signed.name))
    found = credentials.read_credential(signed)
    assert found is not None
    assert found.intact
    assert found.signer == signer.name
    assert found.test
    assert not found.trusted
    assert found.software == "Semblance 1.0"
    assert found.source_types == (SOURCE_TYPE,)
    assert found.ingredients == (
        ("plate.1001.exr", "urn:sha256:" + "a" * 64),
        ("likeness.onnx", "urn:sha256:" + "b" * 64),
    )
    assert found.marks["release"] == "SR-1"
    assert found.marks["releaseHash"] == "c" * 64
    assert found.marks["knobsHash"] == "d" * 64


def test_without_a_release_on_file_none_is_named(tmp_path):
    signer = a_signer(tmp_path)
    (tmp_path / "f.exr").write_bytes(FILE)
    claim = a_claim("f.exr", released=None, release_check="not valid: none", marks={"release": "X"})
    (tmp_path / "f.c2pa").write_bytes(credentials.sign_beside(tmp_path / "f.exr", signer, claim))
    found = credentials.read_credential(tmp_path / "f.exr", tmp_path / "f.c2pa")
    assert found is not None
    assert found.marks["release"] == "none"
    assert "rightsHolder" not in found.marks


def test_an_authority_vouches_for_its_own_and_for_nobody_else(tmp_path):
    chain, key, authority = a_certificate(tmp_path / "a")
    _, _, other = a_certificate(tmp_path / "b")
    signer = credentials.load_signer(chain, key)
    assert not signer.test
    signed = tmp_path / "s.png"
    credentials.sign_media(a_picture(tmp_path / "p.png"), signed, signer, a_claim("s.png"))
    trusted = {
        text: credentials.read_credential(signed, None, text) for text in ("", authority, other)
    }
    assert [found and found.trusted for found in trusted.values()] == [False, True, False]
    assert all(found is not None and found.intact and not found.test for found in trusted.values())


# --- what was changed ------------------------------------------------------------------------


@settings(max_examples=150)
@given(where=st.floats(0.0, 1.0, exclude_max=True))
def test_any_changed_bit_of_a_signed_png_is_noticed(desk, where):
    data = (desk / "signed.png").read_bytes()
    (desk / "other.png").write_bytes(flipped(data, int(where * len(data) * 8)))
    assert is_caught(desk / "other.png")


@settings(max_examples=150)
@given(where=st.floats(0.0, 1.0, exclude_max=True))
def test_any_changed_bit_of_a_credential_beside_a_file_is_noticed(desk, where):
    data = (desk / "frame.c2pa").read_bytes()
    (desk / "other.c2pa").write_bytes(flipped(data, int(where * len(data) * 8)))
    assert is_caught(desk / "frame.exr", desk / "other.c2pa")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["signed.png", "frame.c2pa"])
def test_every_changed_byte_is_noticed(desk, name):
    data = (desk / name).read_bytes()
    other = desk / f"every{Path(name).suffix}"
    for index in range(len(data)):
        other.write_bytes(flipped(data, 8 * index + index % 8))
        if other.suffix == ".png":
            assert is_caught(other), index
        else:
            assert is_caught(desk / "frame.exr", other), index


@settings(max_examples=50)
@given(where=st.integers(0, len(FILE) * 8 - 1))
def test_any_changed_bit_of_a_file_with_a_credential_is_noticed(desk, where):
    (desk / "other.exr").write_bytes(flipped(FILE, where))
    assert is_caught(desk / "other.exr", desk / "frame.c2pa")


@pytest.mark.parametrize("data", [FILE[:-1], FILE + b"\0", b""])
def test_a_file_that_was_cut_or_grew_is_another(desk, data):
    (desk / "other.exr").write_bytes(data)
    assert is_caught(desk / "other.exr", desk / "frame.c2pa")


@pytest.mark.parametrize("ending", [".png", ".mp4"])
def test_signing_again_keeps_what_was_signed_before(tmp_path, ending):
    signer = a_signer(tmp_path)
    paths = [tmp_path / f"{index}{ending}" for index in range(3)]
    a_picture(paths[0])
    for before, after in pairwise(paths):
        credentials.sign_media(before, after, signer, a_claim(after.name))
    found = credentials.read_credential(paths[2])
    assert found is not None
    assert (found.intact, found.earlier) == (True, 1)


def test_a_credential_beside_a_file_keeps_the_one_that_it_replaces(desk):
    signer = a_signer(desk / "again")
    frame, sidecar = desk / "frame.exr", desk / "again.c2pa"
    before = (desk / "frame.c2pa").read_bytes()
    found = credentials.read_credential(frame, desk / "frame.c2pa")
    assert isinstance(found, Credential)
    made = credentials.sign_beside(frame, signer, a_claim("frame.exr"), (before, found))
    sidecar.write_bytes(made)
    again = credentials.read_credential(frame, sidecar)
    assert again is not None
    assert (again.intact, again.earlier) == (True, 1)
    other = flipped(made, 8 * made.index(b"Kestrel Estate"))
    sidecar.write_bytes(other)
    assert is_caught(frame, sidecar)


# --- who signs -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_that_is_offered_signs(tmp_path, kind):
    chain, key, authority = a_certificate(tmp_path, kind)
    signer = credentials.load_signer(chain, key)
    assert signer.algorithm == kind
    signed = tmp_path / "s.png"
    credentials.sign_media(a_picture(tmp_path / "p.png"), signed, signer, a_claim("s.png"))
    found = credentials.read_credential(signed, None, authority)
    assert found is not None
    assert (found.intact, found.trusted) == (True, True)


SCRIPT = """
import sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
key = serialization.load_pem_private_key(open(sys.argv[1], "rb").read(), None)
made = key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256()))
if sys.argv[2] == "numbers":
    made = b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(made))
sys.stdout.buffer.write(made)
"""


def a_command(folder: Path, *words: object, script: str = SCRIPT) -> str:
    (folder / "sign.py").write_text(script)
    return shlex.join([sys.executable, str(folder / "sign.py"), *map(str, words)])


@pytest.mark.parametrize("form", ["der", "numbers"])
def test_a_command_signs_in_a_process_of_its_own(tmp_path, form):
    chain, key, _ = a_certificate(tmp_path)
    signer = credentials.load_signer(chain, command=a_command(tmp_path, key, form))
    credentials.try_out(signer)
    signed = tmp_path / "s.png"
    credentials.sign_media(a_picture(tmp_path / "p.png"), signed, signer, a_claim("s.png"))
    assert not is_caught(signed)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")
def test_openssl_signs_as_the_page_shows_it(tmp_path):
    chain, key, _ = a_certificate(tmp_path)
    signer = credentials.load_signer(chain, command=f"openssl dgst -sha256 -sign {key}")
    signed = tmp_path / "s.png"
    credentials.sign_media(a_picture(tmp_path / "p.png"), signed, signer, a_claim("s.png"))
    assert not is_caught(signed)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('no card in the reader')", "exit code 1: no card in the reader"),
        ("pass", "gave 0 bytes"),
        ("print('signed!')", "no es256 signature by the certificate"),
    ],
)
def test_a_command_that_does_not_sign_is_refused_in_its_own_words(tmp_path, script, said):
    chain, _, _ = a_certificate(tmp_path)
    signer = credentials.load_signer(chain, command=a_command(tmp_path, script=script))
    with pytest.raises(CredentialError, match=said):
        credentials.sign_media(
            a_picture(tmp_path / "p.png"), tmp_path / "s.png", signer, a_claim("s.png")
        )


def test_a_command_with_another_key_signs_nothing(tmp_path):
    chain, _, _ = a_certificate(tmp_path / "a")
    _, key, _ = a_certificate(tmp_path / "b")
    signer = credentials.load_signer(chain, command=a_command(tmp_path, key, "der"))
    with pytest.raises(CredentialError, match="belongs to this certificate"):
        credentials.try_out(signer)


def test_a_command_that_is_not_there_is_named(tmp_path):
    chain, _, _ = a_certificate(tmp_path)
    signer = credentials.load_signer(chain, command="no-such-signer --slot 3")
    with pytest.raises(CredentialError, match="no-such-signer --slot 3"):
        credentials.try_out(signer)


def _swapped(folder: Path) -> tuple[Path, Path]:
    return a_certificate(folder / "a")[0], a_certificate(folder / "b")[1]


def _locked(folder: Path) -> tuple[Path, Path]:
    chain, path, _ = a_certificate(folder)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    return chain, path


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_swapped, "does not belong to the certificate"),
        (_locked, "has a password"),
        (lambda folder: a_certificate(folder, days=(-20, -10))[:2], "and today is"),
        (lambda folder: a_certificate(folder, days=(10, 20))[:2], "and today is"),
        (lambda folder: a_certificate(folder, own_issuer=True)[:2], "issued by itself"),
        (lambda folder: a_certificate(folder)[1::-1], "is not a certificate chain"),
        (lambda folder: (folder / "none.pem", folder / "none.pem"), "can't be read"),
    ],
)
def test_a_certificate_or_key_that_can_not_sign_is_refused_with_the_reason(tmp_path, made, said):
    with pytest.raises(CredentialError, match=said):
        credentials.load_signer(*made(tmp_path))


def test_a_certificate_for_something_else_is_refused_before_the_work(tmp_path):
    chain, key, _ = a_certificate(tmp_path, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(CredentialError, match=r"does not hold|can.t be signed"):
        credentials.try_out(credentials.load_signer(chain, key))


# --- time stamps -----------------------------------------------------------------------------


class _Stamps(HTTPServer):
    """A time-stamping service: openssl answers, or nobody does."""

    def __init__(self, folder: Path | None) -> None:
        self.asked = 0
        self.folder = folder
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Answer(BaseHTTPRequestHandler):
    server: _Stamps

    def do_POST(self) -> None:
        self.server.asked += 1
        query = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.folder is None:
            self.send_error(503)
            return
        folder = self.server.folder
        (folder / "query.tsq").write_bytes(query)
        words = "openssl ts -reply -config ts.cnf -queryfile query.tsq -out reply.tsr"
        subprocess.run(shlex.split(words), cwd=folder, check=True, capture_output=True)
        reply = (folder / "reply.tsr").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def stamps(tmp_path: Path) -> Iterator[_Stamps]:
    server = _Stamps(None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_time_stamp_is_asked_for_unless_a_service_is_named(tmp_path, stamps):
    signer = a_signer(tmp_path)
    picture, signed = a_picture(tmp_path / "p.png"), tmp_path / "s.png"
    credentials.sign_media(picture, signed, signer, a_claim("s.png"))
    found = credentials.read_credential(signed)
    assert (stamps.asked, found and found.signed_at) == (0, "")
    stamped = replace(signer, timestamp=stamps.url)
    credentials.try_out(stamped)
    assert stamps.asked == 0
    with pytest.raises(CredentialError, match="time-stamping service"):
        credentials.sign_media(picture, tmp_path / "t.png", stamped, a_claim("t.png"))
    assert stamps.asked > 0


TS_CONFIG = """
[tsa]
default_tsa = desk
[desk]
serial = serial
signer_cert = stamp.pem
certs = stamp.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
crypto_device = builtin
ess_cert_id_alg = sha256
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")
def test_a_time_stamp_says_when_it_was_signed(tmp_path, stamps):
    chain, key, authority = a_certificate(tmp_path / "tsa", "ps256", usage=TIME_STAMPING)
    desk = tmp_path / "desk"
    desk.mkdir()
    shutil.copy(chain, desk / "stamp.pem")
    shutil.copy(key, desk / "key.pem")
    (desk / "serial").write_text("01\n")
    (desk / "ts.cnf").write_text(TS_CONFIG)
    stamps.folder = desk
    signer = replace(a_signer(tmp_path), timestamp=stamps.url)
    signed = tmp_path / "s.png"
    credentials.sign_media(a_picture(tmp_path / "p.png"), signed, signer, a_claim("s.png"))
    for anchors, trusted in (("", False), (authority, True)):
        found = credentials.read_credential(signed, None, anchors)
        assert found is not None
        assert found.intact, found.faults
        assert found.signed_at.startswith("20")
        assert found.time_trusted is trusted


# --- lists -----------------------------------------------------------------------------------

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), hashes, texts, texts), unique_by=lambda e: e[0]),
)
def test_a_list_reads_as_it_was_written(tmp_path_factory, entries):
    frames = tuple(
        ListedFrame(number, f"r.{number}.exr", 1, sha256, sha256, attributes, marks)
        for number, sha256, attributes, marks in entries
    )
    path = tmp_path_factory.getbasetemp() / "r.frames.json"
    written = FrameList("r.####.exr", frames)
    path.write_bytes(written.to_bytes())
    assert FrameList.read(path) == written


@pytest.mark.parametrize(
    "entry",
    ["../../etc/passwd", "/etc/passwd", "..\\r.exr", "..", "", 3],
)
def test_a_list_points_nowhere_else(tmp_path, entry):
    held = ListedFrame(1, "r.1.exr", 1, "a" * 64, "a" * 64, {}, {})
    text = FrameList("r.#.exr", (held,)).to_bytes().decode()
    path = tmp_path / "r.frames.json"
    path.write_text(text.replace('"r.1.exr"', repr(entry).replace("'", '"')))
    with pytest.raises(CredentialError, match="file"):
        FrameList.read(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\x00", '{"format": "semblance-frames"}', "[" * 9999]
)
def test_what_is_no_list_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "r.frames.json").write_text(text)
    with pytest.raises(CredentialError):
        FrameList.read(tmp_path / "r.frames.json")
