"""Chooses the model file that a command runs."""

import difflib
from pathlib import Path

from .card import METADATA_KEY, Card, parse_card
from .model_file.metadata import read_metadata
from .system.errors import DetforgeError, InputError, UsageError

BUNDLED = Path(__file__).parent / "bundled" / "gfl_markers.onnx"
BUNDLED_POSE = BUNDLED.with_name("corners_markers.onnx")
EXPORTS = Path("exports")


def choose_model(name: str | None) -> Path:
    """The model file for `name`, which is a path or the name of an exported variant.

    A variant's newest export is chosen. Without a name it is the newest detector in exports/ that has trained weights,
    or the bundled one. Raises UsageError if no export has that name.
    """
    exported = _newest_first()
    if name is None:
        return next((file for file in exported if _is_default(file)), BUNDLED)
    if not name:
        raise UsageError("the model is an empty string; give a file, or the name of an exported variant")
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{name}: a folder, not a model file; give the .onnx file in it")
    if path.suffix or len(path.parts) != 1 or path.is_file():
        return path  # the backend reports errors
    # An alias (gfl) matches any of its variants (gfl_r50), but exact names come first.
    known = [*exported, BUNDLED, BUNDLED_POSE]
    for wanted in (f"{name}.onnx", f"{name}-*.onnx"), (f"{name}_*.onnx",):
        if found := [file for file in known if any(file.match(pattern) for pattern in wanted)]:
            return found[0]
    nearest = difflib.get_close_matches(name, sorted({file.stem for file in known}), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(nearest)}" if nearest else ""
    raise UsageError(f"no export of '{name}' in {EXPORTS}/{hint}; run detexport --model {name}, or give a file")


def read_file_card(path: Path) -> Card:
    """The Card of an ONNX file. Raises InputError if it cannot be read, IncompatibleError if it holds no Card."""
    return parse_card(read_metadata(path).get(METADATA_KEY), path)


def _newest_first() -> list[Path]:
    """The exports that passed their verification, the newest first."""
    files = [file for file in EXPORTS.glob("*.onnx") if not file.name.endswith(".rejected.onnx")]
    return sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)


def _is_default(path: Path) -> bool:
    """Whether a file may be chosen without a name: a detector of whole images with trained weights."""
    try:
        card = read_file_card(path)
    except DetforgeError:
        return False
    form, weights = card.form, card.provenance.checkpoint
    return form.runs_on == "images" and not form.has_keypoints and weights != "random"
