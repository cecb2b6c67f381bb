"""LFFD: A Light and Fast Face Detector for Edge Devices (arXiv 1904.10633)."""

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ...deploy.inputs.network_inputs import ImageInput
from ...deploy.inputs.resize import Resize
from ..backbones.lffd import LFFDBackbone, Stage, taps
from ..detector import DenseDetector
from ..heads.lffd import LFFDHead
from ..variant import Published, Variant


def _strides(stages: tuple[Stage, ...]) -> tuple[int, ...]:
    """The stride of each tap."""
    strides: list[int] = []
    stride = 1
    for stage in stages:
        stride <<= len(stage.widths)
        strides += [stride] * len(stage.pairs)
    return tuple(strides)


def build(classes: int, *, stages: tuple[Stage, ...], sides: tuple[float, ...], width: int = 128) -> nn.Module:
    """An LFFD. `sides` are the px of the largest box of each tap, and `width` the channels of the head."""
    channels = [stage.channels for stage in stages for _ in stage.pairs]
    head = LFFDHead(classes, channels, taps=taps(stages), strides=_strides(stages), sides=sides, width=width)
    return DenseDetector(LFFDBackbone(stages), nn.Identity(), head, levels=tuple(range(len(channels))))


def _published(folder: str, name: str, iterations: int, ap: float | None, date: str = "") -> Published:
    """The AP is that of WIDER FACE's hard set, of Brainwash or of CCPD."""
    base = "https://github.com/YonghaoHe/LFFD-A-Light-and-Fast-Face-Detector-for-Edge-Devices/raw/master"
    return Published(
        f"{base}/{folder}/saved_model/configuration_{name}{date}/train_{name}_iter_{iterations}.params", ap
    )


def _mapping(stages: tuple[Stage, ...]) -> dict[str, str]:
    """The names in MXNet: "conv8_weight" of the backbone, "conv8_3_score_weight" of the head."""
    parts = [f"conv{tap}_{part}_" for tap in taps(stages) for part in range(1, 4)]
    return {f"^{part}": f"bbox_head.{part}" for part in parts} | {
        "^conv": "backbone.conv",
        "_weight": ".weight",
        "_bias": ".bias",
    }


def _variant(
    name: str,
    summary: str,
    label: str,
    stages: tuple[Stage, ...],
    sides: tuple[float, ...],
    published: Published | None = None,
    *,
    conf: float = 0.5,
    iou: float = 0.5,
    width: int = 128,
) -> Variant:
    return Variant(
        name=name,
        paper="arXiv 1904.10633",
        summary=summary,
        build=lambda classes: build(classes, stages=stages, sides=sides, width=width),
        form=Dense(_strides(stages), top_k=10_000, levels_together=True, unpadded=True),
        classes_key=f"bbox_head.conv{taps(stages)[0]}_3_score.weight",
        beside_classes=1,
        input=ImageInput(Resize(least=128), "bgr", (127.5,) * 3, (127.5,) * 3),
        suppress=Suppress("covered", conf=conf, iou=iou),
        labels=(label,),
        published=published,
        mapping=_mapping(stages),
    )


_FACE_V2 = (
    Stage((64, 64), (3,)),
    *(Stage((64,), (1,)) for _ in range(2)),
    *(Stage((128,), (1,)) for _ in range(2)),
)
_FACE_V1 = (Stage((64, 64), (3, 1)), Stage((64,), (1, 1)), Stage((128,), (1,)), Stage((128,), (1, 1, 1)))
_HEAD = (Stage((64, 64), (3,)), Stage((64,), (1,)), Stage((64,), (1,)), Stage((128,), (1,)))
_PEDESTRIAN = (Stage((64, 64, 64), (4,)), *(Stage((128,), (1,)) for _ in range(3)))
_PLATE = (Stage((64, 64, 64, 64), (3,)), Stage((64,), (1,)), Stage((128,), (1,)))
_SMALL_PLATE = (Stage((32, 32, 32, 64), (3,), 32), Stage((64,), (1,), 32), Stage((128,), (1,), 64))
_PLATE_SIDES = (128, 256, 512)

VARIANTS = (
    _variant(
        "lffd_face",
        "faces of 10 to 320 px, 5 scales; AP of WIDER FACE hard",
        "face",
        _FACE_V2,
        (20, 40, 80, 160, 320),
        _published("face_detection", "10_320_20L_5scales_v2", 1_000_000, 75.4),
        conf=0.6,
        iou=0.3,
    ),
    _variant(
        "lffd_face_v1",
        "faces of 10 to 560 px, 8 scales, as in the paper; AP of WIDER FACE hard",
        "face",
        _FACE_V1,
        (15, 20, 40, 70, 110, 250, 400, 560),
        _published("face_detection", "10_560_25L_8scales_v1", 1_400_000, 78.0),
        conf=0.6,
        iou=0.3,
    ),
    _variant(
        "lffd_head",
        "heads of 10 to 160 px; AP of Brainwash",
        "head",
        _HEAD,
        (20, 40, 80, 160),
        _published("head_detection", "10_160_17L_4scales_v1", 800_000, 91.0, "_2019-09-20-13-08-26"),
        iou=0.6,
    ),
    _variant(
        "lffd_pedestrian",
        "people of 30 to 320 px",
        "person",
        _PEDESTRIAN,
        (60, 100, 180, 320),
        _published("pedestrian_detection", "30_320_20L_4scales_v1", 500_000, None, "_2019-09-11-19-25-41"),
    ),
    _variant(
        "lffd_plate",
        "licence plates of 64 to 512 px; AP of CCPD",
        "plate",
        _PLATE,
        _PLATE_SIDES,
        _published("license_plate_detection", "64_512_16L_3scales_v1", 1_000_000, 98.9, "_2019-09-29-13-41-44"),
    ),
    _variant(
        "lffd_plate_small",
        "the same with half the weights; AP of CCPD",
        "plate",
        _SMALL_PLATE,
        _PLATE_SIDES,
        _published("license_plate_detection", "64_512_16L_3scales_v1_small", 1_000_000, 98.2, "_2020-03-25-19-50-59"),
        width=64,
    ),
    _variant(
        "lffd_test",
        "tiny LFFD for tests",
        "face",
        (Stage((8, 8), (2, 1)), Stage((16,), (1,), 8)),
        (20, 40, 80),
        width=16,
    ),
)
ALIASES = {"lffd": "lffd_face"}
