"""Pairs for the limb refiner: synthetic people drawn by the first generator, beside the same people rendered.

The avatar is made from a person's first picture and drawn in the keypoints of the others, always with made-up
arms; the crops around hands and elbows are those of ``stages.body_refine``, to the pixel.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.bodies import BodyShot, owner_of, visible_keypoints
from vcam_avatar.factory.expressions import neutral_face, sample_face, sample_gaze
from vcam_avatar.factory.faces import load_person
from vcam_avatar.factory.gestures import sample_pose
from vcam_avatar.factory.renderer import Picture, Renderer
from vcam_avatar.factory.scene import Camera, sample_background
from vcam_avatar.factory.truth import PARTS, full_body_px, landmarks_px
from vcam_avatar.media import ByteArray, Size
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.stages.body_refine import Crop, LimbRefiner, shown
from vcam_avatar.training.body_pairs import STORED_PX

SIZE_PX = 560
"""Side of the rendered pictures."""
POSES = 8
"""Poses of one person."""
_PAIRS = 3
"""How many of them have a neighbour a moment later."""
_MOMENT = 0.07
"""Share of the way to the next pose that is a moment."""
SEED = 330
_WORST_TONE = 42
"""Grey levels: limbs that differ more on average are dressed otherwise."""
_HAND = PARTS.index("hand")
_STORED = (STORED_PX, STORED_PX)
_BORDER = cv2.BORDER_REPLICATE
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


class _Collector(LimbRefiner):
    """Takes the refiner's place: keeps the crops and corrects nothing."""

    def __init__(self) -> None:
        self.size = STORED_PX

    def refine(self, image: ByteArray, crops: list[Crop]) -> None:
        """Keep ``crops``, and what they show."""
        self.crops = crops
        self.seen = [np.rint(shown(image, c).transpose(1, 2, 0) * 255).astype(np.uint8) for c in crops]


def _step_back(camera: Camera, zoom: float) -> Camera:
    """Show more below and beside the person: elbows would be cut off."""
    matrix = camera.matrix.copy()
    matrix[:2] *= zoom
    matrix[1] += (0.97 - zoom) * matrix[3]
    return replace(camera, matrix=matrix)


def _over(picture: Picture, wall: ByteArray) -> ByteArray:
    alpha = picture.rgba[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(picture.rgba[..., 2::-1] * alpha + wall * (1 - alpha)), np.uint8)


def fits(drawn: ByteArray, real: ByteArray, limb: ByteArray, hand: ByteArray, of_hand: bool) -> bool:
    """Whether a limb is seen where it was drawn, and dressed as it was drawn.

    Args:
        drawn: ``shown`` of its crop.
        real: uint8 ``(S, S, 3)`` BGR, the rendered one.
        limb: uint8 ``(S, S)``, 255 on the rendered arm.
        hand: the same for its hand.
        of_hand: hand or elbow.
    """
    region = drawn[..., 4] > 100
    both: Any = region & (limb > 127)
    if region.sum() < 0.02 * region.size or both.sum() < 0.65 * region.sum():
        return False
    tone = drawn[..., :3][both].mean(0) - real[both].mean(0)
    if float(np.abs(tone).max()) > _WORST_TONE:
        return False
    rendered = hand > 127
    return not of_hand or (
        rendered.sum() > 0.02 * hand.size and both.sum() > 0.6 * float((region | rendered).sum())
    )


def align(drawn_hand: ByteArray, hand: ByteArray, place: Any) -> Any:
    """Where the rendered hand lies for the drawn one: ``place`` refined by scale, turn and shift.

    Args:
        drawn_hand: uint8 ``(S, S)``, the drawn hand's alpha.
        hand: uint8 frame, 255 on the rendered hand.
        place: float ``(2, 3)``, crop -> frame.

    Returns:
        ``(2, 3)``, crop -> frame. Hands nearer to the viewer are drawn too small; their light is the same.
    """
    now: Any = cv2.warpAffine(hand, place, drawn_hand.shape[::-1], flags=_WARP)
    if (now > 127).sum() < 40 or (drawn_hand > 127).sum() < 40:
        return place
    soft = [cv2.GaussianBlur(m, (0, 0), 3).astype(np.float32) for m in (drawn_hand, now)]
    warp: Any = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
    try:
        _, warp = cv2.findTransformECC(soft[0], soft[1], warp, cv2.MOTION_AFFINE, stop)
    except cv2.error:  # they are too different
        return place
    return np.concatenate([place[:, :2] @ warp[:, :2], (place[:, :2] @ warp[:, 2] + place[:, 2])[:, None]], 1)


