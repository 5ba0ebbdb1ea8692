"""Matrix products whose bits depend on no number of threads, as those of BLAS do.

A worker on a busy farm machine and an artist's viewer have to make the same frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semblance import kernels

__all__ = ["product"]


def product(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the matrix product of (m, k) and (k, n) as (m, n) float32."""
    first, second = (np.ascontiguousarray(each, np.float32) for each in (left, right))
    result = np.empty((first.shape[0], second.shape[1]), np.float32)
    kernels.product(first, second, result)
    return result
