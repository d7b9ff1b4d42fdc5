"""Stick figures: to look at predicted motion."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import LEFT_HAND, RIGHT_HAND, layout_of

_BODY, _LEFT, _RIGHT = (235, 235, 235), (120, 220, 120), (110, 160, 255)


def draw_pose(pose: FloatArray, side_px: int = 256, label: str = "") -> ByteArray:
    """uint8 ``(side, side, 3)`` BGR stick figure of a normalised pose ``(K, 2 or 3)``; 3.2 shoulder widths
    across, the neck a third from the top."""
    image = np.zeros((side_px, side_px, 3), np.uint8)
    xy = pose[:, :2] * (side_px / 3.2) + [side_px / 2, side_px * 0.36]
    shifted = np.round(np.clip(xy, -4 * side_px, 4 * side_px) * 16).astype(int)
    thick = max(1, side_px // 128)
    for a, b in layout_of(len(pose)).bones:
        colour = _BODY if b < LEFT_HAND or b >= RIGHT_HAND + 21 else _LEFT if b < RIGHT_HAND else _RIGHT
        width = thick * 2 if b < LEFT_HAND else thick
        start, end = tuple(map(int, shifted[a])), tuple(map(int, shifted[b]))
        cv2.line(image, start, end, colour, width, cv2.LINE_AA, 4)
    if label:
        cv2.putText(image, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 200, 255), 1, cv2.LINE_AA)
    return image


def contact_sheet(poses: FloatArray, hz: float, columns: int = 12, side_px: int = 160) -> ByteArray:
    """uint8 BGR sheet of poses ``(T, K, 2 or 3)`` in reading order, each with its time."""
    tiles = [draw_pose(pose, side_px, f"{i / hz:.2f}s") for i, pose in enumerate(poses)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.ascontiguousarray(np.vstack(rows))


def write_video(
    path: Path, poses: Iterable[FloatArray], hz: int, sound: FloatArray | None = None, side_px: int = 384
) -> None:
    """Stick-figure video (H.264) with its sound (float32 mono 16 kHz, AAC)."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=Fraction(hz))
        video.width = video.height = side_px
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono") if sound is not None else None
        for pose in poses:
            frame = av.VideoFrame.from_ndarray(draw_pose(pose, side_px), format="bgr24")
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            for first in range(0, len(sound), 1024):
                block = np.ascontiguousarray(sound[None, first : first + 1024], np.float32)
                piece = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                piece.sample_rate, piece.pts = SAMPLE_RATE_HZ, first
                out.mux(audio.encode(piece))
            out.mux(audio.encode(None))
