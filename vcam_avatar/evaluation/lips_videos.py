"""Nine videos with sound, and strips of frames around their p, b and m to be looked at.

python -m vcam_avatar.evaluation.lips_videos OUT --sets SETS [--only NAME...] [--judge]

Every closure is judged in the picture: the face detector measures the gap between the drawn lips in the
frames from 40 ms before the phone to 40 ms after it. Right is a gap below a tenth of the video's open vowels.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile

from vcam_avatar.avatars.mesh import landmarks68
from vcam_avatar.avatars.people import PeopleReader
from vcam_avatar.evaluation.lips_scenes import Scene, scenes
from vcam_avatar.media import SAMPLE_RATE_HZ, ByteArray, face_crop_matrix
from vcam_avatar.stages.face_picture import cut_crop
from vcam_avatar.stages.face_prepared import lip_gap

FPS = 25.0
_CLOSURES = 10
_FRAMES = 4
"""Frames shown before and after the middle of a closure."""
_TILE_PX = 160
_TOLERANCE_MS = 40
_SHUT_SHARE, _OPEN_GAP = 0.1, 0.05


@dataclass(frozen=True, slots=True)
class Judged:
    """What one video shows."""

    name: str
    right: int
    """Closures that are closed in the picture."""
    wrong: int
    ratio: float
    """Mean gap of open vowels over mean gap of closures; 0 without any."""
    open_percent: float
    """Frames with parted lips, of those looked at."""


def render(scene: Scene, out: Path) -> Path:
    """Write the scene's sound and its video, as a user would."""
    sound = out / f"{scene.name}.wav"
    soundfile.write(sound, scene.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    video = out / f"{scene.name}.mp4"
    command = [sys.executable, "-c", "from vcam_avatar.cli.main import main; raise SystemExit(main())"]
    command += ["render", str(sound), "-o", str(video), "--overwrite", "--quiet", "--avatar", scene.avatar]
    subprocess.run(command, check=True)
    return video


class _Video:
    """Frames of a video on demand, the gap between the lips in them, and the face cut out."""

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path))
        self._reader = PeopleReader(1)
        self._seen: dict[int, tuple[float, ByteArray]] = {}
        self.count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def read(self, wanted: set[int]) -> None:
        """Go through the video once and measure frames ``wanted``."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        for n in range(self.count):
            if not self._capture.grab():
                break
            if n in wanted:
                _, frame = self._capture.retrieve()
                self._seen[n] = self._measured(np.asarray(frame, np.uint8))

    def _measured(self, frame: ByteArray) -> tuple[float, ByteArray]:
        faces = self._reader.faces(np.ascontiguousarray(frame[..., ::-1]))
        if not faces:
            return float("nan"), np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8)
        points = landmarks68(faces[0].mesh_px)
        face = cut_crop(frame, face_crop_matrix(points), 2 * _TILE_PX)
        quarter = _TILE_PX // 2
        mouth = face[round(0.4 * 2 * _TILE_PX) :, quarter : quarter + _TILE_PX][:_TILE_PX]
        return lip_gap(points), np.ascontiguousarray(mouth)

    def gap(self, frame: int) -> float:
        """Gap over mouth width, nan without a face."""
        return self._seen[frame][0] if frame in self._seen else float("nan")

    def mouth(self, frame: int) -> ByteArray:
        """Square around the mouth."""
        return self._seen[frame][1] if frame in self._seen else np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8)


def _frame_of(ms: float) -> int:
    """The frame that shows the instant ``ms``: a frame shows the middle of its unit."""
    return int(ms * FPS / 1000)


def judge(scene: Scene, video: Path, out: Path) -> Judged:
    """Measure ten closures in the picture and write the strip of frames around them."""
    shown = _Video(video)
    chosen = _spread(scene.closures_ms, _CLOSURES)
    vowels = [_frame_of((a + b) / 2) for a, b in _spread(scene.open_ms, 30)]
    around = {
        n
        for a, b in chosen
        for n in range(_frame_of((a + b) / 2) - _FRAMES, _frame_of((a + b) / 2) + _FRAMES + 1)
    }
    sampled = set(range(0, shown.count, 5)) if not chosen else set()
    shown.read(around | set(vowels) | sampled)
    open_gaps = np.array([shown.gap(n) for n in vowels])
    typical = float(np.nanpercentile(open_gaps, 75)) if len(open_gaps) else _OPEN_GAP / _SHUT_SHARE
    least = []
    for a, b in chosen:
        frames = range(_frame_of(a - _TOLERANCE_MS), _frame_of(b + _TOLERANCE_MS) + 1)
        least.append(float(np.nanmin([shown.gap(n) for n in frames])))
    right = [gap < _SHUT_SHARE * typical for gap in least]
    if chosen:
        rows = [_strip(scene, shown, span, ok) for span, ok in zip(chosen, right, strict=True)]
        cv2.imwrite(str(out / f"{scene.name}_strip.jpg"), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 90])
    parted = [shown.gap(n) > _OPEN_GAP for n in sampled]
    return Judged(
        scene.name,
        sum(right),
        len(right) - sum(right),
        round(float(np.nanmean(open_gaps)) / max(float(np.mean(least)), 1e-3), 1) if least else 0.0,
        round(100 * float(np.mean(parted)), 1) if parted else 0.0,
    )


def _spread(spans: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Up to ``count`` of them, from the first to the last."""
    if not spans:
        return []
    return [spans[n] for n in np.unique(np.linspace(0, len(spans) - 1, count).round().astype(int))]


