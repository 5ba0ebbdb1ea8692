"""From a run's newest checkpoint to the one-file likeness package."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from semblance.errors import MissingPackageError, OutputError, TrainingError
from semblance.model.package import MANIFEST_KEY, Manifest
from semblance.model.session import Likeness
from semblance.train.checkpoint import latest, load_tensors, read_network, read_settings, read_state
from semblance.train.network import LikenessNet

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["TOLERANCE", "averaged", "export", "hold_against", "whole"]

OPSET: Final = 18
TOLERANCE: Final = 1e-3
"""Largest difference of ONNX Runtime from torch, in code values of 0..1."""

CHECKED: Final = (0.0, 0.35, 1.0)


def export(
    run: Path,
    out: Path,
    name: str,
    performer: str = "performer",
    likeness: str = "likeness",
) -> Manifest:
    """Write the averaged network of a run's newest checkpoint as a likeness package.

    Parameters
    ----------
    run : Path
        The run's folder.
    out : Path
        The ONNX file to write; it appears complete or not at all.
    name : str
        Name of the likeness.
    performer, likeness : str
        Names of the two identities.

    Returns
    -------
    Manifest
        As stored in the file.

    Raises
    ------
    TrainingError
        The run has no checkpoint, or ONNX Runtime disagrees with torch by more than `TOLERANCE`.
    OutputError
        The file can't be written.
    MissingPackageError
        The onnx package is not installed.
    """
    settings = read_settings(run)
    checkpoint = latest(run)
    if checkpoint is None:
        raise TrainingError(
            f"the run in {run} has no checkpoint yet", "Train it for longer before exporting."
        )
    network = averaged(checkpoint)
    manifest = Manifest(
        name=name,
        size=network.config.size,
        performer=performer,
        likeness=likeness,
        training=_facts(checkpoint, settings),
    )
    with whole(out) as partial:
        partial.write_bytes(_onnx(network, manifest))
        hold_against(partial, network)
    return manifest


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """Give the name of a new file to write; it becomes `out` once the block is done, or is gone.

    Raises
    ------
    OutputError
        The file can't be written.
    """
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.touch()  # before the work, not after it
            yield partial
            os.replace(partial, out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{out} can't be written: {error.strerror}", "Choose another place."
        ) from error


def averaged(checkpoint: Path) -> LikenessNet:
    """Load a checkpoint's averaged network, for use.

    Raises
    ------
    TrainingError
        The checkpoint is torn.
    """
    tensors = load_tensors(checkpoint)
    network = LikenessNet(read_network(checkpoint))
    network.load_state_dict(
        {key[len("average.") :]: t for key, t in tensors.items() if key.startswith("average.")}
    )
    return network.eval()


def _facts(checkpoint: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    state = read_state(checkpoint)
    try:
        version = metadata.version("semblance")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return {
        "steps": state.step,
        "seconds": round(state.seconds),
        "faces": {who: each["faces"] for who, each in settings["facesets"].items()},
        "semblance": version,
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def _example(size: int) -> tuple[Tensor, Tensor]:
    """Two pictures at two strengths; noise over a ramp, so that every layer has work."""
    noise = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.0, 1.0, size).expand(2, 3, size, size)
    image = (0.7 * ramp + 0.3 * torch.rand((2, 3, size, size), generator=noise)).contiguous()
    return image, torch.tensor([0.25, 0.75])


def _onnx(network: LikenessNet, manifest: Manifest) -> bytes:
    """Return the graph with its weights and the manifest, as the bytes of one ONNX file."""
    try:
        from onnx import helper
    except ImportError as error:
        raise MissingPackageError("onnx", "train") from error
    batch = torch.export.Dim("n", min=1, max=1024)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making, about its own parts
        program = torch.onnx.export(
            network,
            _example(manifest.size),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image", "strength"],
            output_names=["rgb", "matte", "self"],
            dynamic_shapes=({0: batch}, {0: batch}),
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch gave no ONNX graph", "Report this with the torch version.")
    model: ModelProto = program.model_proto
    _forget_origin(model)
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    return bytes(model.SerializeToString())


def _forget_origin(model: ModelProto) -> None:
    """Remove what the exporter notes of its own work, folders of this machine among it."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    del graph.metadata_props[:]


@torch.no_grad()
def hold_against(path: Path, network: LikenessNet) -> None:
    """Refuse a package that is not a network's.

    Raises
    ------
    TrainingError
        ONNX Runtime differs from torch by more than `TOLERANCE`.
    """
    image = _example(network.config.size)[0][:1]
    crop = image[0].permute(1, 2, 0).numpy()
    with Likeness.open(path, "cpu") as likeness:
        for strength in CHECKED:
            wanted = network(image, torch.tensor([strength]))
            made = likeness.infer(np.ascontiguousarray(crop), strength)
            found = (made.rgb, made.matte[..., None], made.own)
            worst = max(
                float(np.abs(f - w[0].permute(1, 2, 0).numpy()).max())
                for f, w in zip(found, wanted, strict=True)
            )
            if not worst <= TOLERANCE:
                raise TrainingError(
                    f"ONNX Runtime differs from torch by {worst:.2g} at strength {strength}: "
                    f"expected at most {TOLERANCE:g}",
                    "Report this with the versions of torch and onnxruntime.",
                )
