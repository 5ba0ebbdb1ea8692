"""EXR files of every layout, and the one comparison of plates that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio
from hypothesis import strategies as st
from numpy.typing import NDArray

from semblance.exr import read_plate
from semblance.exr.container import chunk_length, chunk_tables, parse_header
from semblance.plate import Plate, Window

FULL = Window(0, 0, 48, 36)
OVERSCAN = Window(-5, -3, 55, 41)
CROPPED = Window(7, 9, 33, 30)
NEGATIVE = Window(-60, -40, -12, -4)

LOSSLESS = ("none", "rle", "zip", "zips", "piz")
LOSSY = ("b44", "b44a", "dwaa", "dwab")

Channels = Mapping[str, NDArray[Any]]


def assert_plates_equal(
    actual: Plate | Path,
    expected: Plate | Path,
    *,
    max_difference: float = 0.0,
    where: NDArray[np.bool_] | None = None,
    compression: bool = True,
    added: Collection[str] = (),
    frame: int | None = None,
) -> None:
    """Compare windows, channels and their order and types, pixel aspect, metadata, layout, pixels.

    Parameters
    ----------
    max_difference : float
        0 compares bits, so a NaN has to be the same NaN.
    where : (h, w) bool array, optional
        The pixels to compare; all by default.
    compression : bool
        Whether the compressions have to agree too.
    added : collection of str
        Attributes and channels that `actual` may have besides.
    frame : int, optional
        Named in the message.
    """
    if isinstance(actual, Path):
        actual = read_plate(actual)
    if isinstance(expected, Path):
        expected = read_plate(expected)
    at = "" if frame is None else f"frame {frame}, "
    for name in ("data_window", "display_window", "pixel_aspect", "rgb", "alpha", "layout", "tile"):
        one, other = getattr(actual, name), getattr(expected, name)
        assert one == other, f"{at}{name}: {one}, expected {other}"
    if compression:
        assert actual.compression == expected.compression, (
            f"{at}compression: {actual.compression}, expected {expected.compression}"
        )
    held = {name: item for name, item in actual.metadata.items() if name not in added}
    for name in {**held, **expected.metadata}:
        one, other = held.get(name), expected.metadata.get(name)
        assert one == other, f"{at}attribute {name!r}: {one!s}, expected {other!s}"
    names = [name for name in actual.channels if name not in added]
    assert names == list(expected.channels), (
        f"{at}channels: {names}, expected {list(expected.channels)}"
    )
    for name, pixels in expected.channels.items():
        _assert_channel(
            f"{at}channel {name!r}", actual.channels[name], pixels, max_difference, where,
            (expected.data_window.x0, expected.data_window.y0),
        )  # fmt: skip


def _assert_channel(
    label: str,
    actual: NDArray[Any],
    expected: NDArray[Any],
    max_difference: float,
    where: NDArray[np.bool_] | None,
    origin: tuple[int, int],
) -> None:
    assert actual.dtype == expected.dtype, f"{label}: {actual.dtype}, expected {expected.dtype}"
    assert actual.shape == expected.shape, f"{label}: {actual.shape}, expected {expected.shape}"
    if max_difference == 0.0:
        wrong = bits(actual) != bits(expected)
    else:
        one, other = actual.astype(np.float64), expected.astype(np.float64)
        with np.errstate(invalid="ignore"):
            near = np.abs(one - other) <= max_difference
        wrong = ~(near | (one == other) | (np.isnan(one) & np.isnan(other)))
    if where is not None:
        wrong &= where
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise AssertionError(
            f"{label}, pixel ({column + origin[0]}, {row + origin[1]}): {actual[row, column]!r}, "
            f"expected {expected[row, column]!r}; {np.count_nonzero(wrong)} pixels differ"
        )


def bits(pixels: NDArray[Any]) -> NDArray[Any]:
    """The pixels as whole numbers of the same size."""
    pixels = np.ascontiguousarray(pixels)
    return pixels.view(f"u{pixels.dtype.itemsize}")


def noise(window: Window, dtype: type = np.float16, seed: int = 0) -> NDArray[Any]:
    """Values with highlights, negatives, NaN (with payload) and infinities; ids for uint32."""
    random = np.random.default_rng(seed)
    shape = (window.height, window.width)
    if dtype is np.uint32:
        return random.integers(0, 2**32, shape, dtype=np.uint32)
    pixels = (np.exp2(random.normal(-3.0, 3.0, shape)) - 0.05).astype(dtype)
    flat = pixels.reshape(-1)
    odd = [np.inf, -np.inf, np.nan, -np.nan, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny / 4]
    flat[: len(odd)] = np.asarray(odd, dtype)[: flat.size]
    payload = flat[len(odd) : len(odd) + 2].view(f"u{pixels.dtype.itemsize}")
    payload[...] = (0x7E15, 0xFD01)[: payload.size] if dtype is np.float16 else (
        (0x7FC12345, 0xFFA00001)[: payload.size]
    )  # fmt: skip
    return pixels


def rgb(window: Window = FULL, dtype: type = np.float16, prefix: str = "") -> dict[str, Any]:
    return {f"{prefix}{name}": noise(window, dtype, i) for i, name in enumerate("RGB")}


def exr_part(
    channels: Channels,
    *,
    window: Window = FULL,
    display: Window = FULL,
    compression: str = "zip",
    tile: tuple[int, int] | None = None,
    attributes: Mapping[str, Any] = {},
) -> OpenEXR.Part:
    """One part as OpenEXR's own module takes it."""
    header: dict[str, Any] = {
        "compression": OpenEXR.Compression.__members__[f"{compression.upper()}_COMPRESSION"]
        if compression != "none"
        else OpenEXR.NO_COMPRESSION,
        "dataWindow": _box(window),
        "displayWindow": _box(display),
        "type": OpenEXR.tiledimage if tile else OpenEXR.scanlineimage,
        **attributes,
    }
    if tile:
        header["tiles"] = OpenEXR.TileDescription()
        header["tiles"].xSize, header["tiles"].ySize = tile
    planes = {name: np.ascontiguousarray(pixels) for name, pixels in channels.items()}
    return OpenEXR.Part(header, planes)