def _strip(scene: Scene, shown: _Video, span: tuple[int, int], right: bool) -> ByteArray:
    """Frames around one closure over the wave; the phone is marked below them."""
    middle = _frame_of(sum(span) / 2)
    frames = list(range(middle - _FRAMES, middle + _FRAMES + 1))
    row = np.hstack([shown.mouth(n) for n in frames])
    for k, n in enumerate(frames):
        text = f"{n / FPS:.2f} s {shown.gap(n):.2f}"
        cv2.putText(row, text, (k * _TILE_PX + 4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3)
        cv2.putText(row, text, (k * _TILE_PX + 4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
    wave: ByteArray = np.full((40, row.shape[1], 3), 255, np.uint8)
    start_ms = frames[0] * 1000 / FPS
    per_px = len(frames) * 1000 / FPS / row.shape[1]
    left, end = (int((ms - start_ms) / per_px) for ms in span)
    wave[:, max(0, left) : max(0, end)] = (150, 220, 150) if right else (120, 120, 255)
    for x in range(row.shape[1]):
        first = int((start_ms + x * per_px) * 16)
        part = scene.samples[max(0, first) : max(0, first + round(per_px * 16) + 1)]
        height = min(19, int(np.abs(part).max() * 60)) if len(part) else 0
        wave[20 - height : 21 + height, x] = (90, 60, 20)
    return np.vstack([row, wave])


def main(argv: list[str] | None = None) -> int:
    """Render and judge; print a table and write ``judged.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=Path, default=Path(".work/lips/sets"))
    parser.add_argument("--only", nargs="+", help="names of scenes")
    parser.add_argument("--judge", action="store_true", help="judge the videos that are there already")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    for scene in scenes(options.sets):
        if options.only and scene.name not in options.only:
            continue
        video = options.out / f"{scene.name}.mp4"
        if not (options.judge and video.is_file()):
            render(scene, options.out)
        judged = judge(scene, video, options.out)
        results.append(asdict(judged))
        print(
            f"{judged.name:15} closures right {judged.right}, wrong {judged.wrong}; open vowels / closures "
            f"{judged.ratio}; parted lips {judged.open_percent} %",
            flush=True,
        )
    (options.out / "judged.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
