"""What every form of output declares: the base of one file for each form."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..columns.column import Column
from ..contract.fusion import Fusion
from ..contract.parse import FieldError
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..contract.suppression import Suppress
from ..inputs.crop import WarpedFrame
from ..inputs.geometry import Frame, Size
from ..results.instances import Instances


@dataclass(frozen=True)
class Mirror:
    """How an output of the mirrored view becomes one of the plain view.

    Keypoints that are each other's mirror image change places on axis 1. With `reversed` the last axis runs from right
    to left. `signs` multiply the components on axis 2, as -1 and 1 do for offsets in x and y.
    """

    reversed: bool = True
    signs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Output:
    """One output of a network, and how two versions of it are compared.

    "index": value by value. "place": rows are peaks, whose partners are found by place and label; outputs of one
    `group` belong together, and `role` says which tells the place, label and score. "map": value by value, and by the
    highest pixel of each channel. The unit of the tolerance is 1, the form's `px` for outputs in px, or the "range" of
    the values. Of an `embedding` only differences between values matter. An `optional` output may be absent.
    """

    name: str
    compare: Literal["index", "place", "map"] = "index"
    unit: Literal["one", "px", "range"] = "one"
    group: str = ""
    role: Literal["place", "label", "score", "value"] = "value"
    embedding: bool = False
    optional: bool = False
    mirror: Mirror | None = None


class Contract(Protocol):
    """The parts of a Card that a form reads beside its own parameters."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def fusion(self) -> Fusion: ...
    @property
    def suppress(self) -> Suppress: ...
    @property
    def skeleton(self) -> Skeleton | None: ...


class Run(NamedTuple):
    """One run of a network on an image: its outputs without the batch axis, and how the image lay on the canvas."""

    outputs: Arrays
    frame: Frame
    mirrored: bool = False
    scale: float = 1.0


class Form(ABC):
    """What a network's outputs mean. A form is a frozen dataclass with a `kind`; its fields are its parameters.

    `runs_on` says what the network sees: "images", "pairs" of images, or "crops" of boxes. `compares` says what
    suppression compares. `views` and `scales` say how often the network runs on an image.
    """

    kind: Any
    task: ClassVar[str]
    """A word for tables."""
    runs_on: ClassVar[Literal["images", "pairs", "crops"]] = "images"
    place: ClassVar[Literal["resize", "crop", "cover"]] = "resize"
    """The kind of geometry that brings the image onto the canvas."""
    outputs: ClassVar[tuple[Output, ...]]
    compares: ClassVar[str] = "boxes"
    has_keypoints: ClassVar[bool] = False
    """Whether the Card has a skeleton."""
    suppresses: ClassVar[bool] = False
    """Whether the file suppresses duplicates itself."""
    least_conf: ClassVar[float] = 0.0
    """The score up to which such a file drops what it finds."""
    one_size: ClassVar[bool] = False
    """Whether the network's last layers are made for one canvas size."""
    overrides: ClassVar[dict[str, str]] = {"flip": "flip", "scales": "scales", "decode": "method"}
    """The option that changes a parameter of this name, where the form has it."""

    @classmethod
    def choices(cls) -> Sequence["type[Form]"]:
        """The forms that a Card may hold, for `contract.parse`."""
        from . import FORMS

        return FORMS

    @property
    def channels(self) -> int:
        """How many channels of the parameter `Variant.classes_key` stand for one class or keypoint."""
        return 1

    @property
    def views(self) -> tuple[bool, ...]:
        """Whether each run on an image sees it mirrored."""
        return (False, True) if getattr(self, "flip", False) else (False,)

    @property
    def all_scales(self) -> tuple[float, ...]:
        """The sizes at which the network runs on an image, the largest first."""
        return tuple(sorted(getattr(self, "scales", (1.0,)), reverse=True))

    def px(self, canvas: Size) -> Any:
        """The unit of outputs in px: how far an error of 1 in the network's own terms may move them. It broadcasts."""
        return 1.0

    def overridden(self, option: str, value: Any) -> Self:
        """The form with one option changed; FieldError where it has no such parameter."""
        form: Any = self
        name = self.overrides[option]
        if name not in {field.name for field in fields(form)}:
            raise FieldError(f"{option} has no effect on outputs of the form '{self.kind}'; leave it out")
        return replace(form, **{name: value})

    def for_keypoints(self, count: int) -> Self:
        """The form for other keypoints than a published network's, of which none is known to mirror another."""
        return self

    def suppressed_inside(self) -> "Form | None":
        """The form of a file that suppresses by itself; None where that needs the runtime."""
        return None

    def check(self, skeleton: Skeleton | None) -> None:  # noqa: B027 most forms fit any Card
        """FieldError where the form does not fit the rest of its Card."""

    def missing(self, names: set[str]) -> list[str]:
        """The outputs it needs that are not among these names."""
        return [output.name for output in self.outputs if not output.optional and output.name not in names]


class ImageForm(Form):
    """A form of networks that see whole images."""

    @abstractmethod
    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The candidates in one image, before suppression, from all runs on it.

        They lie in px of `image_size` of the Instances: any picture that shows the same, as the resized image.
        """


class Reading(NamedTuple):
    """What a form finds in n crops: columns in px of the image, and the quality (n,) of each row."""

    columns: tuple[Column, ...]
    quality: NDArray[np.float32]


class CropForm(Form):
    """A form of networks that see one box of an image at a time."""

    runs_on: ClassVar[Literal["images", "pairs", "crops"]] = "crops"
    place: ClassVar[Literal["resize", "crop", "cover"]] = "crop"

    @abstractmethod
    def read(self, outputs: Arrays, mirrored: Arrays | None, frames: Sequence[WarpedFrame], card: Contract) -> Reading:
        """What is in n crops; `mirrored` are the outputs for the mirrored crops where those ran too."""

    @abstractmethod
    def nothing(self, card: Contract) -> tuple[Column, ...]:
        """The columns of no crop at all."""
