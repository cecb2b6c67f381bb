"""Opens the model that the flags of detinfer ask for."""

import argparse
import sys
from typing import Any

from .. import loader
from ..backends.automatic import choose_backend
from ..backends.names import ENGINES
from ..backends.open import ready
from ..choose import BUNDLED, BUNDLED_POSE, choose_model
from ..options import Options
from ..pipelines.pipeline import Pipeline
from ..system.errors import IncompatibleError
from ..system.flags import read_flags


def open_model(arguments: argparse.Namespace) -> Pipeline:
    """The pipeline that the flags ask for."""
    path = choose_model(arguments.model)
    print(f"model: {path}", file=sys.stderr)
    if arguments.backend == "auto" and path.suffix == ".onnx":
        choice = choose_backend(str(path), arguments.device or "cpu")
        if choice.backend != "ort":
            print(f"backend: {choice.backend}, {choice.why}", file=sys.stderr)
    pose_models = [choose_model(name) for name in arguments.pose_model or ()]
    if path == BUNDLED and arguments.model is None and arguments.boxes is None:
        pose_models = pose_models or [BUNDLED_POSE]
    for pose_model in pose_models:
        print(f"pose model: {pose_model}", file=sys.stderr)
    refine = None if arguments.refine is None else choose_model(arguments.refine)
    options: dict[str, Any] = read_flags(Options, arguments).given()
    options |= {"backend": arguments.backend, "threads": arguments.threads}
    files: list[Any] = [path, refine, *pose_models]

    def opened(files: list[Any], **runtime: Any) -> Pipeline:
        path, refine, *poses = (file and str(file) for file in files)
        return loader.load(path, refine=refine, pose_model=poses, **runtime, **options)

    on_gpu = arguments.device not in (None, "cpu") or arguments.backend in ENGINES
    try:
        built = [file and ready(file, arguments.backend, arguments.device) for file in files]
        return opened(built, device=arguments.device)
    except IncompatibleError as error:
        if not arguments.allow_fallback or not on_gpu:
            raise
        options |= {"backend": "auto"}
        model = opened(files, device="cpu")  # a file at fault fails here again
        print(f"warning: {error}; running on the CPU", file=sys.stderr)
        return model
