"""A likeness for Nuke's own Inference node: TorchScript, from which Nuke makes a ``.cat``.

The node gives a network one picture of scene-linear light and takes one back, in half precision
where it was told so, and shows the module's annotated attributes as knobs. So all that
`semblance.pipeline` does in the canonical square between its crop and the way back is in here: the
working encoding, the network, light from the network's error about the plate, highlights.

What a `.cat` can't do is check a release when it renders. It is checked here, once; a likeness that
is not released has the slate in its picture.

References
----------
Foundry, "CatFileCreator" and "Inference", and the public guide to `.cat` files (13 to 17): one
input tensor, one output tensor, float or half by the artist's choice, no libraries, no device of
its own, an error is the text of an exception.
"""

# No `from __future__ import annotations`: torch.jit reads the annotations of attributes as types.
import json
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from semblance import provenance
from semblance.errors import MissingPackageError, TrainingError
from semblance.model.package import Manifest, read_manifest
from semblance.plate import Plate, Window
from semblance.release import Verdict
from semblance.train.checkpoint import latest, read_settings
from semblance.train.export import TOLERANCE, averaged, hold_against, whole
from semblance.train.network import SD_EPSILON, LikenessNet, NetworkConfig

__all__ = ["KNOBS", "NOTE", "InferenceNode", "decoded", "encoded", "export_torchscript"]

KNOBS: Final = ("identity_strength", "exposure", "light_match")
"""Attributes of the module that Nuke shows as knobs: declared knobs of the same meaning."""

NOTE: Final = "semblance.json"
"""File inside the archive that says what it is: the manifest, and what the release said."""

LIGHT_SIGMA: Final = 1.0 / 36.0
"""Scale of the light match in canonical units, as `semblance.blend.match` has it."""

# What TorchScript compiles may read no constant of a file. 1.055 / 2.4 is the logarithm's slope.


def encoded(light: Tensor) -> Tensor:
    """Return the working encoding of light, as `semblance.colour.encode` has it."""
    curve = 1.055 * torch.clamp(light, 0.0031308, 1.0).pow(1.0 / 2.4) - 0.055
    bright = 1.0 + (1.055 / 2.4) * torch.log(torch.clamp(light, min=1.0))
    code = torch.where(light <= 0.0031308, 12.92 * light, curve)
    return torch.where(light > 1.0, bright, code)


def decoded(code: Tensor) -> Tensor:
    """Return light of the working encoding, as `semblance.colour.decode` has it."""
    curve = ((torch.clamp(code, 0.04045, 1.0) + 0.055) / 1.055).pow(2.4)
    bright = torch.exp((torch.clamp(code, min=1.0) - 1.0) / (1.055 / 2.4))
    light = torch.where(code <= 0.04045, code / 12.92, curve)
    return torch.where(code > 1.0, bright, light)


