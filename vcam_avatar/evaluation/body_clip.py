"""Ten seconds of avatars in motion: what pops where layers change, what moves that must not."""

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar import resources
from vcam_avatar.avatars.format import find_avatar, load_avatar
from vcam_avatar.evaluation.avatar_sheet import SAMPLE_RATE_HZ, demo_voice
from vcam_avatar.evaluation.body_poses import sheet_poses
from vcam_avatar.evaluation.pose_material import perform
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.body import BodyGenerator, PreparedBody
from vcam_avatar.stages.hands import load_hand_mesh
from vcam_avatar.stages.pose import NeuralPosePredictor
from vcam_avatar.stages.pose_layout import ARMS

_FRAME = Size(1280, 720)
_FPS = 25
_TALK_S, _STEP_S = 5, 0.5
_WAY = ("", "crossed", "", "two", "before face", "arms wide", "hands open", "", "shrug", "")
"""Poses of the second half, one after the other; "" is the picture's own."""
_NEAR = 0.35
"""In shoulder widths: what is farther from both arms must not change while head and torso rest."""


def clip_poses(body: PreparedBody, voice: FloatArray) -> FloatArray:
    """Five seconds of gestures to ``voice`` and five through all kinds of layer changes: ``(N, 57, 3)``.

    Half a second leads from the one to the other; then head and torso stay in the picture's own pose.
    """
    start = np.array(body.retargeter.start_pose)
    talk = perform(NeuralPosePredictor(), voice[: _TALK_S * SAMPLE_RATE_HZ], 3, start=start)
    poses = sheet_poses(load_hand_mesh(resources.models_dir() / "hand_mesh.npz"))
    arms = [k for s, e, w, h in ARMS for k in (e, w, *range(h, h + 21))]
    stops = []
    for name in _WAY:
        stop = start.copy()
        if name:
            for shoulder, elbow, wrist, hand in ARMS:
                own = [elbow, wrist, *range(hand, hand + 21)]
                stop[own, :2] = poses[name][own, :2] - poses[name][shoulder, :2] + start[shoulder, :2]
        stops.append(stop)
    way = []
    frames = round(_STEP_S * _FPS)
    for k in range(frames):
        t = (k + 1) / frames
        way.append(talk[-1] + (start - talk[-1]) * (t * t * (3 - 2 * t)))
    for a, b in zip(stops, [*stops[1:], start], strict=True):
        for k in range(frames):
            t = min(1.0, k / (0.8 * frames))
            t = t * t * (3 - 2 * t)
            pose = a.copy()
            pose[arms] += (b[arms] - a[arms]) * t
            way.append(pose)
    return np.concatenate([talk, np.stack(way)]).astype(np.float32)


def judge(body: PreparedBody, frames: list[ByteArray], poses: FloatArray) -> dict[str, float]:
    """Figures of one clip, in grey levels.

    Returns:
        ``change``: mean change from frame to frame; ``jump``: how far the worst change exceeds both of
        its neighbours, and ``jump_at``: its frame; ``still``: greatest mean change in the second half of
        pixels far from both arms.
    """
    change = np.array([np.abs(a.astype(np.int16) - b).mean() for a, b in itertools.pairwise(frames)])
    lone = change[1:-1] - np.maximum(change[:-2], change[2:])
    still = 0.0
    for n in range(round((_TALK_S + _STEP_S) * _FPS) + 1, len(frames)):
        far = np.ones(frames[n].shape[:2], np.uint8)
        for pose in (poses[n - 1], poses[n]):
            points = body.retargeter.to_pixels(pose) @ body.view[:, :2].T + body.view[:, 2]
            for s, e, w, h in ARMS:
                line = points[[s, e, w, h + 9, h + 12]].astype(np.int32)
                cv2.polylines(far, [line], False, 0, round(2 * _NEAR * body.core.unit))
        moved = np.abs(frames[n].astype(np.int16) - frames[n - 1])[far > 0]
        still = max(still, float(moved.mean()) if moved.size else 0.0)
    return {
        "change": round(float(change.mean()), 3),
        "jump": round(float(lone.max()), 3),
        "jump_at": int(lone.argmax()) + 2,
        "still": round(still, 4),
    }


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.evaluation.body_clip FOLDER AVATAR...``: a strip and a line for each."""
    parser = argparse.ArgumentParser(description="Ten seconds of avatars in motion.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("avatars", nargs="+", help="names or folders")
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    generator, voice = BodyGenerator(), demo_voice()
    for name in options.avatars:
        body = generator.prepare(load_avatar(find_avatar(name)), _FRAME)
        poses = clip_poses(body, voice)
        frames = [generator.generate(body, pose).image_bgr.copy() for pose in poses]
        found = judge(body, frames, poses)
        print(Path(name).name, found)
        worst = int(found["jump_at"])
        around = range(max(0, worst - 3), min(len(frames), worst + 5))
        rows = [frames[k] for k in (*range(4, len(frames), 8), *around)]
        cells = [cv2.resize(f[:, 200:1080], (308, 252), interpolation=cv2.INTER_AREA) for f in rows]
        cells += [np.zeros_like(cells[0])] * (-len(cells) % 8)
        strip = np.vstack([np.hstack(cells[i : i + 8]) for i in range(0, len(cells), 8)])
        cv2.imwrite(str(options.folder / f"{Path(name).name}.jpg"), strip)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
