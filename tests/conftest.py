"""What several test files share.

Its presence puts tests/ on the path, so that every test can say `from golden.reader import load`.
"""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before torch is imported: sums have one order on every machine, and workers of pytest-xdist leave each other alone.
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import onnx
import pytest
from filelock import FileLock
from onnx import TensorProto, helper

from detforge.deploy.card import METADATA_KEY, Card, Provenance
from detforge.deploy.forms import Dense
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.plugins.core.abi import Library

hypothesis.settings.register_profile("steady", deadline=None)  # time is not what these tests are about
hypothesis.settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file share its fixtures, so they share a worker unless they have a group of their own."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_collection_finish() -> None:
    """Modules and tests live until the end, so the garbage collector need not look through them."""
    gc.freeze()


COLOR_CARD = Card(
    model="colors",
    inputs=(ImageInput(Resize((64, 64), pad=Pad((64, 64))), "bgr", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),),
    form=Dense(strides=(32,)),
    labels=("blue", "green", "red"),
    provenance=Provenance("none", None, "fp32"),
)
"""Of `write_color_model`: the mean of each channel in every 32 px cell is the score of that colour there."""


def write_color_model(path: Path, card: str | None = None) -> Path:
    """A network by hand: four cells of a 64 px canvas as boxes, their mean colours as scores."""
    cells = [0, 0, 32, 32, 32, 0, 64, 32, 0, 32, 32, 64, 32, 32, 64, 64]
    nodes = [
        helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Reshape", ["means", "flat"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("Shape", ["image"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "cell_shape"], ["box_shape"], axis=0),
        helper.make_node("Expand", ["cells", "box_shape"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 4, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4, 3]),
        ],
        [
            helper.make_tensor("cells", TensorProto.FLOAT, [1, 4, 4], cells),
            helper.make_tensor("flat", TensorProto.INT64, [3], [0, 3, 4]),
            helper.make_tensor("cell_shape", TensorProto.INT64, [2], [4, 4]),
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    if card is not None:
        helper.set_model_props(model, {METADATA_KEY: card})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def color_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of `write_color_model` with its Card."""
    return write_color_model(tmp_path_factory.mktemp("models") / "colors.onnx", COLOR_CARD.to_json())


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """TensorRT, TensorRT-RTX and a GPU, played by tests/standin; gives the folder of cached engines, an empty one."""
    played = Path(__file__).parent / "standin"
    monkeypatch.syspath_prepend(str(played))
    monkeypatch.setenv("PYTHONPATH", str(played))  # for the builder's process
    monkeypatch.setenv("STANDIN_GPU", "A10 86")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in ("inputs.image_batch", "engine.runtime"):  # our libraries need a real GPU, and the real TensorRT
        monkeypatch.setattr(f"detforge.deploy.{module}.library", lambda _: None)
    real = [name for name in sys.modules if name.split(".")[0] in _PLAYED]
    for name in real:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path / "cache" / "detforge" / "engines"
    for name in [name for name in sys.modules if name.split(".")[0] in _PLAYED]:
        del sys.modules[name]


_PLAYED = ("tensorrt", "tensorrt_rtx", "cuda")


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA kernels' own sources, built for a GPU that the CPU plays: once for all workers."""
    from emulator.build import KERNELS, build  # in the folder of the tests that use it

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "emulated"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        return folder / KERNELS if (folder / KERNELS).is_file() else build(folder)


@pytest.fixture(scope="session")
def emulated_gpu(emulated: Path) -> Library:
    """The same, opened."""
    return Library(emulated)
