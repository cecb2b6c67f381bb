"""Cuts the goldens of networks for rigid objects down to small files of this folder: `trim_rigid.py FOLDER NAME...`."""

import json
import sys
from pathlib import Path

import numpy as np
from trim import POSE_STEP, write


def trim_rigid(source: Path, name: str) -> None:
    """Write the sampled tensors, inputs and results of the last case, with its weights' names, shapes and gains."""
    with np.load(source / f"{name}.npz") as file:
        full = dict(file)
    meta, state = json.loads(bytes(full["meta"])), json.loads(bytes(full["state"]))
    tag, case = list(meta["cases"].items())[-1]
    args = {
        "tag": tag,
        "shape": case.get("input_shape"),
        "raw": {key: [spec[part] for part in ("shape", "std", "k")] for key, spec in case["raw"].items()},
        "state": [[key, shape, None if kind == "ov" else gain] for key, shape, kind, gain in state],
    }
    arrays = {f"{tag}/{key}": full[f"{tag}/raw/{key}"][::POSE_STEP] for key in case["raw"]}
    outs = {key: f"{tag}/{key}" for key in case["raw"]}
    for key in case["out"]:
        outs[key] = f"{tag}/out/{key}"
        arrays[outs[key]] = full[outs[key]]
    ins = {key[3:]: f"weights/{key[3:]}" for key in full if key.startswith("ov/")}
    arrays |= {place: full[f"ov/{key}"] for key, place in ins.items()}
    for key in full:
        if key.startswith(f"{tag}/in/"):
            ins[key.removeprefix(f"{tag}/in/")] = key
            arrays[key] = full[key]
    write(name, [{"name": f"{name}_{tag}", "args": args, "in": ins, "out": outs}], arrays)


if __name__ == "__main__":
    for chosen in sys.argv[2:]:
        trim_rigid(Path(sys.argv[1]), chosen)
