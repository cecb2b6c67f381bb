"""The names of classes and keypoints in an exported file."""

from dataclasses import replace

import pytest
import torch

from detforge.deploy.card import Provenance
from detforge.deploy.system.errors import InputError
from detforge.export.labels import labels_of, read_labels, skeleton_of
from detforge.export.source import Source
from detforge.models.checkpoint import Checkpoint, read_checkpoint
from detforge.models.skeletons import COCO_PERSON
from detforge.models.zoo import find

DETECTOR, POSE, GROUPED = find("gfl_test"), find("hrnet_test"), find("higherhrnet_test")
ANIMAL = ("nose", "left_paw", "right_paw")


def checkpoint(labels=None, **dataset):
    return Checkpoint({}, "c.pth", "00", labels, {"dataset_meta": dataset} if dataset else {})


def own(variant, given, count, file=None):
    """The skeleton of a user's checkpoint."""
    return skeleton_of(Source(variant, given), given, count, file)


def test_classes(tmp_path):
    given = checkpoint(("a", "b"))
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffnorth\n south, east \n\n", encoding="utf-8")
    assert labels_of(DETECTOR, given, 2, file) == ("north", "south, east")
    assert labels_of(DETECTOR, given, 2, None) == ("a", "b")
    assert labels_of(DETECTOR, checkpoint(), 80, None) == DETECTOR.labels
    assert labels_of(DETECTOR, checkpoint(), 3, None) == ("class_0", "class_1", "class_2")
    for path, count in ((file, 3), (tmp_path / "none.txt", 2), (tmp_path, 2)):
        with pytest.raises(InputError):
            labels_of(DETECTOR, given, count, path)


@pytest.mark.parametrize(
    ("text", "count", "labels"),
    [
        ("\ncat\n\ndog\n", 4, ("", "cat", "", "dog")),
        ("\ncat\n\ndog\n", 2, ("cat", "dog")),
        ("\ncat\n\ndog\n\n\n", 4, ("", "cat", "", "dog")),
        ("\ncat\n\ndog\n\n", None, ("", "cat", "", "dog")),
    ],
)
def test_an_empty_line_is_no_class(text, count, labels, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text(text)
    assert read_labels(file, count, "classes") == labels


def test_keypoints_have_no_empty_lines(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("\nnose\n\ntail\n")
    assert read_labels(file, 2, "keypoints") == ("nose", "tail")
    for text, count in (("\nnose\n\ntail\n", 4), ("\n\n", 2), ("", None)):
        file.write_text(text)
        with pytest.raises(InputError):
            read_labels(file, count, "keypoints")


@pytest.mark.parametrize("count", [3, 80])
def test_another_number_of_names_is_not_used(count):
    with pytest.warns(UserWarning, match=f"has {count} classes and names 2; they are numbered; .* --labels"):
        assert labels_of(DETECTOR, checkpoint(("a", "b")), count, None)[:2] == ("class_0", "class_1")


def test_keypoints_follow_the_checkpoint(tmp_path):
    """17 keypoints are not always COCO's."""
    names = tuple(f"left_{i}" for i in range(8)) + tuple(f"right_{i}" for i in range(8)) + ("tail",)
    flips = [*range(8, 16), *range(8), 16]
    dataset = {"keypoint_id2name": dict(enumerate(names)), "flip_indices": flips, "skeleton_links": [(0, 16)]}
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": {"dataset_meta": dataset}}, tmp_path / "c.pth")
    found = own(POSE, read_checkpoint(tmp_path / "c.pth"), 17)
    assert (found.keypoints, found.links) == (names, ((0, 16),))
    assert found.pairs == tuple((i, i + 8) for i in range(8))
    card = POSE.card(("person",), Provenance("c.pth", None, "fp32"), found)
    assert card.form.flip and card.skeleton == found


def test_pairs_that_are_unknown_are_not_flipped():
    found = own(POSE, checkpoint(keypoint_name2id={name: i for i, name in enumerate(ANIMAL)}), 3)
    assert (found.keypoints, found.pairs) == (ANIMAL, ())
    for variant in (POSE, GROUPED):
        assert not variant.card(("cat",), Provenance("c.pth", None, "fp32"), found).form.flip
    coco = checkpoint(keypoint_name2id={name: i for i, name in enumerate(COCO_PERSON.keypoints)})
    found = own(POSE, coco, 17)
    assert found.pairs == ()
    assert not POSE.card(("person",), Provenance("c.pth", None, "fp32"), found).form.flip


def test_a_file_renames_the_keypoints(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("tip\nport\nstarboard\n")
    dataset = {"keypoint_name2id": {name: i for i, name in enumerate(ANIMAL)}, "flip_indices": [0, 2, 1]}
    found = own(POSE, checkpoint(**dataset), 3, file)
    assert (found.keypoints, found.pairs) == (("tip", "port", "starboard"), ((1, 2),))
    found = own(POSE, checkpoint(), 3, file)
    assert (found.keypoints, found.pairs) == (("tip", "port", "starboard"), ())
    file.write_text("\n".join(COCO_PERSON.keypoints))
    assert own(POSE, checkpoint(), 17, file) == COCO_PERSON


def test_assumed_names_are_told():
    assert skeleton_of(Source(POSE), checkpoint(), 17, None) == COCO_PERSON  # the published weights
    with pytest.warns(
        UserWarning, match="c.pth names no keypoints; those of hrnet_test are assumed, without a flip .* --labels"
    ):
        assert own(POSE, checkpoint(), 17) == replace(COCO_PERSON, pairs=())
    assert own(POSE, checkpoint(), 2).keypoints == ("keypoint_0", "keypoint_1")
    with pytest.warns(UserWarning, match="c.pth has 2 keypoints and names 3; they are numbered"):
        found = own(POSE, checkpoint(keypoint_name2id={name: i for i, name in enumerate(ANIMAL)}), 2)
    assert (found.keypoints, found.pairs) == (("keypoint_0", "keypoint_1"), ())


def test_a_copy_of_the_published_file_is_not_the_users_own():
    variant = find("hrnet_w32")
    copy = Checkpoint({}, variant.published.url.rpartition("/")[2], "00", None)
    assert skeleton_of(Source(variant, copy), copy, 17, None) == COCO_PERSON


def test_a_contradiction_is_refused():
    with pytest.raises(InputError, match=r"c\.pth: meta\.dataset_meta\.flip_indices is .*; correct its metadata"):
        own(POSE, checkpoint(keypoint_name2id={name: i for i, name in enumerate(ANIMAL)}, flip_indices=[1, 2, 0]), 3)
