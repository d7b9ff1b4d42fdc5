"""The face into the body: where the two generators meet."""

from typing import Any

import numpy as np

from vcam_avatar.media import Body, ByteArray, FacePatch, FloatArray
from vcam_avatar.stages.kernels import njit
from vcam_avatar.stages.raster import IndexArray, draw_triangles, grid_points, grid_triangles


@njit("void(uint8[:,:,::1], uint8[:,:,::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _premultiply(straight: Any, result: Any) -> None:
    for y in range(straight.shape[0]):
        for x in range(straight.shape[1]):
            alpha = np.int64(straight[y, x, 3])
            scale = alpha * 257
            result[y, x, 3] = alpha
            for channel in range(3):
                result[y, x, channel] = (straight[y, x, channel] * scale + 32768) >> 16


class Compositor:
    """Draws the speaking face over the body, where the head has gone and behind what hides it.

    Holds scratch memory only: frames depend on nothing but the arguments. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._grids: dict[tuple[int, int], tuple[FloatArray, IndexArray]] = {}
        self._texture: ByteArray = np.zeros((0, 0, 4), np.uint8)

    def compose(self, body: Body, patch: FacePatch) -> ByteArray:
        """Flatten ``patch`` onto ``body``.

        Args:
            body: its ``face_grid`` says where the patch's corners and the points between them go;
                parts outside the frame are cut off, what ``occlusion`` covers stays in front.
            patch: drawn with its own alpha; where that is 0 the body stays as it is, to the bit.

        Returns:
            A new image, uint8 ``(H, W, 3)`` BGR; the arguments are not modified.

        Raises:
            ValueError: wrong shape or type (a caller bug).
        """
        image, face = body.image_bgr, patch.image_bgra
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"body image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
        if face.ndim != 3 or face.shape[0] != face.shape[1] or face.shape[2] != 4 or face.dtype != np.uint8:
            raise ValueError(f"face patch must be uint8 (S, S, 4), got {face.dtype} {face.shape}")
        grid = body.face_grid
        if grid.ndim != 3 or grid.shape[0] != grid.shape[1] or grid.shape[2] != 2 or len(grid) < 2:
            raise ValueError(f"face grid must be (G, G, 2) with G >= 2, got {grid.shape}")
        frame = np.array(image, np.uint8, order="C", copy=True)
        first, last = _rows_with_alpha(face)
        if first >= last:
            return frame
        if self._texture.shape != face.shape:
            self._texture = np.zeros(face.shape, np.uint8)
        _premultiply(np.ascontiguousarray(face), self._texture)
        corners, triangles = self._grid(len(grid), len(face))
        cells = _rows_of_cells(corners, triangles, first, last)
        draw_triangles(
            frame,
            self._texture,
            np.ascontiguousarray(grid.reshape(-1, 2), np.float32),
            corners,
            triangles[cells],
            mask=body.occlusion,
        )
        return frame

    def _grid(self, points: int, side_px: int) -> tuple[FloatArray, IndexArray]:
        key = (points, side_px)
        if key not in self._grids:
            self._grids[key] = (
                grid_points(points, points, side_px, side_px),
                grid_triangles(points, points),
            )
        return self._grids[key]


def _rows_with_alpha(face: ByteArray) -> tuple[int, int]:
    """First and past-the-last row of the patch that is not wholly transparent."""
    rows = np.flatnonzero(face[:, :, 3].any(1))
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)


def _rows_of_cells(corners: FloatArray, triangles: IndexArray, first: int, last: int) -> Any:
    """Which triangles touch rows ``first`` to ``last`` of the texture: the rest need no drawing."""
    height = corners[triangles, 1]
    return (height.max(1) > first - 1) & (height.min(1) < last + 1)
