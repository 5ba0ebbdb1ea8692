"""The wipe movie, as a player reads it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from conftest import a_plate
from semblance import review
from semblance.errors import OutputError
from semblance.exr import Attribute
from semblance.plate import Window
from semblance.review.movie import on_canvas

# Decoded luma and chroma back to R′G′B′: ITU-R BT.709-6, items 3.2 to 3.5.
KR, KB = 0.2126, 0.0722


def as_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Decode by the formulas, because a library's own defaults are what is in question."""
    height, width = frame.height, frame.width
    planes = [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]
    luma = (planes[0].astype(np.float64) - 16.0) / 219.0
    blue, red = (
        (cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST) - 128.0) / 224.0
        for plane in planes[1:]
    )
    r = luma + 2.0 * (1.0 - KR) * red
    b = luma + 2.0 * (1.0 - KB) * blue
    return np.stack([r, (luma - KR * r - KB * b) / (1.0 - KR - KB), b], axis=-1)


def flat(rgb: tuple[int, int, int], size: tuple[int, int]) -> np.ndarray:
    return np.full((size[1], size[0], 3), rgb, np.uint8)


def decoded(path) -> tuple[av.video.stream.VideoStream, list[av.VideoFrame]]:
    with av.open(str(path)) as movie:
        stream = movie.streams.video[0]
        return stream, list(movie.decode(stream))


def made(path, frames, size=(640, 360), **words):
    with review.WipeMovie(path, size=size, count=len(frames), **words) as movie:
        for number, plate, result in frames:
            movie.add(number, plate, result)
    return decoded(path)


COLOURS = [(230, 40, 40), (40, 200, 60), (30, 60, 220), (128, 128, 128), (255, 255, 255), (0, 0, 0)]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_comes_back_as_itself_by_the_tags_that_the_file_carries(tmp_path, colour):
    size = (640, 360)
    stream, frames = made(tmp_path / "a.mp4", [(1, flat(colour, size), flat(colour, size))])
    context = stream.codec_context
    assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
    assert context.color_range == 1  # limited
    shown = as_rgb(frames[0])[20:300, 20:280].mean(axis=(0, 1)) * 255.0
    np.testing.assert_allclose(shown, colour, atol=2.0)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(25)])
def test_every_frame_is_there_once_in_order_and_lasts_as_long(tmp_path, rate):
    size = (640, 360)
    levels = list(range(20, 240, 10))
    frames = [
        (1001 + i, flat((v, v, v), size), flat((v, v, v), size)) for i, v in enumerate(levels)
    ]
    stream, shown = made(tmp_path / "a.mp4", frames, rate=rate)
    assert stream.average_rate == rate
    assert stream.frames == len(levels)
    times = [frame.pts * frame.time_base for frame in shown]
    assert times == [Fraction(i) / rate for i in range(len(levels))]
    found = [as_rgb(frame)[100:200, 4:60].mean() * 255.0 for frame in shown]
    np.testing.assert_allclose(found, levels, atol=2.0)


def test_the_line_goes_from_the_plate_to_the_result_and_back(tmp_path):
    size, count = (640, 360), 96
    red, blue = flat((200, 20, 20), size), flat((20, 20, 200), size)
    _, shown = made(tmp_path / "a.mp4", [(i, red, blue) for i in range(count)])
    share = [(as_rgb(frame)[10:350, :640, 2] > 0.4).mean() for frame in shown]
    assert share[0] == 0.0
    assert max(share) == pytest.approx(1.0, abs=0.01)
    top = int(np.argmax(share))
    assert 30 < top < 66
    assert np.all(np.diff(share[: top + 1]) >= -0.005)
    assert np.all(np.diff(share[top:]) <= 0.005)


def test_a_frame_without_a_result_keeps_its_place_and_says_so(tmp_path):
    size = (640, 360)
    white = flat((255, 255, 255), size)
    frames = [(1, white, white), (2, white, None), (3, white, white)]
    _, shown = made(tmp_path / "a.mp4", frames)
    assert len(shown) == 3
    right = as_rgb(shown[1])[:360, 330:640]
    assert np.median(right) < 0.2
    assert right.max() > 0.4  # the words


def test_words_are_on_every_frame_and_the_number_changes(tmp_path):
    size = (640, 360)
    grey = flat((90, 90, 90), size)
    _, shown = made(tmp_path / "a.mp4", [(1008, grey, grey), (1009, grey, grey)], caption="shot")
    strips = [as_rgb(frame)[360:] for frame in shown]
    assert all(strip.max() > 0.7 for strip in strips)
    assert np.abs(strips[0] - strips[1]).max() > 0.3


@pytest.mark.parametrize(
    ("window", "aspect", "size"),
    [
        (Window(0, 0, 960, 540), 1.0, (960, 540)),
        (Window(0, 0, 121, 91), 1.0, (120, 92)),
        (Window(0, 0, 4096, 2160), 1.0, (1920, 1012)),
        (Window(0, 0, 1828, 1556), 2.0, (1920, 818)),
        (Window(-7, -9, 1, 2), 1.0, (8, 12)),
    ],
)
def test_a_movie_is_even_not_enlarged_and_its_pixels_are_square(window, aspect, size):
    assert review.movie_size(window, aspect) == size


def test_a_movie_of_a_tiny_odd_plate_can_be_read(tmp_path):
    size = review.movie_size(Window(0, 0, 31, 33), 1.0)
    stream, shown = made(tmp_path / "a.mp4", [(1, flat((99, 99, 99), size), None)], size=size)
    assert stream.codec_context.width % 2 == stream.codec_context.height % 2 == 0
    assert len(shown) == 1


def test_overscan_is_cut_and_what_a_data_window_lacks_is_black():
    plate = a_plate(seed=1)
    look = review.Look("auto", 0.0)
    whole = on_canvas(plate, look, (120, 90))
    shifted = replace(plate, display_window=Window(60, 0, 180, 90))
    moved = on_canvas(shifted, look, (120, 90))
    np.testing.assert_array_equal(moved[:, :60], whole[:, 60:])
    assert not moved[:, 60:].any()


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (Attribute.of(Fraction(24000, 1001)), Fraction(24000, 1001)),
        (Attribute("rational", bytes(8)), Fraction(24)),
        (25.0, Fraction(25)),
        ("fast", Fraction(24)),
        (1e9, Fraction(24)),
        (float("nan"), Fraction(24)),
    ],
)
def test_the_rate_is_the_plates_where_it_is_one(given, rate):
    assert review.frame_rate({"framesPerSecond": given}) == rate
    assert review.frame_rate({}) == 24


def test_a_movie_that_was_not_finished_is_not_there(tmp_path):
    size = (640, 360)

    def broken() -> None:
        with review.WipeMovie(tmp_path / "a.mp4", size=size, count=2) as movie:
            movie.add(1, flat((9, 9, 9), size), None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(tmp_path.iterdir()) == []


def test_a_movie_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.mp4"):
        made(tmp_path / "file" / "a.mp4", [(1, None, None)])
