"""Batches for the limb refiner: crops as the network sees them, beside what it should have drawn."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from vcam_avatar.stages.body_refine import CHANNELS
from vcam_avatar.training.body_crops import HELD_OUT

SIZE = 64
"""Side of the crop that the network sees."""
STORED_PX = 104
"""Side of the stored crops: some room for jitter."""
_SMALLEST = 86
"""Least part of a stored crop that is shown."""
_WORST_FIT = 0.085
"""Palm lengths: hands of videos that were fitted worse are left out."""
_SMOOTH_PX = (7, 7)
_OTHER_HUE, _OTHER_LIGHT = 15, 48
"""Grey levels: greater differences over some pixels are not a matter of light."""
_HELD_OUT_EVERY = 20
"""Of synthetic people."""


def dressed_otherwise(drawn: Any, real: Any) -> Any:
    """Where one shows skin and the other cloth, or cloth of another colour: uint8 ``(S, S)``, 0 or 1.

    A network that is shown sleeves where bare arms were drawn paints stains of cloth on arms.
    """
    change = cv2.blur(real.astype(np.float32) - drawn, _SMOOTH_PX)
    light = change.mean(2)
    hue = np.abs(change - light[..., None]).max(2)
    other = ((hue > _OTHER_HUE) | (np.abs(light) > _OTHER_LIGHT)).astype(np.uint8)
    return cv2.dilate(other, np.ones(_SMOOTH_PX, np.uint8))


class Pairs:
    """All stored pairs, with neighbours in time."""

    def __init__(self, folder: Path, held_out: bool, videos: Path | None = None) -> None:
        """Read what ``body_crops_people`` and, from ``videos``, what ``body_crops`` have made.

        Args:
            held_out: the pairs that are never trained on, or all others.
        """
        self.rows: list[tuple[Any, Any, Any]] = []
        """Of one crop: drawn and mesh's alpha, real and limb (both ``(S, S, 4)``), and region ``(S, S)``."""
        self.kinds: dict[str, list[tuple[int, int]]] = {"hand": [], "elbow": [], "video": []}
        """By kind: rows of one frame and of its neighbour."""
        self._folder, self._held_out = folder, held_out
        self._known: set[str] = set()
        for file in sorted(videos.glob("*.npz")) if videos is not None else ():
            name = file.stem.split("_")[0]
            if name in HELD_OUT:
                with np.load(file) as data:
                    self._video(dict(data), HELD_OUT[name], held_out)
        self.refresh()

    def refresh(self) -> None:
        """Read what has been made since."""
        for file in sorted(self._folder.glob("person_[0-9]*.npz")):
            mine = (int(file.stem.split("_")[1][:5]) % _HELD_OUT_EVERY == 0) == self._held_out
            if mine and file.suffixes == [".npz"] and file.name not in self._known:
                self._known.add(file.name)
                with np.load(file) as data:
                    self._people(dict(data))

    def _people(self, data: dict[str, Any]) -> None:
        last: dict[int, int] = {}
        for i, moment in enumerate(data["moment"].tolist()):
            kind = self.kinds["hand" if data["hand"][i] else "elbow"]
            here = len(self.rows)
            self._row(data["drawn"][i], data["real"][i], data["limb"][i])
            if moment in last:
                kind[-1 - kind[::-1].index((last[moment], last[moment]))] = (last[moment], here)
            else:
                kind.append((here, here))
            last[moment] = here

    def _video(self, data: dict[str, Any], limit: int, held_out: bool) -> None:
        frame, error = data["frame"], data["error"]
        size = (STORED_PX, STORED_PX)
        for i in range(1, len(frame)):
            mine = (frame[i - 1] >= limit) == held_out and (frame[i] >= limit) == held_out
            if not mine or frame[i] - frame[i - 1] > 2 or max(error[i - 1], error[i]) >= _WORST_FIT:
                continue
            here = len(self.rows)
            for k in (i - 1, i):
                drawn = cv2.resize(data["drawn"][k], size, interpolation=cv2.INTER_AREA)
                real = cv2.resize(data["real"][k], size, interpolation=cv2.INTER_AREA)
                drawn = np.dstack([drawn, drawn[..., 3]])
                self._row(drawn, real, np.full(size, 255, np.uint8))
            self.kinds["video"].append((here, here + 1))

    def _row(self, drawn: Any, real: Any, limb: Any) -> None:
        limb = limb * (1 - dressed_otherwise(drawn[..., :3], real))
        self.rows.append((drawn[..., :4].copy(), np.dstack([real, limb]), drawn[..., 4].copy()))

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.kinds.values())

    def batch(
        self, count: int, rng: np.random.Generator, kinds: tuple[str, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """Conditions ``(count, 2, 5, S, S)`` and wanted crops ``(count, 2, 3, S, S)``, jittered alike.

        Wanted is the real limb where one was drawn, and what was drawn everywhere else. ``kinds``: by
        default every kind as often as the others.
        """
        names = [name for name, rows in self.kinds.items() if rows and (not kinds or name in kinds)]
        out = np.empty((count, 2, CHANNELS + 3, SIZE, SIZE), np.float32)
        for n in range(count):
            rows = self.kinds[names[int(rng.integers(len(names)))]]
            pair = rows[int(rng.integers(len(rows)))]
            size = int(rng.integers(_SMALLEST, STORED_PX + 1))
            x, y = rng.integers(0, STORED_PX - size + 1, 2)
            flip = bool(rng.random() < 0.5)
            gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3)).astype(np.float32)
            power = np.float32(np.exp(rng.normal(0, 0.12)))
            tone: Any = np.clip((np.arange(256)[:, None] / 255) ** power * gain * 255 + 0.5, 0, 255)
            tone = np.concatenate([tone, np.arange(256)[:, None]], 1).astype(np.uint8)[None]
            for k, i in enumerate(pair):
                parts = [np.ascontiguousarray(part[y : y + size, x : x + size]) for part in self.rows[i]]
                small = [cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for part in parts]
                seen, wanted = cv2.LUT(small[0], tone), cv2.LUT(small[1], tone)
                share = (
                    small[2] * np.float32(1 / 255) * (cv2.blur(wanted[..., 3], (3, 3)) * np.float32(1 / 255))
                )
                whole = np.dstack([seen, small[2], wanted[..., :3]]).transpose(2, 0, 1)
                out[n, k] = (whole[..., ::-1] if flip else whole) * np.float32(1 / 255)
                change = out[n, k, CHANNELS:] - out[n, k, :3]
                change *= share[:, ::-1] if flip else share
                out[n, k, CHANNELS:] = out[n, k, :3] + change
        both = torch.from_numpy(out)
        return both[:, :, :CHANNELS], both[:, :, CHANNELS:]
