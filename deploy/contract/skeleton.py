"""The keypoints of a pose."""

from collections.abc import Sequence
from dataclasses import dataclass

from .parse import require

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Skeleton:
    """The names of the keypoints and their properties.

    `links` are the lines to draw between keypoints. `pairs` are left and right keypoints, which swap in a mirrored
    image. `sigmas` are the standard deviations of OKS for each keypoint, relative to the object's size: COCO's k is
    2 sigma. `colors` of the keypoints and `link_colors` are RGB values, 0..255; without them links have the colours of
    a palette and keypoints are white.
    """

    keypoints: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    colors: tuple[Color, ...] = ()
    link_colors: tuple[Color, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        require(1 <= count <= 4096, "skeleton.keypoints", "names, at least one")
        require(len(self.sigmas) == count and all(s > 0 for s in self.sigmas), "skeleton.sigmas", f"{count} values > 0")
        for name, wanted in (("colors", count), ("link_colors", len(self.links))):
            colors: tuple[Color, ...] = getattr(self, name)
            values = [value for color in colors for value in color]
            fits = len(colors) in (0, wanted) and all(0 <= value <= 255 for value in values)
            require(fits, f"skeleton.{name}", f"{wanted} times 3 values, 0..255")
        for name in ("links", "pairs"):
            ends = [end for both in getattr(self, name) for end in both]
            require(all(0 <= end < count for end in ends), f"skeleton.{name}", f"indices below {count}")
        once = [end for pair in self.pairs for end in pair]
        require(len(once) == len(set(once)), "skeleton.pairs", "each keypoint once at most")

    def mirrored(self) -> Sequence[int]:
        """For each keypoint, the index of the one that replaces it in a mirrored image."""
        order = list(range(len(self.keypoints)))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    def only(self, indices: Sequence[int]) -> "Skeleton":
        """The skeleton of the keypoints with these indices, in this order."""
        place = {old: new for new, old in enumerate(indices)}
        links = [i for i, link in enumerate(self.links) if place.keys() >= set(link)]
        return Skeleton(
            tuple(self.keypoints[i] for i in indices),
            tuple((place[self.links[i][0]], place[self.links[i][1]]) for i in links),
            tuple((place[left], place[right]) for left, right in self.pairs if left in place and right in place),
            tuple(self.sigmas[i] for i in indices),
            tuple(self.colors[i] for i in indices) if self.colors else (),
            tuple(self.link_colors[i] for i in links) if self.link_colors else (),
        )
