"""Every documented variable has an effect, and a test beside this one that proves it by what the pipeline does."""

import pytest

from tests.settings.proof import DOCUMENTED, proofs


@pytest.mark.parametrize("variable", DOCUMENTED)
def test_every_documented_variable_has_a_test_that_proves_its_effect(variable: str) -> None:
    assert proofs().get(variable), f"{variable}: expected a test marked with @proves({variable!r})"