class InferenceNode(nn.Module):
    """What Nuke runs.

    Parameters
    ----------
    network : LikenessNet
    slate : str
        What is written over the face; empty where the likeness is released.

    Attributes
    ----------
    identity_strength : float
        0 the performer, 1 the likeness.
    exposure : float
        Stops that bring the face to the level that the network knows; its answer is taken back by
        as many.
    light_match : float
        0..1, how much of the plate's light the new face takes.
    """

    identity_strength: float
    exposure: float
    light_match: float
    kernel: Tensor
    slate: Tensor
    slate_where: Tensor

    def __init__(self, network: LikenessNet, slate: str = "") -> None:
        super().__init__()
        self.identity_strength = 1.0
        self.exposure = 0.0
        self.light_match = 1.0
        self.size: int = network.config.size
        image = torch.full((1, 3, self.size, self.size), 0.5)
        example = (image, torch.ones(1))
        self.network = torch.jit.trace(
            network.eval().requires_grad_(False), example, check_trace=False
        )  # type: ignore[no-untyped-call]
        self.register_buffer("kernel", _gaussian(LIGHT_SIGMA * self.size))
        picture, where = _written(slate, self.size)
        self.register_buffer("slate", picture)
        self.register_buffer("slate_where", where)

    def forward(self, image: Tensor) -> Tensor:
        """Give the performer's square the likeness's face.

        Parameters
        ----------
        image : Tensor
            (1, 3, size, size) float32 or float16, scene-linear; any range.

        Returns
        -------
        Tensor
            (1, 4, size, size) of the same type: scene-linear rgb, which is `image` itself at
            strength 0 and where it is blown out; and the network's matte, 0..1.
        """
        if image.shape[1] != 3 or image.shape[2] != self.size or image.shape[3] != self.size:
            raise ValueError(
                "Semblance: this network takes rgb of "
                + str(self.size)
                + " x "
                + str(self.size)
                + " pixels; set the gizmo's size to that."
            )
        a = min(max(self.identity_strength, 0.0), 1.0)
        gain = 2.0**self.exposure
        source = image.float()
        light = gain * torch.where(source == source, source, torch.zeros_like(source))
        code = encoded(torch.clamp(light, 0.0, 1.0))
        strength = torch.full([image.shape[0]], a, dtype=image.dtype, device=image.device)
        rgb, matte, own = self.network(code.to(image.dtype), strength)
        rgb, matte, own = rgb.float(), matte.float(), own.float()
        error = self.light_match * self._light(code, own, matte)
        change = rgb + error - code + (1.0 - a) * (code - own - error)
        # Highlights hold no face to replace (`semblance.blend.lay_in`), and white is no light.
        brightest = torch.clamp(light.max(dim=1, keepdim=True)[0], min=1.0)
        kept = brightest.pow(-1.055 / 2.4 / 0.25)
        change = kept * (decoded(code + change) - decoded(code))
        made = source + change / gain
        where = self.slate_where.float()
        made = torch.where(where > 0.0, self.slate.float() / gain, made)
        return torch.cat([made, torch.maximum(matte, where)], dim=1).to(image.dtype)

    def _light(self, code: Tensor, own: Tensor, matte: Tensor) -> Tensor:
        """Return what the network missed of the plate's light, from inside the matte alone."""
        blown = (code.max(dim=1, keepdim=True)[0] > 0.99).float()
        weights = matte * (1.0 - functional.max_pool2d(blown, 3, 1, 1))
        share = self._blur(weights)
        blurred = self._blur((code - own) * weights)
        return blurred / torch.clamp(share, min=1e-3) * torch.clamp(share / 1e-2, max=1.0)

    def _blur(self, image: Tensor) -> Tensor:
        """Gaussian blur (n, c, h, w), mirrored at the edges."""
        kernel = self.kernel.float()
        reach = kernel.shape[3] // 2
        planes = image.reshape(-1, 1, image.shape[2], image.shape[3])
        planes = functional.pad(planes, [reach, reach, reach, reach], mode="reflect")
        planes = functional.conv2d(functional.conv2d(planes, kernel), kernel.transpose(2, 3))
        return planes.reshape(image.shape)


def export_torchscript(source: Path, out: Path, verdict: Verdict, name: str = "") -> Manifest:
    """Write a likeness as TorchScript for Nuke's CatFileCreator.

    Parameters
    ----------
    source : Path
        A package that `export` made, or a run's folder.
    out : Path
        The ``.pt`` to write; it appears complete or not at all.
    verdict : Verdict
        Whether the likeness may be used; without it the slate is in the picture.
    name : str
        Name of a run's likeness; a package has its own.

    Returns
    -------
    Manifest
        Of the likeness.

    Raises
    ------
    TrainingError
        The run has no checkpoint, or the package's network is not the one that this version knows.
    ModelError
        The package is none.
    OutputError
        The file can't be written.
    MissingPackageError
        The onnx package is not installed.
    """
    network, manifest = _from_run(source, name) if source.is_dir() else _from_package(source)
    note = {
        "likeness": json.loads(manifest.to_json()),
        "release": {"valid": verdict.valid, "reason": verdict.reason, "id": verdict.release_id},
        "knobs": list(KNOBS),
    }
    with whole(out) as partial, warnings.catch_warnings():
        # torch leaves TorchScript behind; Nuke has nothing else.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        scripted = torch.jit.script(InferenceNode(network, verdict.slate).eval())
        torch.jit.save(scripted, str(partial), _extra_files={NOTE: json.dumps(note)})
        _hold_against(partial, network)
    return manifest


def _from_run(run: Path, name: str) -> tuple[LikenessNet, Manifest]:
    read_settings(run)
    checkpoint = latest(run)
    if checkpoint is None:
        raise TrainingError(
            f"the run in {run} has no checkpoint yet", "Train it for longer before exporting."
        )
    network = averaged(checkpoint)
    return network, Manifest(name or run.name, network.config.size, "performer", "likeness")


