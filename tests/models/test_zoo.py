"""What the Cards of all variants have in common."""

import pytest

from detforge.models.variant import Variant
from detforge.models.zoo import VARIANTS

DENSE = [variant for variant in VARIANTS.values() if variant.form.kind == "dense"]


@pytest.mark.parametrize("variant", DENSE, ids=lambda variant: variant.name)
def test_boxes_of_before_2020_end_and_overlap_with_their_last_pixel(variant: Variant) -> None:
    """Both say how a network's own framework counted px, so that one never goes without the other."""
    assert (variant.form.clip == "last_pixel") == variant.suppress.inclusive
