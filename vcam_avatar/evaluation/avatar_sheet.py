"""Contact sheets of avatars while they speak, to be looked at."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import soundfile

from vcam_avatar import resources
from vcam_avatar.avatars.format import find_avatar, list_avatars, load_avatar
from vcam_avatar.avatars.points_file import write_text
from vcam_avatar.config import Config, load_config
from vcam_avatar.media import ByteArray, FloatArray, UnitClock
from vcam_avatar.pipeline.build import build_stages, prepare_avatar
from vcam_avatar.pipeline.loop import FrameLoop, Stages
from vcam_avatar.pipeline.units import cut_units

SAMPLE_RATE_HZ = 16_000
MOMENTS_S = (1.6, 2.8, 7.2)
"""Of the demo voice: three strokes with an open mouth."""
GALLERY_SHARE, GALLERY_CELL_PX, GALLERY_COLUMNS = 0.62, 300, 7
"""Of a frame's width; width of a cell."""


def speaking_frames(
    stages: Stages, config: Config, avatar: str, voice: FloatArray, moments_s: Sequence[float]
) -> list[ByteArray]:
    """What an avatar looks like at moments of speech: full frames, uint8 ``(H, W, 3)`` BGR.

    Args:
        stages: of one loop; used again for the next avatar.
        config: size and rate.
        avatar: name, or path to its folder.
        voice: float32 mono at 16 kHz.
        moments_s: in rising order.
    """
    prepared = prepare_avatar(stages, load_avatar(find_avatar(avatar)), config)
    loop = FrameLoop(stages, prepared, config.motion.seed)
    wanted = [int(moment * config.video.fps) for moment in moments_s]
    kept = []
    block = [voice[: round((moments_s[-1] + 0.5) * SAMPLE_RATE_HZ)]]
    for frame in loop.frames(cut_units(block, UnitClock(config.video.fps))):
        if frame.index in wanted:
            kept.append(frame.image_bgr.copy())
    return kept


def demo_voice() -> FloatArray:
    """The shipped voice, float32 mono at 16 kHz."""
    samples, rate = soundfile.read(resources.asset_path("demo_voice.flac"), dtype="float32")
    if rate != SAMPLE_RATE_HZ or samples.ndim != 1:
        raise ValueError(f"demo voice is {samples.shape} at {rate} Hz, expected mono at {SAMPLE_RATE_HZ} Hz")
    return np.asarray(samples, np.float32)


def _middle(image: ByteArray, share: float) -> ByteArray:
    """The middle columns of a frame."""
    aside = round(image.shape[1] * (1 - share) / 2)
    return image[:, aside : image.shape[1] - aside]


def _cell(image: ByteArray, width_px: int, label: str) -> ByteArray:
    height = round(width_px * image.shape[0] / image.shape[1])
    small = np.asarray(cv2.resize(image, (width_px, height), interpolation=cv2.INTER_AREA), np.uint8)
    if label:
        write_text(small, label, (6, height - 8), 0.45)
    return small


def _sheet(cells: list[ByteArray], columns: int, path: Path) -> None:
    """Write cells of equal size row by row."""
    cells = cells + [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    if not cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88]):
        raise OSError(f"{path} cannot be written")
    print(path)


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.evaluation.avatar_sheet OUT AVATAR...``."""
    parser = argparse.ArgumentParser(description="A contact sheet of avatars that speak.")
    parser.add_argument("out", type=Path, help="sheet to write, .jpg or .png")
    parser.add_argument("avatars", nargs="*", help="names or folders; by default all presets")
    parser.add_argument("--moments", type=float, nargs="+", default=MOMENTS_S, help="seconds into the voice")
    parser.add_argument("--cell", type=int, default=426, help="width of a picture in px")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument(
        "--gallery", type=Path, help="also a sheet of the last moment, the frames' middle only"
    )
    parser.add_argument("--frames", type=Path, help="folder for the frames at full size")
    options = parser.parse_args(argv)
    config = load_config(None, {})
    stages, voice = build_stages(config), demo_voice()
    presets = [entry.name for entry in list_avatars() if entry.preset]
    cells, gallery = [], []
    for avatar in options.avatars or presets:
        name = Path(avatar).name
        images = speaking_frames(stages, config, avatar, voice, options.moments)
        cells += [_cell(image, options.cell, name) for image in images]
        gallery.append(_cell(_middle(images[-1], GALLERY_SHARE), GALLERY_CELL_PX, ""))
        if options.frames is not None:
            options.frames.mkdir(parents=True, exist_ok=True)
            for index, image in enumerate(images):
                cv2.imwrite(str(options.frames / f"{name}-{index}.png"), image)
    _sheet(cells, options.columns, options.out)
    if options.gallery is not None:
        _sheet(gallery, GALLERY_COLUMNS, options.gallery)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