def write_exr(path: Path, *parts: OpenEXR.Part) -> Path:
    """Write parts by OpenEXR's own module."""
    OpenEXR.File(list(parts)).write(str(path))
    return path


def read_by_openexr(path: Path, part: int = 0) -> dict[str, NDArray[Any]]:
    """Every channel of a part as OpenEXR's own module reads it."""
    file = OpenEXR.File(str(path), separate_channels=True)
    return {name: channel.pixels for name, channel in file.channels(part).items()}


def _box(window: Window) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    low = np.array([window.x0, window.y0], np.int32)
    return low, np.array([window.x1 - 1, window.y1 - 1], np.int32)


def _half(path: Path) -> Path:
    return write_exr(path, exr_part(rgb()))


def _float(path: Path) -> Path:
    return write_exr(path, exr_part(rgb(dtype=np.float32), compression="piz"))


def _uint(path: Path) -> Path:
    return write_exr(path, exr_part({**rgb(), "id": noise(FULL, np.uint32)}, compression="rle"))


def _mixed(path: Path) -> Path:
    channels = {
        **rgb(),
        "A": noise(FULL, np.float32, 3),
        "Z": noise(FULL, np.float32, 4),
        "id.object": noise(FULL, np.uint32, 5),
        **rgb(dtype=np.float32, prefix="diffuse."),
        "mask": noise(FULL, np.float16, 6),
        "a.layer.with.a.name.of.more.than.thirty-one.bytes": noise(FULL, np.float16, 7),
    }
    return write_exr(path, exr_part(channels, compression="zips"))


def _overscan(path: Path) -> Path:
    return write_exr(path, exr_part(rgb(OVERSCAN), window=OVERSCAN))


def _cropped(path: Path) -> Path:
    return write_exr(path, exr_part(rgb(CROPPED), window=CROPPED, compression="none"))


def _negative_origin(path: Path) -> Path:
    display = Window(-64, -48, 0, 0)
    return write_exr(path, exr_part(rgb(NEGATIVE), window=NEGATIVE, display=display))


def _alpha(path: Path) -> Path:
    cover = np.linspace(0.0, 1.0, FULL.width * FULL.height, dtype=np.float32)
    alpha = cover.reshape(FULL.height, FULL.width).astype(np.float16)
    return write_exr(path, exr_part({**rgb(), "A": alpha}))


def _anamorphic(path: Path) -> Path:
    return write_exr(path, exr_part(rgb(), attributes={"pixelAspectRatio": 1.8}))


def _tiled(path: Path) -> Path:
    channels = {**rgb(OVERSCAN), "id": noise(OVERSCAN, np.uint32)}
    return write_exr(path, exr_part(channels, window=OVERSCAN, tile=(16, 8)))


def _decreasing(path: Path) -> Path:
    return write_exr(path, exr_part(rgb(), attributes={"lineOrder": OpenEXR.DECREASING_Y}))


def _layered(path: Path) -> Path:
    channels = {**rgb(prefix="beauty."), "beauty.A": noise(FULL), **rgb(prefix="diffuse.")}
    return write_exr(path, exr_part(channels))


def deep_samples(window: Window = FULL) -> NDArray[Any]:
    """Zero to two samples on each pixel."""
    samples = np.empty((window.height, window.width), dtype=object)
    for y, x in np.ndindex(samples.shape):
        samples[y, x] = np.arange((x + y) % 3, dtype=np.float32) + x
    return samples


