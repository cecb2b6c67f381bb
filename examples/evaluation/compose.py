"""Render 3-D scenes of codes and markers, and write the box of each symbol.

    node symbols.mjs SYMBOLS && python compose.py SYMBOLS PHOTOGRAPHS OUT

Blender's path tracer (`pip install bpy zxing-cpp opencv-python-headless pillow`) renders printed slips, labels,
cartons, cans and posters under measured environment light, through a lens with depth of field and distortion. It
shares no code with the generator of the training data.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from prints import label_sheet, poster, slip, text_sheet
from stage import Stage

LABELS = ("qr_code", "barcode", "aruco", "chessboard")


def tabletop(stage, rng, symbols, photographs):
    texture, color = [("wood", (0.5, 0.3, 0.16)), ("stone", (0.6, 0.6, 0.58)), ("wood", (0.75, 0.6, 0.42))][
        rng.integers(3)
    ]
    stage.floor(texture, color)
    spots = [(x, y) for x in (-0.24, 0.0, 0.24) for y in (-0.13, 0.15)]
    for x, y in rng.permutation(spots)[: rng.integers(3, 6)]:
        kind = rng.choice([*LABELS, "label", "text", "prop"], p=[0.22, 0.18, 0.16, 0.14, 0.14, 0.06, 0.1])
        if kind == "prop":
            stage.prop((x, y), 0.05)
            continue
        turn = (rng.normal(0, 0.05), rng.normal(0, 0.05), rng.normal(0, 0.5))
        drawn = {"label": lambda: label_sheet(rng, symbols), "text": lambda: text_sheet(rng)}.get(
            kind, lambda kind=kind: slip(rng, kind, symbols)
        )()
        tall = drawn[0].shape[0] / drawn[0].shape[1]
        width = rng.uniform(0.14, 0.2) / max(tall, 0.8)
        stage.sheet(drawn, width, (x, y, 0.02), turn, bend=rng.choice([0, 0.15, 0.3]))
    angle, rise = rng.normal(-1.57, 0.35), rng.uniform(0.7, 1.35)
    far = rng.uniform(0.75, 1.05)
    eye = (far * math.cos(rise) * math.cos(angle), far * math.cos(rise) * math.sin(angle), far * math.sin(rise))
    stage.look(eye, (0, 0.01, 0.02), rng.normal(0, 0.1), rng.choice([2.8, 5.6, 11]))


def cartons(stage, rng, symbols, photographs):
    stage.floor("stone", (0.4, 0.4, 0.42))
    for index in range(3):
        size = (rng.uniform(0.3, 0.4), rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.42))
        at, yaw = (-0.46 + 0.46 * index, rng.uniform(-0.05, 0.15)), rng.normal(0, 0.25)
        stage.box(size, at, yaw, color=(0.5 + rng.uniform(-0.1, 0.1), 0.36, 0.2))
        wanted = [("barcode", "qr_code"), ("barcode",), ("qr_code",)][rng.integers(3)]
        drawn = label_sheet(rng, symbols, wanted)
        width = min(0.85 * size[0], 0.85 * size[2] * drawn[0].shape[1] / drawn[0].shape[0])
        stage.on_box(drawn, width, size, at, yaw, spin=rng.normal(0, 0.05))
        top = slip(rng, rng.choice(LABELS), symbols)
        stage.on_box(top, 0.12, size, at, yaw, "top", spin=rng.normal(0, 0.6))
    stage.look((rng.uniform(-0.5, 0.5), -1.5, rng.uniform(0.75, 1.05)), (0, 0, 0.2), rng.normal(0, 0.05), 5.6)


def wall(stage, rng, symbols, photographs):
    stage.floor("brick" if rng.random() < 0.5 else "stone", tuple(rng.uniform(0.35, 0.8, 3)), turn=(math.pi / 2, 0, 0))
    drawn = poster(rng, photographs[rng.integers(len(photographs))], symbols)
    stage.sheet(drawn, 0.62, (-0.28, -0.004, 0.1), (math.pi / 2, rng.normal(0, 0.02), 0))
    for x, z, kind in (
        (0.28, 0.22, "aruco"),
        (0.28, -0.14, "chessboard"),
        (0.56, 0.2, "qr_code"),
        (0.56, -0.1, "aruco"),
    ):
        stage.sheet(slip(rng, kind, symbols), 0.18, (x, -0.005, z), (math.pi / 2, rng.normal(0, 0.06), 0))
    stage.look((rng.uniform(-1.1, 1.1), -1.25, rng.uniform(-0.1, 0.5)), (0.15, 0, 0.05), rng.normal(0, 0.05), 4)


def cans(stage, rng, symbols, photographs):
    stage.floor("wood", (0.62, 0.45, 0.28))
    for index in range(4):
        kind = ("barcode", "qr_code", "barcode", "aruco")[index]
        at = (-0.27 + 0.18 * index, rng.uniform(-0.04, 0.08))
        tint = tuple(rng.uniform(0.1, 0.8, 3))
        stage.can(slip(rng, kind, symbols), 0.065, rng.uniform(0.16, 0.22), at, rng.normal(0, 0.25), tint)
    for _ in range(2):
        stage.prop((rng.uniform(-0.4, 0.4), rng.uniform(0.25, 0.4)), 0.06)
    stage.look((rng.uniform(-0.2, 0.2), -0.9, rng.uniform(0.2, 0.45)), (0, 0, 0.08), rng.normal(0, 0.06), 4)


def nothing(stage, rng, symbols, photographs):
    stage.floor("wood", tuple(rng.uniform(0.2, 0.6, 3)))
    stage.sheet(text_sheet(rng), 0.22, (-0.16, 0, 0.01), (0, 0, 0.2), bend=0.4)
    stage.sheet(text_sheet(rng, stripes=True), 0.22, (0.14, 0.02, 0.01), (0, 0, -0.5), bend=0.3)
    for _ in range(3):
        stage.prop((rng.uniform(-0.35, 0.35), rng.uniform(0.2, 0.35)), 0.06)
    stage.look((0.1, -0.6, 0.7), (0, 0.05, 0.02), 0.05, 4)


def desk(stage, rng, symbols, photographs):
    """An example: a packing table."""
    stage.floor("wood", (0.42, 0.25, 0.13))
    big, small = (0.36, 0.26, 0.24), (0.2, 0.18, 0.13)
    stage.box(big, (-0.2, 0.16), 0.25)
    stage.on_box(label_sheet(rng, symbols), 0.2, big, (-0.2, 0.16), 0.25, shift=(0.04, 0))
    stage.on_box(slip(rng, "aruco", symbols), 0.1, big, (-0.2, 0.16), 0.25, "top", (-0.08, 0.0), 0.2)
    stage.on_box(slip(rng, "barcode", symbols), 0.15, big, (-0.2, 0.16), 0.25, "top", (0.08, -0.02), -0.2)
    stage.box(small, (0.2, 0.12), -0.3, (0.75, 0.72, 0.66))
    stage.on_box(slip(rng, "qr_code", symbols), 0.1, small, (0.2, 0.12), -0.3)
    stage.on_box(slip(rng, "barcode", symbols), 0.14, small, (0.2, 0.12), -0.3, "top")
    stage.can(slip(rng, "barcode", symbols), 0.045, 0.13, (0.4, 0.0), 0.1, (0.75, 0.12, 0.08))
    stage.sheet(slip(rng, "chessboard", symbols), 0.2, (0.1, -0.14, 0.012), (0, 0, 0.3), bend=0.5)
    stage.prop((0.42, 0.25), 0.05)
    stage.look((0.18, -0.95, 0.72), (0.06, 0.06, 0.07), 0.02, 5.6, 42)


def workshop(stage, rng, symbols, photographs):
    """Example: a calibration corner with a robot's cubes."""
    stage.floor("stone", (0.5, 0.52, 0.55))
    stage.floor("brick", (0.75, 0.72, 0.68), turn=(math.pi / 2, 0, 0), at=(0, 0.5, 0))
    stage.sheet(slip(rng, "chessboard", symbols), 0.36, (-0.3, 0.3, 0.2), (math.pi / 2 - 0.25, 0, 0.25))
    for x, y, yaw, side in ((0.0, 0.05, 0.5, 0.1), (0.2, 0.16, -0.25, 0.13), (-0.2, -0.08, 0.15, 0.08)):
        size = (side, side, side)
        stage.box(size, (x, y), yaw, (0.85, 0.85, 0.82))
        for face in ("front", "top", "right"):
            stage.on_box(slip(rng, "aruco", symbols, 0.8), 0.92 * side, size, (x, y), yaw, face)
    stage.sheet(slip(rng, "qr_code", symbols), 0.18, (0.3, 0.49, 0.3), (math.pi / 2, 0, 0))
    stage.sheet(slip(rng, "qr_code", symbols), 0.12, (0.28, -0.08, 0.01), (0, 0, -0.4), bend=0.3)
    stage.prop((0.45, 0.2), 0.06)
    stage.look((0.28, -0.95, 0.55), (0.0, 0.1, 0.12), -0.02, 5.6)