@torch.no_grad()
def _hold_against(path: Path, network: LikenessNet) -> None:
    """Refuse a file that does not give, read back, what the network gives."""
    module = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    size = network.config.size
    noise = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0))
    code = 0.1 + 0.8 * noise
    module.light_match = 0.0
    made = module(decoded(code))
    wanted = torch.cat(network(code, torch.ones(1))[:2], dim=1)
    clear = (module.slate_where == 0.0).expand_as(made)
    found = torch.cat([encoded(made[:, :3]), made[:, 3:]], dim=1)
    worst = float((found - wanted)[clear].abs().max())
    if not worst <= TOLERANCE:
        raise TrainingError(
            f"TorchScript differs from torch by {worst:.2g}: expected at most {TOLERANCE:g}",
            "Report this with the version of torch.",
        )


def _gaussian(sigma: float) -> Tensor:
    """Weights (1, 1, 1, 2 r + 1) of a Gaussian over four deviations to either side."""
    reach = math.ceil(4.0 * sigma)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (places / sigma).square())
    return (weights / weights.sum()).reshape(1, 1, 1, -1)


def _written(slate: str, size: int) -> tuple[Tensor, Tensor]:
    """Return a slate over the middle of the square, and where it lies: (1, 3 or 1, n, n)."""
    where = np.zeros((size, size), np.float32)
    picture = np.full((size, size, 3), 0.25, np.float32)
    if slate:
        rows, columns = slice(size // 4, 3 * size // 4), slice(size // 6, size - size // 6)
        grey = picture[rows, columns].copy()
        height, width = grey.shape[:2]
        planes = {name: np.ascontiguousarray(grey[..., i]) for i, name in enumerate("RGB")}
        # The type's size goes by the display window: large enough for so small a picture.
        frame = Window(0, 0, width, 4 * height)
        marked = provenance.burn_in(Plate(planes, Window(0, 0, width, height), frame), slate)
        picture[rows, columns] = marked.picture()
        where[rows, columns] = (picture[rows, columns] != grey).any(axis=2)
    light = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return light[None], torch.from_numpy(where)[None, None]


# --- the network of a package ----------------------------------------------------------------


def _from_package(path: Path) -> tuple[LikenessNet, Manifest]:
    """Return the network whose weights an ONNX package holds, checked against ONNX Runtime."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingPackageError("onnx", "train") from error
    manifest = read_manifest(path)
    graph = onnx.load(str(path)).graph
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    try:
        network = LikenessNet(_shape(weights, manifest.size))
        state = {name: weights[name] for name, _ in network.named_parameters() if name in weights}
        state["encoder.centre"] = weights["encoder.centre"]
        state |= _folded(graph.node, weights)
        given = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        missing, _ = network.load_state_dict(given, strict=False)
        if set(missing) != {"code_seen", "encoder.seen"}:
            raise KeyError(missing[0])
    except (KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path} holds another network than this version of Semblance trains ({error})",
            "Export from its training run instead.",
        ) from error
    hold_against(path, network.eval())
    return network, manifest


def _shape(weights: dict[str, Any], size: int) -> NetworkConfig:
    light = weights.get("light.weight")
    return NetworkConfig(
        size=size,
        encoder=weights["encoder.body.0.weight"].shape[0],
        decoder=weights["decoder.exit.weight"].shape[1],
        code=weights["encoder.dense.weight"].shape[0],
        grid=weights["decoder.entry.first.weight"].shape[0],
        identity=weights["decoder.entry.film.weight"].shape[1],
        light=0 if light is None else math.isqrt(light.shape[0] // 3),
    )


def _folded(nodes: Iterable[Any], weights: dict[str, Any]) -> dict[str, Any]:
    """Return the statistics and the identities, which the exporter has folded into constants.

    The network adds the performer's mean and deviation to a multiple of the way to the
    likeness's, in this order, and then multiplies the two identity vectors.
    """
    length = weights["encoder.dense.weight"].shape[0]
    used: dict[str, list[str]] = {"Add": [], "Mul": []}
    for node in nodes:
        for name in node.input:
            vector = name in weights and weights[name].ndim == 1 and "." not in name
            if node.op_type in used and vector and name not in used[node.op_type]:
                used[node.op_type].append(name)
    added = [name for name in used["Add"] if weights[name].shape == (length,)]
    mean, deviation = (weights[name] for name in added)
    to_mean, to_deviation, performer, likeness = (
        weights[name] for name in used["Mul"] if weights[name].size > 1
    )
    means = np.stack([mean, mean + to_mean])
    deviations = np.stack([deviation, deviation + to_deviation])
    return {
        "identities": np.stack([performer, likeness]),
        "code_mean": means,
        "code_variance": np.square(deviations - np.float32(SD_EPSILON)),
    }
