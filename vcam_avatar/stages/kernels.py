"""numba's compiler for everything that is compiled here.

What it compiled is kept beside the environment's packages, not in this one: the folder left behind when
the package is replaced would hide the new one. And it does without the 17 MB of scipy that it would
load: it looks for scipy's linear algebra when it is first used, and no kernel here multiplies matrices.
"""

import sys
from pathlib import Path

import numba
from numba import njit

__all__ = ["njit"]

if not numba.config.CACHE_DIR:  # from NUMBA_CACHE_DIR
    numba.config.CACHE_DIR = str(Path(sys.prefix) / "share" / "vcam-avatar" / "kernels")

_LINEAR_ALGEBRA = "scipy.linalg"

if _LINEAR_ALGEBRA not in sys.modules and "numba.np.arraymath" not in sys.modules:
    sys.modules[_LINEAR_ALGEBRA] = None  # type: ignore[assignment]
    try:
        import numba.np.arraymath
    finally:
        del sys.modules[_LINEAR_ALGEBRA]
