"""A strict OpenFX host for tests: it drives a plug-in's binary and forgives nothing."""

from __future__ import annotations

from .abi import Status
from .faces import BARE, FACES, FUSION, NATRON, NUKE, RESOLVE, RESOLVE_BLACK, Face
from .host import FILTER, GENERAL, Host, Instance, Plugin, Rendered
from .objects import Region
from .pixels import LAYOUTS, PLAIN, SENTINEL, Image, Layout

__all__ = [
    "BARE",
    "FACES",
    "FILTER",
    "FUSION",
    "GENERAL",
    "LAYOUTS",
    "NATRON",
    "NUKE",
    "PLAIN",
    "RESOLVE",
    "RESOLVE_BLACK",
    "SENTINEL",
    "Face",
    "Host",
    "Image",
    "Instance",
    "Layout",
    "Plugin",
    "Region",
    "Rendered",
    "Status",
]
