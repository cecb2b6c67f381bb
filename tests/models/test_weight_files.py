"""Weights in files that are not PyTorch's: .npz, Paddle's .pdparams, Detectron2's .pkl and MXNet's .params."""

import base64
import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import load_variant, random_model, read_checkpoint
from detforge.models.zoo import find

VARIANT = find("gfl_test")
STATE = {key: value.numpy() for key, value in random_model(VARIANT).state_dict().items()}
ARRAYS = {
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.ones((2, 1), np.float16),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "whole": np.arange(3),
    "scalar": np.float64([2.5]).reshape(()),
    "empty": np.zeros((0, 4), np.float32),
}

PADDLE = (
    b"eNqVkU9Lw0AQxZOmpQZyUVAEETx4KAihLR4FA70ZCKKeDZtk6waaTdluLDkIufgnsLeOdz9Kv5lOEiKCRemwb5fMvh9vwhbd9/uO"
    b"VtcTDJQ5De0ljR+YBLXPs2Se22EqqJ1kMxkTIUgOyvIFDVO+kCILJaxA9WojqD6PGssKXO0ZJnoAr3ADA1d3O67xAqynepHM57SC"
    b"OtNzKN+ae0PpF+B53tUnVr25moSgnBxqWnGJozm4UAXqA7V2AK9VH4cNYrIA1mX9KpGZbZ6BH7vlxEIW+TXqpGHMgLc/+BdVpTZq"
    b"kpD6P+m7amYHGT+hhG8DWRX0SERMeEi3mfDotn6OTNDoLr0mgiRUUuHh4TiAL8t0Zc1iTonwh/bSHwI7+NEIqsax2guIDJnPU5GM"
    b"otZ3+qtdu882uEfAxhvaY8gy+wvEGM2y"
)
"""A file of `paddle.save` (2.6.2) with a linear layer and a batch norm, compressed."""

MXNET = (
    b"eNoTYmRAASxQ+uSvyT9BNBMUgwAzlEbV0mAPJByACIgbgHgBEB9wgOlnRNKPZhVQ3wF7ZHXo5oP12QDNdkJWxYimig2I2dFczwulE4vSrdKS48tT"
    b"M9MzSrhRBZMyE4uFYEKlFVZJefG5+WWZeenxuamJeRxIiotLUgsA3ugnng=="
)
"""A file of `mxnet.nd.save` (1.9.1), compressed."""


def refusal(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a usable checkpoint; ")
    assert "\n" not in message
    return message


def write(path: Path, arrays: dict[str, Any], protocol: int = 4) -> Path:
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:  # as `paddle.save` does, which adds the names of its own parameters
        names = {"StructuredToParameterName@@": {key: f"p_{i}" for i, key in enumerate(arrays)}}
        path.write_bytes(pickle.dumps(arrays | names, protocol))
    return path


@pytest.mark.parametrize(("name", "protocol"), [("a.npz", 0), ("a.pdparams", 2), ("a.pdparams", 4)])
def test_arrays_are_read_by_name(tmp_path: Path, name: str, protocol: int) -> None:
    found = read_checkpoint(write(tmp_path / name, ARRAYS, protocol))
    assert found.state.keys() == ARRAYS.keys()
    for key, value in ARRAYS.items():
        assert found.state[key].dtype == torch.from_numpy(value.copy()).dtype
        np.testing.assert_array_equal(found.state[key].numpy(), value)
    assert (found.labels, found.meta, found.layers) == (None, {}, [] if name == "a.npz" else ())


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_model_of_detectron2_is_read(tmp_path: Path, protocol: int) -> None:
    content = {"model": ARRAYS, "__author__": "Detectron2 Model Zoo"}
    (tmp_path / "model_final_280758.pkl").write_bytes(pickle.dumps(content, protocol))
    state = read_checkpoint(tmp_path / "model_final_280758.pkl").state
    assert state.keys() == ARRAYS.keys()
    np.testing.assert_array_equal(state["columns first"].numpy(), ARRAYS["columns first"])


def test_a_checkpoint_of_pytorch_is_read_under_any_name(tmp_path: Path) -> None:
    for is_zip in (True, False):
        torch.save({"model": {"w": torch.ones(2)}}, tmp_path / "a.pkl", _use_new_zipfile_serialization=is_zip)
        assert read_checkpoint(tmp_path / "a.pkl").state["w"].tolist() == [1, 1]


def test_models_of_caffe2_are_refused(tmp_path: Path) -> None:
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"blobs": {"conv1_w": ARRAYS["single"]}}, 2))
    assert "weights of Caffe2, whose names are not read" in refusal(tmp_path / "R-50.pkl")


def test_a_file_that_paddle_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdparams").write_bytes(zlib.decompress(base64.b64decode(PADDLE)))
    state = read_checkpoint(tmp_path / "a.pdparams").state
    assert list(state) == ["fc.weight", "fc.bias", "bn.weight", "bn.bias", "bn._mean", "bn._variance"]
    assert state["fc.weight"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert state["fc.bias"].tolist() == [0.5, 1.5, 2.5]
    assert state["bn._variance"].tolist() == [1, 1, 1]


def params(arrays: dict[str, np.ndarray], magic: int = 0xF993FAC9) -> bytes:
    """What MXNet writes: a list of arrays, then their names."""
    kinds = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}
    data = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for value in arrays.values():
        data += struct.pack("<I", magic) + (b"" if magic == 0xF993FAC8 else struct.pack("<i", 0))
        data += struct.pack(f"<I{value.ndim}q", value.ndim, *value.shape)
        data += struct.pack("<iii", 1, 0, kinds[value.dtype.name]) + value.tobytes()
    data += struct.pack("<Q", len(arrays))
    return data + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in arrays)


