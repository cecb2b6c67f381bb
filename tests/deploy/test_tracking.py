"""Identities in videos: against the exact truth of crossing markers, and by hand for each rule."""

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from oracles import iou

from detforge.deploy import load
from detforge.deploy.choose import BUNDLED, BUNDLED_POSE
from detforge.deploy.columns.keypoints import Keypoints
from detforge.deploy.columns.track_id import TrackId
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.detinfer.cli import main
from detforge.deploy.inputs.sources import Picture
from detforge.deploy.pipelines.smoothing import OneEuro
from detforge.deploy.pipelines.tracking import Tracking
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import UsageError
from detforge.train.markers import symbols

FRAMES, FPS, SIDE = 60, 30, 90
PATHS = [((60, 100), (580, 140)), ((580, 120), (60, 100)), ((80, 380), (560, 330)), ((560, 330), (80, 400))]
"""Where each marker starts and ends; the first two and the last two meet."""


def write_crossing_markers(path: Path) -> list[list[list[float]]]:
    """A video of four markers, and their boxes xyxy px in each frame, hidden or not."""
    drawn = [symbols.aruco(np.random.default_rng(seed)) for seed in (3, 5, 9)]
    drawn.insert(2, symbols.qr_code(np.random.default_rng(2)))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    truth: list[list[list[float]]] = []
    for t in np.linspace(0, 1, FRAMES):
        canvas = np.full((480, 640, 3), (110, 90, 100), np.uint8)
        truth.append([])
        for symbol, (start, end) in zip(drawn, PATHS, strict=True):
            height, width = symbol.image.shape[:2]
            scale = SIDE / max(height, width)
            x, y = (1 - t) * np.array(start) + t * np.array(end) - scale * np.array([width, height]) / 2
            place = np.array([[scale, 0, x], [0, scale, y]])
            warped = (cv2.warpAffine(each, place, (640, 480)) for each in (symbol.image, np.ones((height, width))))
            np.copyto(canvas, next(warped), where=next(warped)[..., None] > 0.5)
            corners = scale * symbol.mark.corners + (x, y)
            truth[-1].append([*corners.min(0).tolist(), *corners.max(0).tolist()])
        writer.write(canvas)
    writer.release()
    return truth


def idf1(truth: list[list[list[float]]], found: list[list[tuple[int, list[float]]]]) -> float:
    """IDF1 (Ristani et al., arXiv 1609.01775) at IoU 0.5, by trying every assignment of identities to objects."""
    hits = Counter(
        (own, number)
        for boxes, frame in zip(truth, found, strict=True)
        for own, box in enumerate(boxes)
        for number, other in frame
        if number >= 0 and iou(np.array(box), np.array(other)) >= 0.5
    )
    numbers = sorted({number for frame in found for number, _ in frame} | {-i for i in range(1, len(truth[0]) + 1)})
    best = max(sum(hits[pair] for pair in enumerate(each)) for each in permutations(numbers, len(truth[0])))
    return 2 * best / (sum(map(len, truth)) + sum(map(len, found)))


def test_the_oracle_counts_by_hand() -> None:
    a, b = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]
    truth = [[a, b]] * 4
    assert idf1(truth, [[(7, a), (3, b)]] * 4) == 1
    assert idf1(truth, [[(7, a), (3, b)]] * 2 + [[(3, a), (7, b)]] * 2) == 0.5  # swapped halfway
    assert idf1(truth, [[(7, a)]] * 4) == pytest.approx(2 * 4 / 12)
    assert idf1(truth, [[(-1, a), (-1, b)]] * 4) == 0