def _multi_part(path: Path) -> Path:
    """Lossy, tiled, differently windowed and deep parts around the plate's own."""
    deep = {
        "compression": OpenEXR.ZIPS_COMPRESSION,
        "type": OpenEXR.deepscanline,
        "name": "deep",
        "displayWindow": _box(FULL),
    }
    depth = {"Z": noise(CROPPED, np.float32)}
    normals = {"x": noise(FULL), "y": noise(FULL, np.float32), "id": noise(FULL, np.uint32)}
    return write_exr(
        path,
        exr_part(depth, window=CROPPED, compression="zips", attributes={"name": "depth"}),
        exr_part(rgb(), attributes={"name": "main", "view": "left", "shot": "S010"}),
        exr_part(normals, compression="dwaa", tile=(16, 16), attributes={"name": "normals"}),
        OpenEXR.Part(deep, {"A": deep_samples(), "Z": deep_samples()}),
    )


LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "half": _half,
    "float": _float,
    "uint": _uint,
    "mixed": _mixed,
    "overscan": _overscan,
    "cropped": _cropped,
    "negative_origin": _negative_origin,
    "alpha": _alpha,
    "anamorphic": _anamorphic,
    "tiled": _tiled,
    "decreasing": _decreasing,
    "layered": _layered,
    "multi_part": _multi_part,
}
"""Builders of small EXR files: each writes one layout to a path and returns the path."""


def is_lossy(compression: str, channels: Channels) -> bool:
    """Whether a compression loses bits of these channels."""
    return compression in (*LOSSY, "lj2k") or (
        compression == "pxr24" and any(item.dtype == np.float32 for item in channels.values())
    )


def leftovers(folder: Path) -> list[str]:
    """Hidden files."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Channels and the keywords of `exr_part`."""
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    x, y = draw(st.integers(-50, 50)), draw(st.integers(-50, 50))
    window = Window(x, y, x + width, y + height)
    letters = st.text("ABGRZabcxyz_", min_size=1, max_size=6)
    names = draw(st.lists(st.tuples(letters, letters).map(".".join), max_size=4, unique=True))
    names += draw(st.sampled_from([("R", "G", "B"), ("R", "G", "B", "A")]))
    types = st.sampled_from([np.float16, np.float32, np.uint32])
    channels = {
        name: noise(window, np.float16 if name in "RGBA" else draw(types), seed)
        for seed, name in enumerate(names)
    }
    keywords = {
        "window": window,
        "display": draw(st.sampled_from([window, FULL, Window(-9, -9, 3, 5)])),
        "compression": draw(st.sampled_from((*LOSSLESS, *LOSSY, "pxr24"))),
        "tile": draw(st.none() | st.tuples(st.integers(1, 40), st.integers(1, 40))),
        "attributes": {
            "pixelAspectRatio": draw(st.sampled_from([1.0, 2.0, 0.9])),
            "lineOrder": draw(st.sampled_from([OpenEXR.INCREASING_Y, OpenEXR.DECREASING_Y])),
        },
    }
    return channels, keywords


def write_by_openimageio(
    path: Path,
    channels: Channels,
    *,
    window: Window = FULL,
    display: Window = FULL,
    compression: str = "zip",
    tile: tuple[int, int] | None = None,
    attributes: Mapping[str, Any] = {},
) -> Path:
    """Write channels of one type by OpenImageIO."""
    kind = {"float16": "half", "float32": "float"}[str(next(iter(channels.values())).dtype)]
    spec = oiio.ImageSpec(window.width, window.height, len(channels), kind)
    spec.channelnames = tuple(channels)
    spec.x, spec.y = window.x0, window.y0
    spec.full_x, spec.full_y = display.x0, display.y0
    spec.full_width, spec.full_height = display.width, display.height
    spec["compression"] = compression
    if tile:
        spec.tile_width, spec.tile_height = tile
    for name, value in attributes.items():
        spec[name] = value
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.stack(list(channels.values()), -1)), output.geterror()
    output.close()
    return path


def read_by_openimageio(path: Path, part: int = 0) -> dict[str, NDArray[Any]]:
    """Every channel of a part as OpenImageIO reads it, in its own type."""
    file = oiio.ImageInput.open(str(path))
    spec = file.spec(part, 0)
    found = {}
    for index, name in enumerate(spec.channelnames):
        block = file.read_image(part, 0, index, index + 1, spec.channelformat(index))
        assert block is not None, file.geterror()
        found[name] = block[..., 0]
    file.close()
    return found


def chunk_bytes(path: Path, part: int = 0) -> list[bytes]:
    """The compressed chunks of a part, with what stands in front of them, in the table's order."""
    with path.open("rb") as file:
        header = parse_header(file, path.stat().st_size)
        chunks = []
        for offset in chunk_tables(file, header)[part].tolist():
            length = chunk_length(file, offset, header.parts[part], header.multipart)
            file.seek(offset)
            chunks.append(file.read(length))
    return chunks
