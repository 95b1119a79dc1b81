"""How far another library's numbers are from TA-Lib's on the same bars."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.indicators import F64


@dataclass(frozen=True)
class Accuracy:
    """The largest difference of all, and whose it is."""

    off: float
    name: str

    def __str__(self) -> str:
        return f"{self.off:.0e} ({self.name})" if self.off else "0"


def accuracy(found: Mapping[str, F64], reference: Mapping[str, F64]) -> Accuracy:
    """Return the largest difference, each as a share of the largest number that the reference has under that name."""
    return max((Accuracy(_off(found[name], reference[name]), name) for name in found), key=lambda one: one.off)


def _off(found: F64, reference: F64) -> float:
    assert np.isfinite(reference).all()
    scale = float(np.abs(reference).max())
    off = float(np.abs(found - reference).max())
    return off / scale if off else 0.0
