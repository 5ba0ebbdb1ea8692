"""Content credentials (C2PA): signed statements of how a picture was made, and their check.

- `load_signer`, `test_certificate`: who signs.
- `Claim`: what is said.
- `sign_media`, `sign_beside`: signing, inside a file or beside it.
- `read_credential`: what a file says, whether it was changed since, and by whom it was signed.
- `FrameList`: the frames of a shot with their hashes, so that one signature holds for all.
"""

from __future__ import annotations

from semblance.credentials.certificates import (
    Signer,
    TestCertificate,
    load_signer,
    test_certificate,
)
from semblance.credentials.claim import Claim, Ingredient, Released
from semblance.credentials.frames import FrameList, ListedFrame, list_paths
from semblance.credentials.reading import Credential, library_version, read_credential
from semblance.credentials.signing import sign_beside, sign_media, try_out

__all__ = [
    "Claim",
    "Credential",
    "FrameList",
    "Ingredient",
    "ListedFrame",
    "Released",
    "Signer",
    "TestCertificate",
    "library_version",
    "list_paths",
    "load_signer",
    "read_credential",
    "sign_beside",
    "sign_media",
    "test_certificate",
    "try_out",
]
