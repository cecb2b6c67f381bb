"""Every golden is read by a test."""

import pytest
from golden.catalog import kind, read_by_tests
from golden.reader import names


@pytest.mark.parametrize("name", names())
def test_a_test_reads_every_golden(name: str) -> None:
    assert name in read_by_tests(), (
        f"no test reads {name}.npz, of kind {kind(name)}: give its kind to `networks`, or its name to `load_ops`; "
        "an unknown one has no variant of its name in the zoo"
    )
