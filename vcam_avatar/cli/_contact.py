"""A page of small pictures from a video, with what is heard under each."""

from pathlib import Path

import av
import cv2
import numpy as np

from vcam_avatar.media import ByteArray

_COLUMNS = 5
_TILE_WIDTH_PX = 384
_BAR_PX = 22
_BINS_PER_S = 7


def write_contact_sheet(video: Path, sheet: Path, tiles: int = 20) -> None:
    """Write ``tiles`` evenly spaced frames of ``video`` as one PNG.

    Under each frame stand its time and a bar as long as the sound around it is loud, so that the eye
    can tell whether mouth and gestures belong to the voice.
    """
    levels = _levels(video)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        count = stream.frames or sum(1 for _ in container.decode(video=0))
    wanted = set(np.linspace(0, count - 1, min(tiles, count)).round().astype(int).tolist())
    pictures: list[ByteArray] = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                pictures.append(_tile(frame, levels))
    blank = np.full_like(pictures[0], 255)
    while len(pictures) % _COLUMNS:
        pictures.append(blank)
    rows = [np.hstack(pictures[i : i + _COLUMNS]) for i in range(0, len(pictures), _COLUMNS)]
    ok, data = cv2.imencode(".png", np.vstack(rows))
    if not ok:
        raise ValueError("the contact sheet cannot be encoded")
    sheet.write_bytes(data.tobytes())


def _tile(frame: av.VideoFrame, levels: dict[int, float]) -> ByteArray:
    image = frame.reformat(format="bgr24", src_colorspace="ITU709").to_ndarray()
    height = round(_TILE_WIDTH_PX * image.shape[0] / image.shape[1])
    small = cv2.resize(image, (_TILE_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    bar = np.full((_BAR_PX, _TILE_WIDTH_PX, 3), 32, np.uint8)
    time_s = float(frame.time or 0.0)
    loud = levels.get(int(time_s * _BINS_PER_S), 0.0)
    cv2.rectangle(bar, (70, 6), (70 + round((_TILE_WIDTH_PX - 80) * loud), _BAR_PX - 6), (80, 200, 80), -1)
    cv2.putText(
        bar, f"{time_s:5.2f} s", (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA
    )
    return np.vstack([small, bar])


def _levels(video: Path) -> dict[int, float]:
    """Loudness 0 to 1 by seventh of a second: longer than any packet of sound, so that none is empty."""
    squares: dict[int, list[float]] = {}
    with av.open(str(video)) as container:
        if not container.streams.audio:
            return {}
        for part in container.decode(audio=0):
            samples = part.to_ndarray().astype(np.float64)
            key = int(float(part.time or 0.0) * _BINS_PER_S)
            squares.setdefault(key, []).append(float(np.mean(samples**2)))
    decibels = {key: 10 * np.log10(np.mean(values) + 1e-12) for key, values in squares.items()}
    return {key: float(np.clip((value + 60) / 50, 0, 1)) for key, value in decibels.items()}