@pytest.mark.slow
@pytest.mark.parametrize("poses", [False, True])
def test_crossing_markers_keep_their_identities(poses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackers", reason="the extra track is not installed")
    monkeypatch.chdir(tmp_path)
    truth = write_crossing_markers(Path("clip.avi"))
    more = ["--pose-model", str(BUNDLED_POSE), "--smooth"] if poses else []
    command = ["clip.avi", "--model", str(BUNDLED), *more, "--track", "--json", "found.json", "--no-save"]
    assert main([*command, "--threads", "1"]) == 0
    found: list[list[tuple[int, list[float]]]] = [[] for _ in truth]
    for record in json.loads(Path("found.json").read_text()):
        x, y, width, height = record["bbox"]
        found[record["frame"]].append((record["track_id"], [x, y, x + width, y + height]))
    assert idf1(truth, found) >= 0.9


def moving(count: int, missing: range = range(0)) -> list[Instances]:
    """Frames with two objects that move apart, in changing order; of the second class none in the `missing` frames."""
    frames: list[Instances] = []
    for t in range(count):
        boxes = np.array([[100 - t, 50, 140 - t, 90], [200 + 2 * t, 50, 240 + 2 * t, 90]], np.float32)
        found = Instances(boxes, np.array([0.9, 0.3], np.float32), np.arange(2), ("left", "right"), (640, 480))
        rows = [0] if t in missing else [1, 0] if t % 2 else [0, 1]
        frames.append(found[np.array(rows)])
    return frames


def followed(frames: list[Instances], name: str = "a.mp4", fps: float = 25.0, tracking: Tracking | None = None) -> Any:
    """The frames of one video after tracking, in groups of three."""
    pytest.importorskip("trackers", reason="the extra track is not installed")
    tracking = tracking or Tracking([], smooth=Keypoints.name in frames[0].columns)
    image = np.zeros((480, 640, 3), np.uint8)
    pictures = [Picture(name, image, i, fps, path=name, is_frame=True) for i in range(len(frames))]
    find = tracking.after(lambda group: [frames[picture.index or 0] for picture in group])
    return [one for start in range(0, len(frames), 3) for one in find(pictures[start : start + 3])]


def ids_by_label(found: Instances) -> dict[int, int]:
    return dict(zip(found.labels.tolist(), found.track_id.tolist(), strict=True))


def test_identities_follow_the_objects_and_not_the_order_of_rows() -> None:
    assert [ids_by_label(found) for found in followed(moving(12))] == [{0: 0, 1: 1}] * 12


def test_an_object_may_be_hidden_for_less_than_a_second() -> None:
    assert ids_by_label(followed(moving(40, range(10, 20)))[-1]) == {0: 0, 1: 1}
    lost = followed(moving(40, range(10, 20)), fps=5)
    assert [ids_by_label(found) for found in lost[20:]] == [{0: 0, 1: -1}, *[{0: 0, 1: 2}] * 19]


def test_frames_without_detections_are_frames() -> None:
    frames = [found[:0] if i in (0, 5) else found for i, found in enumerate(moving(8))]
    counts = [(len(found), len(found.track_id)) for found in followed(frames)]
    assert counts == [(0 if i in (0, 5) else 2,) * 2 for i in range(8)]


def test_boxes_without_area_are_followed() -> None:
    assert len(followed([replace(found, boxes=found.boxes * 0) for found in moving(4)])) == 4


def test_each_source_starts_anew() -> None:
    pytest.importorskip("trackers", reason="the extra track is not installed")
    tracking = Tracking([], smooth=False)
    for name in ("a.mp4", "a.mp4", "b.mp4"):
        frames = followed(moving(6), name, tracking=tracking)
        assert ids_by_label(frames[0]) == ids_by_label(frames[-1]) == {0: 0, 1: 1}


def tracked_poses(found: Instances) -> Instances:
    skeleton = Skeleton(("a", "b"), ((0, 1),), (), (0.1, 0.1))
    points = np.concatenate((found.boxes.reshape(-1, 2, 2), np.ones((len(found), 2, 1))), -1).astype(np.float32)
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], 1)
    return found.with_columns(Keypoints(points, skeleton, areas))


def test_smoothing_calms_each_object_and_leaves_the_rest() -> None:
    rng = np.random.default_rng(0)
    frames: list[Instances] = []
    for found in moving(200):
        still = tracked_poses(replace(found, boxes=moving(1)[0][found.labels].boxes))
        noisy = still.keypoints + np.append(rng.normal(0, 0.4, (2, 2, 2)), np.zeros((2, 2, 1)), -1)
        frames.append(still.with_columns(replace(still.columns["keypoints"], values=noisy.astype(np.float32))))
    smoothed = followed(frames)
    for label in (0, 1):
        before, after = (
            np.array([found[found.labels == label].keypoints[0] for found in group[20:]])
            for group in (frames, smoothed)
        )
        assert after[..., :2].std(0).mean() < 0.5 * before[..., :2].std(0).mean()
        np.testing.assert_allclose(after[..., :2].mean(0), before[..., :2].mean(0), atol=0.1)
        np.testing.assert_array_equal(after[..., 2], before[..., 2])
    for one, other in zip(frames, smoothed, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_smoothed_keypoints_hardly_lag() -> None:
    frames = [tracked_poses(found) for found in moving(100)]
    for before, after in zip(frames[20:], followed(frames)[20:], strict=True):
        assert np.abs(before.keypoints - after.keypoints).max() < 0.02 * 40  # boxes of 40 px, up to 50 px a second


def one_euro(values: list[float], times: list[float], size: float) -> list[float]:
    """The filter of one coordinate, as the paper writes it: cutoffs of 1 Hz, beta of 10, speeds in sizes a second."""

    def alpha(cutoff: float, elapsed: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / elapsed)

    smoothed, speed = [values[0]], 0.0
    for i in range(1, len(values)):
        elapsed = times[i] - times[i - 1]
        a = alpha(1, elapsed)
        speed = a * (values[i] - smoothed[-1]) / size / elapsed + (1 - a) * speed
        a = alpha(1 + 10 * abs(speed), elapsed)
        smoothed.append(a * values[i] + (1 - a) * smoothed[-1])
    return smoothed


def test_the_filter_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.01, 0.2, 50)).tolist()
    points = np.cumsum(rng.normal(0, 5, (50, 3, 2)), 0)
    filter = OneEuro(points[0], times[0])
    got = np.array([points[0], *(filter.update(p, t, 80.0) for p, t in zip(points[1:], times[1:], strict=True))])
    for k in range(3):
        for axis in range(2):
            expected = one_euro(points[:, k, axis].tolist(), times, 80.0)
            np.testing.assert_allclose(got[:, k, axis], expected, rtol=1e-9)


