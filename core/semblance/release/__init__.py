"""Likeness releases: who consents to what, signed, and checked before a face is drawn.

- `semblance.release.document`: the release, a small signed file beside the model.
- `semblance.release.keys`: keys, and the trust store that says whose signature counts.
- `semblance.release.revocation`: signed lists of what was withdrawn.
- `semblance.release.verdict`: whether a likeness may be used, and why.

`check` and `verify` never raise for a bad release: their `Verdict` says why. `require` raises.
"""

from __future__ import annotations

from semblance.release.document import (
    TEMPLATE,
    Release,
    SignedRelease,
    canonical,
    default_release_path,
    draft,
    new_id,
    read_draft,
    read_release,
    sign,
)
from semblance.release.files import save_new
from semblance.release.keys import KeyPair, default_trust_paths, load_private_key, new_key
from semblance.release.revocation import (
    LIST_ENDING,
    Found,
    Revocation,
    Revocations,
    default_memory,
    find,
    list_name,
    read_list,
    revoke,
)
from semblance.release.verdict import Verdict, check, require, terms, verify, watched

__all__ = [
    "LIST_ENDING",
    "TEMPLATE",
    "Found",
    "KeyPair",
    "Release",
    "Revocation",
    "Revocations",
    "SignedRelease",
    "Verdict",
    "canonical",
    "check",
    "default_memory",
    "default_release_path",
    "default_trust_paths",
    "draft",
    "find",
    "list_name",
    "load_private_key",
    "new_id",
    "new_key",
    "read_draft",
    "read_list",
    "read_release",
    "require",
    "revoke",
    "save_new",
    "sign",
    "terms",
    "verify",
    "watched",
]