def shelf(stage, rng, symbols, photographs):
    """Example: tins and packets."""
    stage.floor("wood", (0.7, 0.52, 0.33))
    tints = ((0.1, 0.35, 0.25), (0.75, 0.55, 0.1), (0.6, 0.1, 0.1), (0.12, 0.2, 0.45))
    for index, tint in enumerate(tints):
        kind = ("barcode", "qr_code", "barcode", "barcode")[index]
        stage.can(
            slip(rng, kind, symbols), 0.06, (0.2, 0.15, 0.18, 0.14)[index], (-0.3 + 0.17 * index, 0.03), 0.1, tint
        )
    packet = (0.16, 0.08, 0.24)
    stage.box(packet, (0.4, 0.08), -0.2, (0.15, 0.4, 0.5))
    stage.on_box(label_sheet(rng, symbols), 0.14, packet, (0.4, 0.08), -0.2)
    stage.sheet(slip(rng, "aruco", symbols), 0.1, (-0.2, -0.16, 0.006), (0, 0, 0.2))
    stage.sheet(slip(rng, "aruco", symbols), 0.1, (0.2, -0.15, 0.006), (0, 0, -0.3))
    stage.look((0.1, -0.95, 0.5), (0.03, 0, 0.07), 0.0, 4)


def gallery(stage, rng, symbols, photographs):
    """Example: posters in a corridor."""
    stage.floor("stone", (0.8, 0.78, 0.72), turn=(math.pi / 2, 0, 0))
    for index, photograph in enumerate(photographs[::2]):
        drawn = poster(rng, photograph, symbols)
        stage.sheet(drawn, 0.56, (-0.42 + 0.68 * index, -0.01, 0.14), (math.pi / 2, 0, 0))
    stage.sheet(slip(rng, "barcode", symbols), 0.26, (-0.3, -0.005, -0.2), (math.pi / 2, 0.03, 0))
    stage.sheet(slip(rng, "aruco", symbols), 0.17, (0.0, -0.005, -0.2), (math.pi / 2, -0.04, 0))
    stage.sheet(slip(rng, "chessboard", symbols), 0.26, (0.32, -0.005, -0.22), (math.pi / 2, 0.02, 0))
    stage.look((0.7, -1.5, 0.15), (0.0, 0, 0.01), 0.01, 4)


