"""The base classes of forms, which define what the outputs of a network mean."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..columns.column import Column
from ..contract.camera import Camera
from ..contract.fusion import Fusion
from ..contract.parse import FieldError, require
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..contract.suppression import Suppress
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Frame, Place, Size
from ..results.instances import Instances


@dataclass(frozen=True)
class Mirror:
    """How to convert an output for the mirrored image to one for the original image.

    Left and right keypoints are swapped on axis 1 if it `swaps`. With `reversed` the last axis is reversed. `signs`
    multiply the components on axis 2: -1 and 1 for offsets in x and y.
    """

    swaps: bool = True
    reversed: bool = True
    signs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Output:
    """One output of a network, and how two versions of it are compared.

    `compare` is "index" for value by value; "map" for value by value and by the highest pixel of each channel; "place"
    for rows of peaks, which are matched by position and label; "overlap" for rows of regions, which are matched by the
    overlap of their boxes. In the last two cases, outputs of one `group` belong together, and `role` tells which holds
    the position, label and score; a score of 0 is padding. `unit` is the unit of the tolerance: 1, the
    form's `px` for outputs in px, or the "range" of the values. If `embedding` is True, only differences between values
    are compared. An `optional` output may be absent. The share `jumps` of the values may differ by more than the
    tolerance: rounding decides between nearly equal neighbours.
    """

    name: str
    compare: Literal["index", "place", "map", "overlap"] = "index"
    unit: Literal["one", "px", "range"] = "one"
    group: str = ""
    role: Literal["place", "label", "score", "value"] = "value"
    embedding: bool = False
    optional: bool = False
    jumps: float = 0.0
    mirror: Mirror | None = None


class Contract(Protocol):
    """The fields of a Card that a form reads."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def fusion(self) -> Fusion: ...
    @property
    def suppress(self) -> Suppress: ...
    @property
    def skeleton(self) -> Skeleton | None: ...


class Run(NamedTuple):
    """The outputs of a network for one image, without the batch axis, and the Frame of the image on its canvas.

    `camera` took the image, in px of the Instances to be found; None if it is not known.
    `threads` is the number of threads that may read them.
    """

    outputs: Arrays
    frame: Frame
    mirrored: bool = False
    scale: float = 1.0
    camera: Camera | None = None
    threads: int = 1


class Form(ABC):
    """The meaning of a network's outputs. A form is a frozen dataclass with a `kind`; its fields are its parameters.

    `runs_on` is the network's input: "images", "pairs" of images, or "crops" of boxes. `compares` is what suppression
    compares: "boxes", "poses", "polygons" or "rotated boxes". The network runs on an image once for
    each of `views` and `all_scales`.
    """

    kind: Any
    task: ClassVar[str]
    """The task, for tables."""
    runs_on: ClassVar[Literal["images", "pairs", "crops"]] = "images"
    place: ClassVar[Place] = "resize"
    """The kind of geometry that places the image on the canvas."""
    outputs: ClassVar[tuple[Output, ...]]
    compares: ClassVar[str] = "boxes"
    has_keypoints: ClassVar[bool] = False
    """Whether the network finds poses: its channels are those of keypoints, which the Card's skeleton names."""
    takes_camera: ClassVar[bool] = False
    """Whether the form finds poses in space, for which it must know the camera."""
    takes_depth: ClassVar[bool] = False
    """Whether the network looks at points in space, for which it must also know the depth of the image's px."""
    suppresses: ClassVar[bool] = False
    """Whether suppression runs in the model file."""
    least_conf: ClassVar[float] = 0.0
    """The score threshold inside such a file."""
    mirrors_canvas: ClassVar[bool] = False
    """Whether the flip test mirrors the canvas, so that maps can be averaged, or else the image before placing it."""
    one_size: ClassVar[bool] = False
    """Whether the network only works at one canvas size."""
    overrides: ClassVar[dict[str, str]] = {"flip": "flip", "scales": "scales", "decode": "method"}
    """The parameter that each option overrides, if the form has it."""

    @classmethod
    def choices(cls) -> Sequence["type[Form]"]:
        """All forms, for `contract.parse`."""
        from . import FORMS

        return FORMS

    @property
    def channels(self) -> int:
        """The number of channels per class or keypoint in the parameter `Variant.classes_key`."""
        return 1

    @property
    def views(self) -> tuple[bool, ...]:
        """One entry for each run on an image: whether it is mirrored."""
        return (False, True) if getattr(self, "flip", False) else (False,)

    @property
    def all_scales(self) -> tuple[float, ...]:
        """The scales at which the network runs on an image, the largest first."""
        return tuple(sorted(getattr(self, "scales", (1.0,)), reverse=True))

    def px(self, canvas: Size) -> Any:
        """The unit of tolerances for outputs in px, a number or an array that broadcasts to the output.

        It is the shift in px that an error of 1 in the network's raw output may cause.
        """
        return 1.0

    def overridden(self, option: str, value: Any) -> Self:
        """The form with one option changed. Raises FieldError if the form does not have it."""
        form: Any = self
        name = self.overrides[option]
        if name not in {field.name for field in fields(form)}:
            raise FieldError(f"{option} has no effect on outputs of the form '{self.kind}'; leave it out")
        return replace(form, **{name: value})

    def reported(self, skeleton: Skeleton) -> Skeleton:
        """The keypoints in results, of those of the network."""
        return skeleton

    def for_skeleton(self, skeleton: Skeleton) -> Self:
        """The form for other keypoints. The flip test is off if their pairs of left and right are unknown."""
        return self

    def suppressed_inside(self) -> "Form | None":
        """The form of a file that runs this form's suppression in its graph; None if that is not supported."""
        return None

    def check(self, skeleton: Skeleton | None) -> None:
        """Raise FieldError if the form does not fit the Card's skeleton."""
        may_have = any(output.name == "keypoints" for output in self.outputs)
        require(skeleton is None or may_have, "skeleton", "absent, since the form has no keypoints")

    def missing(self, names: set[str]) -> list[str]:
        """The required outputs that are not in `names`."""
        return [output.name for output in self.outputs if not output.optional and output.name not in names]


class ImageForm(Form):
    """The base of forms of networks that run on whole images or pairs."""

    @abstractmethod
    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The candidates in one image, before suppression, from all runs on it.

        Coordinates are in px of an image of the size `image_size` of the Instances, for example the resized image.
        """


class Reading(NamedTuple):
    """The results for n crops: columns in px of the image, and the quality (n,) of each row."""

    columns: tuple[Column, ...]
    quality: NDArray[np.float32]


class CropForm(Form):
    """The base of forms of networks that run on crops of boxes."""

    runs_on: ClassVar[Literal["images", "pairs", "crops"]] = "crops"
    place: ClassVar[Place] = "crop"

    @abstractmethod
    def read(self, outputs: Arrays, mirrored: Arrays | None, frames: Sequence[WarpedFrame], card: Contract) -> Reading:
        """The results for n crops; `mirrored` are the outputs for the mirrored crops, None without the flip test."""

    @abstractmethod
    def nothing(self, card: Contract) -> tuple[Column, ...]:
        """The columns with 0 rows, for images without boxes."""
