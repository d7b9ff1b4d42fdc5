"""numba's compiler for the drawing code, without the 17 MB of scipy that it would load.

numba looks for scipy's linear algebra when it is first used; no kernel here multiplies matrices.
"""

import sys

from numba import njit

__all__ = ["njit"]

_LINEAR_ALGEBRA = "scipy.linalg"

if _LINEAR_ALGEBRA not in sys.modules and "numba.np.arraymath" not in sys.modules:
    sys.modules[_LINEAR_ALGEBRA] = None  # type: ignore[assignment]
    try:
        import numba.np.arraymath  # noqa: F401  looks for it once, here
    finally:
        del sys.modules[_LINEAR_ALGEBRA]
