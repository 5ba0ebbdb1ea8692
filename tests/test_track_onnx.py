"""Networks that a user brings: graphs of the four signatures, generated here, run for real."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from semblance.cli import main
from semblance.errors import TrackError
from semblance.track.head import LANDMARKS
from semblance.track.onnx import MAP_106, OnnxProvider
from semblance.track.provider import open_provider

FRONT = LANDMARKS[:, :2] * [1.0, -1.0]
CODES = TensorProto.UINT8
SHAPE = (300, 400)  # of the pictures, and so 400 pixels are the detectors' 320
CENTRE, SCALE = np.array([180.0, 140.0]), 8.0  # of the face in them, pixels for a centimetre
FACE = FRONT * SCALE + CENTRE
FIVE = np.stack([FACE[36:42].mean(0), FACE[42:48].mean(0), FACE[30], FACE[48], FACE[54]])
BOX = np.concatenate([FACE.min(0) - (0, 30), FACE.max(0)])


def save(path, size, outputs, nodes=(), *, kind=TensorProto.FLOAT, inputs=1):
    """Write a graph; an array among the outputs is a constant, to which nothing of the input adds.

    An output that is a list is a shape, made by the nodes.
    """
    made, constants, infos = list(nodes), [numpy_helper.from_array(np.float32(0.0), "zero")], []
    made += [
        helper.make_node("ReduceMean", ["picture"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    for name, value in outputs.items():
        if isinstance(value, np.ndarray):
            constants.append(numpy_helper.from_array(value.astype(np.float32), f"{name}_value"))
            made.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
        shape = list(value.shape) if isinstance(value, np.ndarray) else value
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    if kind is not TensorProto.FLOAT:
        made.insert(0, helper.make_node("Cast", ["codes"], ["picture"], to=TensorProto.FLOAT))
    names = ["picture" if kind is TensorProto.FLOAT else "codes", "other"][:inputs]
    given = [helper.make_tensor_value_info(each, kind, [1, 3, *size]) for each in names]
    graph = helper.make_graph(made, "g", given, infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def yunet(folder, side=320):
    scale = side / SHAPE[1]
    outputs = {}
    for stride in (8, 16, 32):
        across = side // stride
        cells = across * across
        cls, obj = np.zeros((1, cells, 1)), np.zeros((1, cells, 1))
        bbox, kps = np.zeros((1, cells, 4)), np.zeros((1, cells, 10))
        if stride == 32:
            middle, extent = (BOX[:2] + BOX[2:]) / 2 * scale, (BOX[2:] - BOX[:2]) * scale
            column, row = (middle // stride).astype(int)
            at, cell = row * across + column, np.array([column, row])
            cls[0, at], obj[0, at] = 0.9, 0.81
            bbox[0, at] = [*(middle / stride - cell), *np.log(extent / stride)]
            kps[0, at] = (FIVE * scale / stride - cell).ravel()
        outputs |= {f"cls_{stride}": cls, f"obj_{stride}": obj}
        outputs |= {f"bbox_{stride}": bbox, f"kps_{stride}": kps}
    save(folder / "detector.onnx", (side, side), outputs)


def scrfd(folder, side=320, *, points=True, flat=True):
    scale = side / SHAPE[1]
    scores, boxes, keys = [], [], []
    for stride in (8, 16, 32):
        across = side // stride
        count = 2 * across * across
        score, box, five = np.zeros((count, 1)), np.zeros((count, 4)), np.zeros((count, 10))
        if stride == 16:
            anchor = np.array([9, 7]) * stride
            for at in (2 * (7 * across + 9), 2 * (7 * across + 9) + 1):  # both anchors of the cell
                score[at] = 0.8 - 0.1 * (at % 2)
                low, high = anchor - BOX[:2] * scale, BOX[2:] * scale - anchor
                box[at] = np.concatenate([low, high]) / stride
                five[at] = ((FIVE * scale - anchor) / stride).ravel()
        scores.append(score), boxes.append(box), keys.append(five)
    values = scores + boxes + (keys if points else [])
    values = values if flat else [each[None] for each in values]
    save(folder / "detector.onnx", (side, side), {f"o{i}": v for i, v in enumerate(values)})


def two_d_106(folder):
    points = np.zeros((106, 2))
    # The frontal head in a crop of 1.5 times the face's box, 18 cm from chin to hairline.
    points[MAP_106] = (FRONT - (0.0, 2.1)) / (0.75 * 18.25)
    save(folder / "points.onnx", (192, 192), {"fc1": points.reshape(1, 212)})


def two_d_fan(folder, *, heat=True):
    """Half of the points lie where the picture is red, the others where it is green."""
    if not heat:
        circle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
        points = np.stack([32 + 16 * np.cos(circle), 32 + 16 * np.sin(circle), 0 * circle + 0.7], 1)
        save(folder / "points.onnx", (256, 256), {"landmarks": points[None]})
        return
    pool = {"kernel_shape": [4, 4], "strides": [4, 4]}
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["small"], **pool),
        helper.make_node("Split", ["small"], ["red", "green", "blue"], axis=1),
        helper.make_node("Concat", ["red"] * 34 + ["green"] * 34, ["heat"], axis=1),
    ]
    save(folder / "points.onnx", (256, 256), {"heat": [1, 68, 64, 64]}, nodes)


def picture():
    return np.full((*SHAPE, 3), 0.2, np.float32)


@pytest.mark.parametrize("detector", [yunet, scrfd, lambda f: scrfd(f, flat=False)])
def test_a_detector_says_where_and_the_landmark_network_is_shown_the_face(tmp_path, detector):
    detector(tmp_path)
    two_d_106(tmp_path)
    provider = open_provider("onnx", tmp_path)
    (face,) = provider.find(picture())
    # The network draws the frontal head, which then lies where the detector's points are.
    assert np.abs(face.landmarks - FACE).max() < 3.0
    score = (0.9 * 0.81) ** 0.5 if detector is yunet else 0.8
    assert face.score == pytest.approx(score, abs=0.02)
    assert provider.name in ("yunet+2d106", "scrfd+2d106")
    again = provider.refine(picture(), FACE.astype(np.float32))
    assert again is not None
    assert provider.refine(picture(), FACE.astype(np.float32) + 150.0) is None


def test_what_the_landmark_network_sees_comes_back_to_its_place_in_the_picture(tmp_path):
    yunet(tmp_path)
    two_d_fan(tmp_path)
    image = picture() * 0
    red, green = (150, 120), (211, 173)
    for index, (x, y) in enumerate((red, green)):
        image[y - 3 : y + 4, x - 3 : x + 4, index] = 1.0
    (face,) = open_provider("onnx", tmp_path).find(image)
    assert face.landmarks[:34] == pytest.approx(np.tile(np.add(red, 0.5), (34, 1)), abs=0.8)
    assert face.landmarks[34:] == pytest.approx(np.tile(np.add(green, 0.5), (34, 1)), abs=0.8)


def test_points_with_scores_are_read_as_well_as_heat_maps(tmp_path):
    scrfd(tmp_path)
    two_d_fan(tmp_path, heat=False)
    (face,) = open_provider("onnx", tmp_path).find(picture())
    extent = np.ptp(face.landmarks, axis=0)
    assert extent[0] == pytest.approx(extent[1], rel=0.01)
    assert face.score == pytest.approx(0.7, abs=0.01)
    assert np.linalg.norm(face.landmarks.mean(0) - (BOX[:2] + BOX[2:]) / 2) < 12.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: None, "no .onnx file"),
        (lambda f: (yunet(f), (f / "detector.onnx").rename(f / "a.onnx"), scrfd(f)),
         "two detectors: a.onnx and detector.onnx"),
        (lambda f: scrfd(f, points=False), "without the five points"),
        (lambda f: save(f / "x.onnx", (112, 112), {"e": np.zeros((1, 512))}), r"1, 512"),
        (lambda f: save(f / "x.onnx", (192, 192), {"p": np.zeros((1, 212))}, inputs=2), "2 inputs"),
        (lambda f: save(f / "x.onnx", (192, 192), {"p": np.zeros((1, 212))}, kind=CODES), "uint8"),
        (lambda f: save(f / "x.onnx", (128, 128), {"p": np.zeros((1, 212))}), "none of the known"),
        (lambda f: (f / "x.onnx").write_bytes(b"no graph"), "not a network"),
    ],
)  # fmt: skip
def test_a_graph_of_another_kind_is_refused_with_the_reason(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(TrackError, match=says):
        OnnxProvider(tmp_path)


def test_without_a_folder_the_command_line_says_what_is_missing(tmp_path, capsys):
    (tmp_path / "plate.1001.exr").write_bytes(b"")
    words = ["track", str(tmp_path / "plate.####.exr"), "-o", str(tmp_path / "a.json")]
    assert main([*words, "--provider", "onnx"]) == 1
    assert "--models-dir" in capsys.readouterr().err
