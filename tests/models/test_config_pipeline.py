"""The network's input from the frameworks' transforms, against what each framework is known to do with them."""

import pytest
from small_configs import LOAD, MEAN, NORM, PACK, STD, new, old, resize

from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.config.pipeline import find_transforms, read_crops, read_images
from detforge.models.config.section import Section
from detforge.models.config.text import ConfigError


def images(config, preprocessor=NORM):
    section = None if preprocessor is None else Section(preprocessor, "model.data_preprocessor")
    found = read_images(find_transforms(config), section)
    if section is not None:
        section.finish()
    return found


def pad(**changes):
    return {"type": "Pad"} | changes


def test_the_usual_pipeline_of_mmdet_3():
    image, on_canvas = images(new(resize(), {"type": "LoadAnnotations", "with_bbox": True}))
    assert image.place == Resize((800, 1333), "edges", pad=Pad(multiple=32))
    assert (image.color, image.mean, image.std, on_canvas) == ("rgb", MEAN, STD, False)


def test_the_usual_pipeline_of_mmdet_2():
    norm = {"type": "Normalize", "mean": MEAN, "std": STD, "to_rgb": True}
    collect = {"type": "Collect", "keys": ("img",)}
    steps = ({"type": "Resize", "keep_ratio": True}, {"type": "RandomFlip"}, norm, pad(size_divisor=32), collect)
    expected = images(new(resize()))
    assert images(old(*steps), None) == expected
    assert images(old({"type": "Resize"}, *steps[1:]), None) == expected  # 2.x keeps the aspect by default
    assert images(old(*steps, img_scale=((1333, 800),)), None) == expected
    in_bgr, _ = images(old(steps[0], norm | {"to_rgb": False}, steps[3], collect), None)
    assert in_bgr.color == "bgr"


@pytest.mark.parametrize(
    ("step", "place"),
    [
        (resize(scale=(640, 480), keep_ratio=False), Resize((480, 640), keep_aspect=False, pad=Pad(multiple=32))),
        ({"type": "Resize", "scale": (640, 480)}, Resize((480, 640), keep_aspect=False, pad=Pad(multiple=32))),
        (resize(scale=640), Resize((640, 640), "edges", pad=Pad(multiple=32))),
        (resize(scale=(800, 1333)), Resize((800, 1333), "edges", pad=Pad(multiple=32))),
    ],
)
def test_resizes(step, place):
    assert images(new(step))[0].place == place


@pytest.mark.parametrize(
    ("steps", "divisor", "expected"),
    [
        ([pad(size=(640, 512))], 32, Pad((512, 640), value=0.0)),
        ([pad(size=(640, 640), pad_val={"img": (114, 114, 114)})], 32, Pad((640, 640), value=114.0)),
        ([pad(size_divisor=64, pad_val=114)], 32, Pad(multiple=64, value=114.0)),
        ([pad(size_divisor=32, pad_val={"img": 0, "seg": 255})], 1, Pad(multiple=32, value=0.0)),
        ([pad(pad_to_square=True, pad_val={"img": (114.0,) * 3})], 1, Pad((640, 640), value=114.0)),
        ([], 1, Pad()),
        ([], 16, Pad(multiple=16)),
    ],
)
def test_paddings(steps, divisor, expected):
    image, on_canvas = images(new(resize(scale=(640, 640)), *steps), NORM | {"pad_size_divisor": divisor})
    assert image.place.pad == expected
    assert on_canvas == bool(steps)  # a Pad makes mmdet 3.x take the canvas for the image


def test_only_mmdet_3_takes_the_padding_for_the_image():
    steps = (resize(scale=(640, 640)), pad(size=(640, 640)))
    assert images(new(*steps), None)[1]
    assert not images(old(*steps), None)[1]


def test_pixels_that_are_left_as_they_are():
    image, _ = images(new(resize()), {"type": "mmdet.DetDataPreprocessor", "pad_size_divisor": 32})
    assert (image.color, image.mean, image.std) == ("bgr", (0, 0, 0), (1, 1, 1))


def test_datasets_in_datasets():
    inner = new(resize())["test_dataloader"]["dataset"]
    expected = images(new(resize()))
    for outer in ({"dataset": inner}, {"datasets": (inner, {"pipeline": ()})}, {"dataset": {"dataset": inner}}):
        assert images({"test_dataloader": {"dataset": {"type": "ConcatDataset", **outer}}}) == expected


def test_images_may_be_resized_by_pillow():
    assert images(new(resize(backend="pillow")))[0].place.filter == "antialias"


def test_the_stale_pipeline_is_not_the_one():
    config = new(resize(scale=(640, 640))) | {"test_pipeline": (LOAD, resize(scale=(320, 320)), PACK)}
    assert images(config)[0].place.size == (640, 640)


