"""Cuts the golden of a network for pairs down to the small file of this folder: `trim_pairs.py FOLDER dasnet_r50`."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from trim import POSE_STEP, write

MAPS = ("distance_embedding", "change")


def trim_pairs(source: Path, name: str) -> None:
    """Write each case's sampled tensors and final maps, with its weights' names, shapes and gains."""
    with np.load(source / f"{name}.npz") as file:
        full = dict(file)
    meta, state = json.loads(bytes(full["meta"])), json.loads(bytes(full["state"]))
    arrays: dict[str, Any] = {}
    cases: list[dict[str, Any]] = []
    for tag, case in list(meta["cases"].items())[1:]:  # an oblong one; the square one says no more
        kept = [key for key in case["raw"] if key.startswith(("backbone", "embedding"))]
        raw = {key: [case["raw"][key][part] for part in ("shape", "std", "k")] for key in kept}
        args = {"tag": tag, "shape": case["input_shape"], "raw": raw, "samples": case["out"]["change"]["k"]}
        args["state"] = [[key, shape, None if kind == "ov" else gain] for key, shape, kind, gain in state]
        outs = {key: f"{tag}/{key}" for key in (*kept, *MAPS)}
        arrays |= {outs[key]: full[f"{tag}/raw/{key}"][::POSE_STEP] for key in kept}
        arrays |= {outs[key]: full[f"{tag}/out/{key}"] for key in MAPS}
        weights = {key[3:]: f"weights/{key[3:]}" for key in full if key.startswith("ov/")}
        arrays |= {place: full[f"ov/{key}"] for key, place in weights.items()}
        cases.append({"name": f"{name}_{tag}", "args": args, "in": weights, "out": outs})
    write(name, cases, arrays)


if __name__ == "__main__":
    trim_pairs(Path(sys.argv[1]), sys.argv[2])
