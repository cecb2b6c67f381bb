"""What the Cards of all variants have in common."""

import pytest

from detforge.models.variant import Variant
from detforge.models.zoo import VARIANTS

INCLUSIVE = [v for v in VARIANTS.values() if v.form.kind == "dense" and v.suppress.inclusive]


@pytest.mark.parametrize("variant", INCLUSIVE, ids=lambda variant: variant.name)
def test_boxes_that_overlap_with_their_last_pixel_end_at_the_images(variant: Variant) -> None:
    """Frameworks of before 2020 counted so in both places."""
    assert variant.form.clip == "last_pixel"