TEST = (
    cartons,
    tabletop,
    wall,
    cans,
    tabletop,
    cartons,
    tabletop,
    wall,
    tabletop,
    cans,
    tabletop,
    cartons,
    nothing,
    nothing,
)
EXAMPLES = (desk, workshop, shelf, gallery)
SKIES = ("interior", "courtyard", "studio", "city", "forest", "sunrise", "sunset", "interior")


def compose(build, number, symbols, photographs, out, size):
    for attempt in range(60):
        rng = np.random.default_rng((number, attempt))
        stage = Stage(rng, size)
        build(stage, rng, symbols, photographs)
        bulge = float(rng.uniform(-0.1, 0.04))
        found, clean = stage.annotations(bulge)
        if clean:
            break
    else:
        print("no clean arrangement for", build.__name__, number, flush=True)
        return []
    stage.light(SKIES[number % len(SKIES)], float(rng.uniform(0, 6.28)), 0.55, float(rng.uniform(4, 14)))
    stage.render(out, bulge)
    print(out.name, attempt, [label for label, *_ in found], flush=True)
    return found


def main():
    symbols, photographs, out = map(Path, sys.argv[1:4])
    photographs = sorted(photographs.glob("*.jpg"))
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(build, f"{build.__name__}.jpg", (960, 640)) for build in EXAMPLES]
    jobs += [(build, f"rendered_{index:02}_{build.__name__}.jpg", (640, 480)) for index, build in enumerate(TEST)]
    boxes = {}
    for number, (build, name, size) in enumerate(jobs):
        if len(sys.argv) > 4 and not any(part in name for part in sys.argv[4:]):
            continue
        boxes[name] = compose(build, number, symbols, photographs, out / name, size)
        (out / "boxes.json").write_text(json.dumps(boxes, indent=1) + "\n")


if __name__ == "__main__":
    main()