class PairMaker:
    """Makes the pairs of one person after the other."""

    def __init__(self, assets: AssetFolder, seed: int = SEED) -> None:
        self._assets, self._seed = assets, seed
        self._renderer = Renderer(SIZE_PX, SIZE_PX, 2)
        self._generator = BodyGenerator(refine=False)
        self._collector = _Collector()
        self._generator.refiner = self._collector

    def person(self, index: int) -> dict[str, Any]:
        """Pairs of person number ``index``.

        Returns:
            ``drawn`` uint8 ``(n, S, S, 5)`` as the network sees it, ``real`` ``(n, S, S, 3)`` BGR, ``limb``
            ``(n, S, S)`` where the rendered arm is; ``hand`` bool, ``moment`` int: crops of one limb with
            the same number are neighbours in time.
        """
        rng = np.random.default_rng([self._seed, index, 9])
        shot = BodyShot(rng, "photo", self._assets, SIZE_PX)
        shot.camera = _step_back(shot.camera, float(rng.uniform(0.68, 0.85)))
        load_person(self._renderer, shot.person)
        wall = np.ascontiguousarray(sample_background(rng, SIZE_PX, SIZE_PX)[..., ::-1])
        neutral = neutral_face(shot.gaze)
        posed = shot.pose(shot.first, neutral)
        first = shot.draw(self._renderer, posed, neutral)
        points = full_body_px(posed, shot.camera.matrix, SIZE_PX, SIZE_PX)
        points[:, 2] = visible_keypoints(points, first, shot.camera.depth_per_dm)
        marks = landmarks_px(posed, shot.camera.matrix, SIZE_PX, SIZE_PX)
        points = points[:57].astype(np.float32)
        inside: Any = ((points[:, :2] > -20) & (points[:, :2] < SIZE_PX + 20)).all(1)
        points[:15, 2] = inside[:15]
        bgra = np.ascontiguousarray(first.rgba[..., [2, 1, 0, 3]])
        layers = build_layers(bgra, points, marks, first.rgba[..., 3])
        body = self._generator.prepare_layers(
            layers, points, marks, np.array([[1, 0, 0], [0, 1, 0]], np.float32), Size(SIZE_PX, SIZE_PX),
            background=wall, picture_width_px=SIZE_PX,
        )  # fmt: skip
        rows: dict[str, list[Any]] = {n: [] for n in ("drawn", "real", "limb", "hand", "moment")}
        for k in range(POSES):
            a, b = sample_pose(rng, shot.person), sample_pose(rng, shot.person)
            state = sample_face(rng, sample_gaze(rng, float(a.head[0]), float(a.head[1])))
            for step in range(2 if k < _PAIRS else 1):
                posed = shot.pose(a.mixed(b, _MOMENT * step), state)
                picture = shot.draw(self._renderer, posed, state)
                truth = full_body_px(posed, shot.camera.matrix, SIZE_PX, SIZE_PX)
                body.reset()
                self._generator.draw(body, truth[:57, :2].astype(np.float32))
                self._keep(rows, picture, _over(picture, wall), 4 * k)
        out: dict[str, Any] = {name: np.array(values) for name, values in rows.items()}
        return out

    def _keep(self, rows: dict[str, list[Any]], picture: Picture, truth: ByteArray, moment: int) -> None:
        owner = owner_of(picture)
        for crop, drawn in zip(self._collector.crops, self._collector.seen, strict=True):
            x, y, length = crop.box
            inside = np.clip([x, y, x + length, y + length], 0, SIZE_PX)
            if (inside[2:] - inside[:2]).prod() < 0.7 * length**2:
                continue
            mine = np.uint8(255) * (owner == (2 if crop.limb.name == "right" else 3))
            hand = mine * (picture.part == _HAND)
            step = length / STORED_PX
            place = np.array([[step, 0, x + step / 2 - 0.5], [0, step, y + step / 2 - 0.5]])
            if crop.of_hand:
                small = cv2.resize(crop.mesh[..., 1], _STORED, interpolation=cv2.INTER_AREA)
                place = align(np.asarray(small, np.uint8), hand, place)
            real, limb, hand = (
                np.asarray(cv2.warpAffine(part, place, _STORED, flags=_WARP, borderMode=_BORDER), np.uint8)
                for part in (truth, mine, hand)
            )
            if fits(drawn, real, limb, hand, crop.of_hand):
                rows["drawn"].append(drawn)
                rows["real"].append(real)
                rows["limb"].append(limb)
                rows["hand"].append(crop.of_hand)
                rows["moment"].append(moment + 2 * crop.of_hand + (crop.limb.name == "right"))


def main(argv: list[str] | None = None) -> int:
    """Make the pairs of ``--count`` people from ``--first`` on, one file each; goes on where it stopped."""
    parser = argparse.ArgumentParser(description="Pairs for the limb refiner from synthetic people.")
    parser.add_argument("--out", type=Path, default=Path(".work/limb_pairs"))
    parser.add_argument("--assets", type=Path, help="MakeHuman system assets: hair, clothes, skins")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=350)
    parser.add_argument("--minutes", type=float, help="stop after this time; call again to go on")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    maker = PairMaker(AssetFolder(options.assets))
    for index in range(options.first, options.first + options.count):
        file = options.out / f"person_{index:05d}.npz"
        if file.is_file():
            continue
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            break
        start = time.monotonic()
        arrays = maker.person(index)
        partial = file.with_suffix(".tmp.npz")
        np.savez(partial, **arrays)
        partial.replace(file)
        print(f"{file.name}: {len(arrays['moment'])} crops, {time.monotonic() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