def test_the_column_in_files_drawings_and_supervision() -> None:
    found = replace(moving(1)[0], image_size=(400, 200)).with_columns(TrackId(np.array([7, -1])))
    assert [record["track_id"] for record in found.to_coco()] == [7, -1]
    assert found.columns["track_id"].texts((400, 200)) == [" 7", " -1"]
    image = np.zeros((200, 400, 3), np.uint8)
    plain = replace(found, columns={}).draw(image)
    changed = (found.draw(image) != plain).any(-1)
    assert changed[:, :180].any() and not changed[:, 190:].any()  # only what has an identity shows it
    assert found[1].track_id.tolist() == [-1]
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    assert isinstance(found.to_supervision(), supervision.Detections)
    assert found.to_supervision().tracker_id.tolist() == [7, -1]
    assert replace(found, columns={}).to_supervision().tracker_id is None


def write_clip(name: str) -> str:
    writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 128))
    image = np.zeros((128, 128, 3), np.uint8)
    image[:64, :64] = 255
    for _ in range(4):
        writer.write(image)
    writer.release()
    return name


def test_files_and_streams_have_the_same_identities(
    color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trackers", reason="the extra track is not installed")
    monkeypatch.chdir(tmp_path)
    command = [write_clip("a.avi"), write_clip("b.avi"), "--model", str(color_model), "--conf", "0.9", "--batch", "3"]
    assert main([*command, "--track", "--save-txt", "--json", "found.json"]) == 0
    records = json.loads(Path("found.json").read_text())
    assert len(records) == 24 and {record["track_id"] for record in records} == {0, 1, 2}
    last = Path("runs/infer/labels/b_000003.txt").read_text().splitlines()
    assert sorted(line.split()[5] for line in last) == ["0", "1", "2"]
    streamed = load(str(color_model), conf=0.9).stream("b.avi", batch=2, track=True)
    assert [one.track_id.tolist() for one in streamed] == [
        [r["track_id"] for r in records if (r["image"], r["frame"]) == ("b.avi", i)] for i in range(4)
    ]


def test_what_cannot_be_tracked_is_refused(
    color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.zeros((8, 8, 3), np.uint8))
    write_clip("a.avi")
    pictures = "a.png: a picture, and tracking needs a video or a camera; leave out track"
    alone = "--smooth smooths the keypoints of each track; use it with --track"
    for flags, message in ((["a.avi", "a.png", "--track"], pictures), (["a.avi", "--smooth"], alone)):
        assert main([*flags, "--model", str(color_model)]) == 2
        out, err = capfd.readouterr()
        assert out == "" and err == f"error: {message}\n" and not Path("runs").exists()
    with pytest.raises(UsageError, match="a picture, and tracking"):
        next(load(str(color_model)).stream("a.png", track=True))
    with pytest.raises(UsageError, match="smooth needs identities; use it with track"):
        next(load(str(color_model)).stream("a.avi", smooth=True))


def test_boxes_alone_are_not_smoothed(
    color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackers", reason="the extra track is not installed")
    monkeypatch.chdir(tmp_path)
    assert main([write_clip("a.avi"), "--model", str(color_model), "--track", "--smooth"]) == 2
    out, err = capfd.readouterr()
    said = "error: smoothing is for keypoints, which this model does not find; leave out smooth"
    assert out == "" and err.splitlines()[1:] == [said] and not Path("runs").exists()


def test_without_the_package_one_line_says_what_to_install(
    color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "trackers", None)
    assert main([write_clip("a.avi"), "--model", str(color_model), "--track"]) == 4
    said = "tracking needs the package trackers, which is not installed; pip install 'detforge[track]'"
    assert capfd.readouterr().err == f"error: {said}\n"
