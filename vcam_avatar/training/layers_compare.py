"""The layer network beside the rules it replaces, on people never trained on.

``python -m vcam_avatar.training.layers_compare --bodies DIR [--models DIR]``: intersection over union of each
arm with its hand, of the core, and of what arms hide of it, all below the shoulders' caps. Both get the exact
mask and keypoints.
"""

import argparse
from pathlib import Path

import numpy as np

from vcam_avatar.avatars.layers_apply import take_arm, torso_behind
from vcam_avatar.avatars.layers_core import make_core
from vcam_avatar.avatars.layers_fill import Mask, distance_to_bone
from vcam_avatar.avatars.layers_parts import (
    ARM_PARTS,
    NETWORK,
    SIDE_PX,
    PartMaps,
    network_input,
    place_maps,
)
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene, find_arm
from vcam_avatar.avatars.layers_torso import claim_skin, skin_map, trim_forearms
from vcam_avatar.factory.scene import over, sample_background
from vcam_avatar.inference import Network
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.resources import models_dir
from vcam_avatar.stages.pose_layout import ARMS, HAND_POINTS
from vcam_avatar.stages.pose_retarget import Retargeter
from vcam_avatar.training.layers_data import LayerSet, load_people

NAMES = ("right_arm", "left_arm", "core", "hidden_core")


def scene_of(
    picture_bgr: ByteArray, alpha: ByteArray, seen: FloatArray, face: FloatArray
) -> tuple[Scene, list[ArmSeen]]:
    """A factory picture as the rules see it, arms not looked for yet; keypoints ``(57, 3)`` exact."""
    target = Retargeter(seen)
    points = target.to_pixels(target.start_pose)
    xs, ys = np.meshgrid(
        np.arange(SIDE_PX, dtype=np.float32) + 0.5, np.arange(SIDE_PX, dtype=np.float32) + 0.5
    )
    scene = Scene(
        picture_bgr.astype(np.float32), np.stack([xs, ys], -1), target.unit_px, alpha > 127,
        np.asarray(alpha, np.float32) / np.float32(255), points, face,
    )  # fmt: skip
    arms = []
    for side, (s, e, w, h) in zip((-1.0, 1.0), ARMS, strict=True):
        hand = float(seen[h : h + HAND_POINTS, 2].mean()) > 0.5
        arms.append(
            ArmSeen(
                points[s],
                points[e],
                points[w],
                points[h : h + HAND_POINTS],
                side,
                hand,
                bool(min(seen[s, 2], seen[e, 2]) > 0.3),
                *target.bone_lengths_px,
            )
        )
    return scene, arms


def by_rules(scene: Scene, arms: list[ArmSeen]) -> list[Mask]:
    """Both arms and the core without the network."""
    for arm in arms:
        find_arm(scene, arm)
    bare = skin_map(scene, arms)
    trim_forearms(scene, arms, bare)
    claim_skin(scene, arms, bare)
    return _masks(scene, arms, make_core(scene, arms, bare))


def by_network(scene: Scene, arms: list[ArmSeen], parts: PartMaps) -> tuple[list[Mask], int]:
    """The same with it, and how many of the two arms it was believed for."""
    for arm in arms:
        find_arm(scene, arm)
        arm.known = take_arm(scene, arm, parts)
    bare = skin_map(scene, arms)
    guessed = [arm for arm in arms if not arm.known]
    trim_forearms(scene, guessed, bare)
    claim_skin(scene, arms, bare)
    core = make_core(scene, arms, bare, None if guessed else torso_behind(scene, parts))
    return _masks(scene, arms, core), 2 - len(guessed)


def _masks(scene: Scene, arms: list[ArmSeen], core_bgra: ByteArray) -> list[Mask]:
    return [*(np.asarray(arm.region) & scene.person for arm in arms), core_bgra[..., 3] > 127]


def _caps(scene: Scene, arms: list[ArmSeen]) -> Mask:
    """Both shoulders' caps: the core draws them, the factory counts them to the arms."""
    out = np.zeros(scene.person.shape, bool)
    for arm in arms:
        distance, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        out |= (along < 0.4) & (distance < 0.35 * scene.unit)
    return out


def compare(people: LayerSet, net: Network, count: int) -> dict[str, dict[str, float]]:
    """Overlap by way and name over ``count`` people together; ``believed`` is the share of arms."""
    sums = {way: np.zeros((2, len(NAMES))) for way in ("rules", "network")}
    believed = 0
    rows = range(min(count, len(people)))
    for row in rows:
        wall = sample_background(np.random.default_rng(row), SIDE_PX, SIDE_PX)
        picture = np.ascontiguousarray(over(people.rgba[row], wall)[..., ::-1])
        alpha, label, seen = people.rgba[row, ..., 3], people.label[row], people.points[row].copy()
        seen[[1, 2, 5], 2] = 1  # long hair may hide the shoulders, not where they are
        face = people.face[row]
        planes, square = network_input(picture, alpha, seen)
        parts = place_maps(net.run({"planes": planes[None]})["shares"][0], square, picture)
        truth = [np.isin(label, ARM_PARTS[side]) for side in ("right", "left")]
        truth.append(people.core[row] > 127)
        found: dict[str, list[Mask]] = {"rules": by_rules(*scene_of(picture, alpha, seen, face))}
        found["network"], sure = by_network(*scene_of(picture, alpha, seen, face), parts)
        believed += sure
        hidden = truth[0] | truth[1]
        compared = ~_caps(*scene_of(picture, alpha, seen, face))
        for way, masks in found.items():
            pairs = [*zip(masks, truth, strict=True), (masks[2] & hidden, truth[2] & hidden)]
            for k, (a, b) in enumerate(pairs):
                sums[way][0, k] += (a & b & compared).sum()
                sums[way][1, k] += ((a | b) & compared).sum()
    out = {
        way: dict(zip(NAMES, (s[0] / np.maximum(s[1], 1)).tolist(), strict=True)) for way, s in sums.items()
    }
    out["believed"] = {"share": believed / (2 * len(rows))}
    return out


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=Path, nargs="+", required=True)
    parser.add_argument("--models", type=Path, default=None)
    parser.add_argument("--count", type=int, default=60)
    args = parser.parse_args(argv)
    _, held = load_people(args.bodies, 1, 0)
    net = Network((args.models or models_dir()) / f"{NETWORK}.onnx")
    for way, values in compare(held, net, args.count).items():
        print(f"{way:9}", "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