@pytest.mark.parametrize(
    ("config", "preprocessor", "message"),
    [
        ({}, NORM, "test_dataloader.dataset.pipeline is missing"),
        (new({"type": "MyCrop"}), NORM, "test_dataloader.dataset.pipeline[1].type is 'MyCrop'; supported: LoadImage"),
        (new(resize(), resize()), NORM, "test_dataloader.dataset.pipeline[2] comes after another Resize"),
        (new(pad(size=(640, 640)), resize()), NORM, "test_dataloader.dataset.pipeline[2] comes after another"),
        (new(resize(interpolation="bicubic")), NORM, "pipeline[1].interpolation is 'bicubic'"),
        (new(resize(backend="other")), NORM, "pipeline[1].backend is 'other'"),
        (new(resize(scale_factor=0.5)), NORM, "pipeline[1].scale_factor is 0.5"),
        (new(resize(scale=(0, 800))), NORM, "pipeline[1].scale is (0, 800)"),
        (new(resize(mystery=1)), NORM, "pipeline[1].mystery is 1, which is not supported"),
        (new(resize(), pad(size=(640, 640), pad_val={"img": (1, 2, 3)})), NORM, "pad_val.img is (1, 2, 3)"),
        (new(resize(), pad(size=(650, 650))), NORM, "images are padded twice"),
        (new(resize(), pad(pad_to_square=True)), NORM, "pipeline[2].pad_to_square is True"),
        (new(resize(), {"type": "Pad", "padding_mode": "reflect"}), NORM, "padding_mode is 'reflect'"),
        (old({"type": "Resize"}, flip=True), None, "data.test.pipeline[1].flip is True"),
        (old({"type": "Resize"}, img_scale=((1333, 800), (640, 480))), None, "img_scale is"),
        (new(resize()), NORM | {"pad_value": 114}, "model.data_preprocessor.pad_value is 114"),
        (new(resize()), NORM | {"std": (1, 0, 1)}, "model.data_preprocessor.std is (1, 0, 1)"),
        (new(resize()), NORM | {"mean": (114,)}, "model.data_preprocessor.mean is (114,)"),
        (new(resize()), NORM | {"type": "BatchFixedSizePad"}, "model.data_preprocessor.type is 'BatchFixedSizePad'"),
        (
            {"test_dataloader": {"dataset": {"pipeline": (LOAD | {"color_type": "grayscale"},)}}},
            NORM,
            "pipeline[0].color_type is 'grayscale'",
        ),
        (
            {"test_dataloader": {"dataset": {"pipeline": (LOAD | {"imdecode_backend": "pillow"},)}}},
            NORM,
            "pipeline[0].imdecode_backend is 'pillow'",
        ),
    ],
)
def test_what_is_not_supported_is_named(config, preprocessor, message):
    with pytest.raises(ConfigError) as refused:
        images(config, preprocessor)
    assert message in str(refused.value)


def test_crops_of_mmpose():
    steps = (
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale", "padding": 1.5},
        {"type": "TopdownAffine", "input_size": (192, 256), "use_udp": True},
        {"type": "PackPoseInputs"},
    )
    preprocessor = Section(NORM | {"type": "PoseDataPreprocessor", "pad_size_divisor": 1}, "model.data_preprocessor")
    found = read_crops(find_transforms({"test_dataloader": {"dataset": {"pipeline": steps}}}), preprocessor, (256, 192))
    assert found.place == Crop((256, 192), (1.5, 1.5), spacing=True, multiple=32)
    assert (found.color, found.mean, found.std) == ("rgb", MEAN, STD)


def test_crops_of_mmpose_0():
    steps = (
        {"type": "LoadImageFromFile"},
        {"type": "TopDownGetBboxCenterScale", "padding": 1.25},
        {"type": "TopDownAffine"},
        {"type": "ToTensor"},
        {"type": "NormalizeTensor", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"type": "Collect", "keys": ("img",)},
    )
    found = read_crops(find_transforms({"data": {"test": {"pipeline": steps}}}), None, (256, 192))
    assert found.place == Crop((256, 192), (1.25, 1.25), multiple=32)
    assert found.color == "rgb"
    assert found.mean == pytest.approx(MEAN)
    assert found.std == pytest.approx(STD)


def test_a_crop_of_another_size_than_the_codecs_is_refused():
    steps = ({"type": "LoadImage"}, {"type": "TopdownAffine", "input_size": (192, 256)})
    with pytest.raises(ConfigError, match=r"pipeline\[1\]\.input_size is \(192, 256\); supported: \(288, 384\)"):
        read_crops(find_transforms({"test_dataloader": {"dataset": {"pipeline": steps}}}), None, (384, 288))


def crop_pad(**changes):
    usual = {"test_mode": True, "test_pad_mode": ("logical_or", 127), "ratios": None, "border": None, "crop_size": None}
    return {"type": "RandomCenterCropPad", "mean": MEAN, "std": STD, "to_rgb": True} | usual | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Pad(multiple=128, rule="or", centered=True)),
        (
            {"mean": (0, 0, 0), "test_pad_mode": ("logical_or", 31), "test_pad_add_pix": 1},
            Pad(multiple=32, rule="or+1", centered=True, value=0.0),
        ),
    ],
)
def test_images_of_any_size_in_the_middle_of_their_padding(changes, expected):
    image, _ = images(
        new({"type": "LoadImageFromFile", "to_float32": True}, crop_pad(**changes)), NORM | {"pad_size_divisor": 1}
    )
    assert image.place == Resize(pad=expected)
    assert (image.color, image.mean) == ("rgb", MEAN)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((crop_pad(test_pad_mode=("logical_or", 100)),), "test_pad_mode is"),
        ((crop_pad(test_pad_mode=("size_divisor", 127)),), "test_pad_mode is"),
        ((crop_pad(to_rgb=False),), "images are padded with"),
        ((crop_pad(mean=(1, 2, 3)),), "images are padded with"),
        ((crop_pad(test_mode=False),), "test_mode is False"),
        ((crop_pad(), pad(size_divisor=32)), "images are padded twice"),
        (({"type": "LoadImageFromFile", "to_float32": True}, resize()), "resizes images of floats"),
    ],
)
def test_paddings_and_resizes_that_are_not_supported(steps, message):
    with pytest.raises(ConfigError, match=message):
        images(new(*steps), NORM | {"pad_size_divisor": 1})
