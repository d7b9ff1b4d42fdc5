"""Any picture file -> 8-bit BGR and alpha, upright, of a workable size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vcam_avatar.errors import MediaError
from vcam_avatar.media import ByteArray

MAX_PIXELS = 120_000_000
"""Larger pictures are refused before they are decoded."""
_CUT_OUT_SHARE = 0.02
"""A picture with less transparency than this is a photo."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture."""

    bgr: ByteArray
    """uint8 ``(H, W, 3)``; under transparent pixels the nearest thing to what an editor would show."""
    alpha: ByteArray | None
    """uint8 ``(H, W)`` of a cut-out, None for a photo."""
    notes: tuple[str, ...] = ()
    """What was left out, such as further frames."""

    def reduced(self, longest_px: int) -> "Picture":
        """The same, at most ``longest_px`` a side."""
        height, width = self.bgr.shape[:2]
        scale = longest_px / max(height, width)
        if scale >= 1:
            return self
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        alpha = self.alpha
        if alpha is None:
            return Picture(_area(self.bgr, size), None, self.notes)
        # Colours are averaged by their weight, or edges take the colour of what is transparent.
        weight = alpha.astype(np.float32)[..., None] / 255
        small = _area((self.bgr * weight).astype(np.float32), size)
        amount = np.asarray(_area(weight, size), np.float32).reshape(size[1], size[0], 1)
        plain = _area(self.bgr, size).astype(np.float32)
        bgr = np.where(amount > 0.004, small / np.maximum(amount, 0.004), plain)
        return Picture(np.clip(bgr + 0.5, 0, 255).astype(np.uint8), _area(alpha, size), self.notes)

    def cropped(self, left: int, top: int, right: int, bottom: int) -> "Picture":
        """The part between the given pixels."""
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[top:bottom, left:right])
        return Picture(np.ascontiguousarray(self.bgr[top:bottom, left:right]), alpha, self.notes)

    def over(self, bgr: tuple[int, int, int]) -> ByteArray:
        """uint8 ``(H, W, 3)``: cut-outs in front of one colour, photos as they are."""
        if self.alpha is None:
            return self.bgr
        weight = self.alpha.astype(np.float32)[..., None] / 255
        return (self.bgr * weight + np.array(bgr, np.float32) * (1 - weight) + 0.5).astype(np.uint8)


def _area(picture: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def read_picture(path: Path) -> Picture:
    """Read a picture file of any usual kind; of animations the first frame.

    Orientation tags are obeyed; palettes, grey, CMYK and 16 bits become 8-bit colour.

    Raises:
        MediaError: missing, not a picture, damaged or larger than ``MAX_PIXELS``; cause and cure.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise MediaError(
                    f"{path} is {width}x{height}, more than {MAX_PIXELS // 10**6} million pixels; "
                    "reduce it first"
                )
            notes: tuple[str, ...] = ()
            if (count := getattr(image, "n_frames", 1)) > 1:
                notes = (f"the picture is animated ({count} frames): the first frame is used",)
                image.seek(0)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _convert(upright, notes)
    except FileNotFoundError as exc:
        raise MediaError(f"picture {path} does not exist") from exc
    except IsADirectoryError as exc:
        raise MediaError(f"{path} is a folder, not a picture") from exc
    except UnidentifiedImageError as exc:
        raise MediaError(f"{path} is not a picture this program can read; save it as PNG or JPEG") from exc
    except Image.DecompressionBombError as exc:
        raise MediaError(f"{path} has too many pixels; reduce it first") from exc
    except (OSError, ValueError, SyntaxError, EOFError) as exc:
        raise MediaError(f"{path} is damaged ({exc}); save or download it again") from exc


def _convert(image: Image.Image, notes: tuple[str, ...]) -> Picture:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32)
        top = 65535.0 if image.mode != "F" else max(float(values.max(initial=0)), 1e-6)
        grey = np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8)
        return Picture(np.ascontiguousarray(np.repeat(grey[..., None], 3, 2)), None, notes)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        alpha = np.ascontiguousarray(rgba[..., 3])
        bgr = np.ascontiguousarray(rgba[..., 2::-1])
        if (alpha < 128).mean() > _CUT_OUT_SHARE:
            return Picture(bgr, alpha, notes)
        return Picture(Picture(bgr, alpha).over((255, 255, 255)), None, notes)
    rgb = np.asarray(image.convert("RGB"))
    return Picture(np.ascontiguousarray(rgb[..., ::-1]), None, notes)
