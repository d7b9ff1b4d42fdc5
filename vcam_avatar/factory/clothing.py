"""Which triangles can never be seen because of what is worn: they need not be drawn at all."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.factory.mesh import FloatArray, IntArray

_STEEPEST = 2.5
"""No garment coordinate changes faster than this per dm over the body."""
SKIN_SHOWS, SKIN_SHOWS_OPEN, SKIN_SHOWS_ARM = 0.2, 0.5, 0.4
"""Skin deeper than this in the garment is not drawn, as in ``shaders``: closed, with a deep neck, arms."""


def garment_depth(garment: int, sleeve: float, canonical: FloatArray, arm: FloatArray) -> NDArray[Any]:
    """The shaders' ``garm``: above 0 inside the garment ``(n,)``.

    Args:
        garment: kind of garment, see ``person``; sleeve: where it ends along the arm.
        canonical: ``(n, 3)`` dm; arm: ``(n,)`` place along the arm.
    """
    x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    r = np.sqrt(x**2 + ((y - 5.95) * 0.75) ** 2 + ((z - 0.12) * 0.95) ** 2)
    if garment == 2:
        vee = y - (4.55 + 1.75 * x)
        opening = np.where((z <= 0) | (x > 0.75) | (vee < 0), 9.0, -vee * 0.5)
        depth = np.minimum(r - 0.86, opening)
    elif garment == 3:
        depth = 6.02 - 0.05 * z - y
    else:
        depth = r - {4: 0.86, 5: 0.80}.get(garment, 0.92)
    depth = np.minimum(depth, (6.03 if garment == 3 else 6.0) - y)
    inside: NDArray[Any] = np.minimum(depth, (sleeve - arm) * 2)
    return inside


def never_seen(
    faces: IntArray,
    canonical: FloatArray,
    arm: FloatArray,
    *,
    skin: Any,
    cloth: Any,
    garment: int,
    sleeve: float,
) -> NDArray[np.bool_]:
    """Triangles that the shaders would throw away wholly.

    Args:
        faces: ``(t, 3)``; canonical ``(n, 3)`` and arm ``(n,)`` of its vertices.
        skin, cloth: bool ``(n,)``: vertices of the skin and of the drawn garment.

    Returns:
        bool ``(t,)``; a triangle that might show anywhere is False.
    """
    depth = garment_depth(garment, sleeve, canonical, arm)[faces]
    corner = canonical[faces]
    edge = np.sqrt(((corner - np.roll(corner, 1, 1)) ** 2).sum(2)).max(1)
    edge = np.maximum(edge, np.ptp(arm[faces], axis=1))
    shows = SKIN_SHOWS_OPEN if garment == 2 else SKIN_SHOWS
    limit = np.where(arm[faces].max(1) > 0.3, max(SKIN_SHOWS_ARM, shows), shows)
    hidden: NDArray[np.bool_] = skin[faces].all(1) & (depth.min(1) > limit + _STEEPEST * edge)
    hidden |= cloth[faces].all(1) & (depth.max(1) < -_STEEPEST * edge)
    return hidden
