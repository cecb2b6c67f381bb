"""One export from name to file, and the files that must not come to be."""

import numpy as np
import onnx
import pytest
import torch

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import METADATA_KEY, Card
from detforge.deploy.forms import Graph
from detforge.deploy.system.errors import DetforgeError, ExportError, InputError, UsageError
from detforge.export import api, export, source
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find

pytestmark = pytest.mark.slow

SMALL = {"checkpoint": "random", "imgsz": (64, 96), "batch": 1}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The default export of the tiny model: fp32, every axis free, verified."""
    return export("gfl_test", checkpoint="random", output=tmp_path_factory.mktemp("export") / "deep" / "m.onnx")


def test_card_travels_in_the_file(report):
    session = OrtBackend(str(report.path))
    assert Card.from_json(session.metadata[METADATA_KEY]) == report.card
    provenance = report.card.provenance
    assert (provenance.checkpoint, provenance.precision) == ("random", "fp32")
    assert provenance.parity == report.comparison.parity
    assert provenance.parity.max_abs < 1e-2
    assert provenance.parity.cosine > 0.99999
    assert {"torch", "onnx", "detforge"} <= provenance.versions.keys()


def test_form_of_the_file(report):
    model = onnx.load(report.path)
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (10, 20, "detforge")
    axes = {
        port.name: [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim]
        for port in [*model.graph.input, *model.graph.output]
    }
    assert axes == {
        "image": ["batch", 3, "height", "width"],
        "boxes": ["batch", "points", 4],
        "scores": ["batch", "points", 80],
    }
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert [prop.key for prop in model.metadata_props] == [METADATA_KEY]
    content = report.path.read_bytes()
    for trace in (b"site-packages", b".py", b"/work", b"/home", b"/tmp", b"/root", b"stack_trace", b'File "'):
        assert trace not in content


@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (3, 3, 160, 128), (2, 3, 32, 32), (1, 3, 33, 47)])
def test_equals_pytorch_at_any_shape(report, shape):
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = random_model(find("gfl_test"))(image)
    got = OrtBackend(str(report.path)).run({"image": image.numpy()})
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name].dtype == np.float32
        assert np.allclose(got[name], value.numpy(), rtol=1e-4, atol=1e-3)


def test_two_sizes_and_two_batches_are_compared(report):
    runs = report.comparison.runs
    assert len({shape[0] for shape in runs}) == 2
    assert len({shape[2:] for shape in runs}) == 2


def test_graph_suppression(tmp_path):
    report = export("gfl_test", **SMALL, nms="graph", max_det=7, output=tmp_path / "m.onnx")
    assert report.card.form == Graph()
    assert report.card.ops == ("dfl_boxes", "nms")
    assert report.card.suppress.max_det == 7
    ports = {port.name: port.shape for port in OrtBackend(str(report.path)).outputs}
    assert ports == {"boxes": (1, 7, 4), "scores": (1, 7), "labels": (1, 7), "num": (1,)}


def test_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ExportError("no")

    monkeypatch.setattr(api, "to_onnx", fail)
    (tmp_path / "m.onnx").write_text("an older export")
    with pytest.raises(ExportError):
        export("gfl_test", **SMALL, output=tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "an older export"


def test_unwritable_folder_is_found_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "to_onnx", None)
    (tmp_path / "file").touch()
    with pytest.raises(DetforgeError, match="cannot be written"):
        export("gfl_test", **SMALL, output=tmp_path / "file" / "m.onnx")


def test_decoder_and_network_must_match(tmp_path, monkeypatch):
    boxes = onnx.helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, [1, 4])
    graph = onnx.helper.make_graph([], "graph", [], [boxes])
    monkeypatch.setattr(api, "to_onnx", lambda *_, **__: (onnx.helper.make_model(graph), ()))
    with pytest.raises(ExportError, match="scores"):
        export("gfl_test", **SMALL, output=tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "wrong",
    [
        {"imgsz": (16, 64)},
        {"imgsz": (64, 8224)},
        {"imgsz": (650, 640)},
        {"batch": 0},
        {"max_det": 0},
        {"precision": "fp8"},
        {"nms": "soft"},
        {"atol": float("nan")},
        {"rtol": -1.0},
        {"checkpoint": None},
    ],
)
def test_values_out_of_range(wrong, tmp_path):
    with pytest.raises(UsageError):
        export("gfl_test", **{"checkpoint": "random", "output": tmp_path / "m.onnx", **wrong})
    assert not list(tmp_path.iterdir())


def test_published_checkpoint_is_fetched(monkeypatch, tmp_path):
    asked = []

    def fetch(url):
        asked.append(url)
        return tmp_path / "missing.pth"

    monkeypatch.setattr(source, "fetch", fetch)
    with pytest.raises(InputError):
        export("gfl", output=tmp_path / "m.onnx")
    assert asked == [find("gfl_r50").published.url]


def test_checkpoint_file(tmp_path):
    torch.manual_seed(3)
    variant = find("gfl_test")
    state = variant.build(2).state_dict()
    torch.save({"state_dict": state, "meta": {"CLASSES": ("cat", "dog")}}, tmp_path / "c.pth")
    report = export(
        "gfl_test", checkpoint=str(tmp_path / "c.pth"), imgsz=(64, 64), verify="off", output=tmp_path / "m.onnx"
    )
    assert report.card.labels == ("cat", "dog")
    assert report.card.provenance.checkpoint == "c.pth"
    assert report.card.provenance.parity is None
    assert report.comparison is None
