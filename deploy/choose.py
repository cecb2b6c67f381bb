"""Which model file a command runs."""

import difflib
from pathlib import Path

from .card import METADATA_KEY, Card, parse_card
from .model_file.metadata import read_metadata
from .system.errors import DetforgeError, InputError, UsageError

BUNDLED = Path(__file__).parent / "bundled" / "gfl_markers.onnx"
BUNDLED_POSE = BUNDLED.with_name("corners_markers.onnx")
EXPORTS = Path("exports")


def choose_model(name: str | None) -> Path:
    """The model file that `name` means: a file, or the newest export of a variant.

    Without a name it is the newest detector in exports/ that has real weights, else the bundled one. UsageError when no
    export has that name.
    """
    exported = _newest_first()
    if name is None:
        return next((file for file in exported if _runs_by_itself(file)), BUNDLED)
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{name}: a folder, not a model file; give the .onnx file in it")
    if path.suffix or len(path.parts) != 1 or path.is_file():
        return path  # the backend says what is wrong with it
    # An alias (gfl) stands for any of its variants (gfl_r50), but a variant's own exports come first.
    known = [*exported, BUNDLED, BUNDLED_POSE]
    for wanted in (f"{name}.onnx", f"{name}-*.onnx"), (f"{name}_*.onnx",):
        if found := [file for file in known if any(file.match(pattern) for pattern in wanted)]:
            return found[0]
    nearest = difflib.get_close_matches(name, sorted({file.stem for file in known}), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(nearest)}" if nearest else ""
    raise UsageError(f"no export of '{name}' in {EXPORTS}/{hint}; run detexport --model {name}, or give a file")


def read_file_card(path: Path) -> Card:
    """The Card of an ONNX file; InputError when it cannot be read, IncompatibleError when it holds none."""
    return parse_card(read_metadata(path).get(METADATA_KEY), path)


def _newest_first() -> list[Path]:
    """Accepted exports; those that failed their verification are not chosen by name or age."""
    files = [file for file in EXPORTS.glob("*.onnx") if not file.name.endswith(".rejected.onnx")]
    return sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)


def _runs_by_itself(path: Path) -> bool:
    """Whether a file finds objects in any image: no pose network, and no smoke test with random weights."""
    try:
        card = read_file_card(path)
    except DetforgeError:
        return False
    form, weights = card.form, card.provenance.checkpoint
    return form.runs_on == "images" and not form.has_keypoints and weights != "random"