def test_a_file_that_mxnet_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.params").write_bytes(zlib.decompress(base64.b64decode(MXNET)))
    state = read_checkpoint(tmp_path / "a.params").state
    assert list(state) == ["fc_weight", "fc_bias", "bn_moving_mean", "step"]
    assert state["fc_weight"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (state["fc_bias"].tolist(), state["step"].tolist()) == ([0.5, 1.5], [7])
    assert (state["bn_moving_mean"].dtype, state["bn_moving_mean"].tolist()) == (torch.float16, [1, 2, 3])


@pytest.mark.parametrize("magic", [0xF993FAC8, 0xF993FAC9, 0xF993FACA])
def test_the_published_names_of_mxnet_load(tmp_path: Path, magic: int) -> None:
    variant = find("lffd_test")
    state = {key: value.numpy() for key, value in random_model(variant).state_dict().items()}
    names = {key: "arg:" + key.partition(".")[2].replace(".", "_") for key in state}
    (tmp_path / "a.params").write_bytes(params({names[key]: value for key, value in state.items()}, magic))
    model = load_variant(variant, read_checkpoint(tmp_path / "a.params"))
    assert all(np.array_equal(value.numpy(), state[key]) for key, value in model.state_dict().items())


def test_damaged_files_of_mxnet_are_refused(tmp_path: Path) -> None:
    whole = params({"arg:w": np.arange(6, dtype=np.float32).reshape(2, 3), "arg:b": np.zeros(2, np.int8)})
    for size in range(len(whole)):
        (tmp_path / "a.params").write_bytes(whole[:size])
        refusal(tmp_path / "a.params")
    shapes = {"<q": [-1, 2**62, 2**40, 7], "<i": [-1, 7, 99]}
    places = {"<q": 36, "<i": 60}  # the first side, and the kind of number
    for code, values in shapes.items():
        for value in values:
            data = bytearray(whole)
            struct.pack_into(code, data, places[code], value)
            (tmp_path / "a.params").write_bytes(data)
            refusal(tmp_path / "a.params")
    for place, message in ((16, "ends too early"), (28, "sparse"), (32, "impossible shape"), (24, "layout")):
        data = bytearray(whole)
        struct.pack_into("<i", data, place, 2**30)
        (tmp_path / "a.params").write_bytes(data)
        assert message in refusal(tmp_path / "a.params")
    (tmp_path / "a.params").write_bytes(whole[:-1] + b"\xff")
    assert "no text" in refusal(tmp_path / "a.params")


@pytest.mark.parametrize("name", ["a.npz", "a.pdparams"])
def test_weights_arrive_in_the_network(tmp_path: Path, name: str) -> None:
    model = load_variant(VARIANT, read_checkpoint(write(tmp_path / name, STATE)))
    assert all(torch.equal(value, torch.from_numpy(STATE[key])) for key, value in model.state_dict().items())


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_in_a_file_runs(tmp_path: Path, protocol: int) -> None:
    content = {"w": ARRAYS["single"], "x": Evil(tmp_path / "ran")}
    for name in ("a.pdparams", "a.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(content if name == "a.pdparams" else {"model": content}, protocol))
        assert list(read_checkpoint(tmp_path / name).state) == ["w"]
    np.savez(tmp_path / "a.npz", w=np.array([Evil(tmp_path / "ran")], object), allow_pickle=True)
    assert "damaged or not a .npz file" in refusal(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


class Lying:
    """Pickles as an array whose parts are given."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        create, arguments, _ = np.zeros(0).__reduce__()
        return create, arguments, self.state


@pytest.mark.parametrize(
    "state",
    [
        (1, (3,), np.dtype("f4"), False, b"\0" * 8),
        (1, (2**62,), np.dtype("f4"), False, b""),
        (1, (-1, 3), np.dtype("f4"), False, b"\0" * 8),
        (1, "ab", np.dtype("f4"), False, b"\0" * 8),
        (1, (2,), np.dtype("O"), False, b"\0" * 16),
        (1, (2,), "f4", False, b"\0" * 8),
        (1, (2,), np.dtype("f4"), False, [0, 0]),
        (1, (2,)),
    ],
)
def test_arrays_that_contradict_themselves_are_refused(tmp_path: Path, state: Any) -> None:
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps({"w": Lying(*state)}, 4))
    assert "an array" in refusal(tmp_path / "a.pdparams")


@pytest.mark.parametrize("name", ["a.npz", "a.pdparams", "a.pkl"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / name, ARRAYS).read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"text", pickle.dumps([1, 2]), pickle.dumps({"a": 1})):
        (tmp_path / name).write_bytes(data)
        refusal(tmp_path / name)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(10_000_000, np.uint8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", array.getvalue())
    assert "unpack to far more than the file holds" in refusal(tmp_path / "a.npz")
