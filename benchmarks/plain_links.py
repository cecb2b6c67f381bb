"""Links of peaks to people in Python, one link per step, for the groupings that are timed against ours."""

from collections.abc import Sequence

Link = tuple[float, int, int]
"""Its rank, and the peaks at its ends."""


def best_links(links: Sequence[Link]) -> list[Link]:
    """The best links of a limb, so that each peak has one at most."""
    used: set[int] = set()
    best: list[Link] = []
    for link in sorted(links, reverse=True):
        if used.isdisjoint(link[1:]):
            used.update(link[1:])
            best.append(link)
    return best


def assembled(limbs: Sequence[tuple[int, int]], links: Sequence[Sequence[Link]]) -> list[dict[int, int]]:
    """The peak of each keypoint of each person, made of the best links of each of the limbs."""
    people: list[dict[int, int]] = []
    for (first, second), best in zip(limbs, links, strict=True):
        for _, a, b in best:
            owners = [person for person in people if person.get(first) == a or person.get(second) == b]
            if not owners:
                people.append({first: a, second: b})
            elif len(owners) == 1:
                owners[0].setdefault(first, a)
                owners[0].setdefault(second, b)
            elif owners[0].keys().isdisjoint(owners[1]):
                owners[0].update(owners[1])
                people.remove(owners[1])
    return people
