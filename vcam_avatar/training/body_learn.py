"""``vcam-avatar train body``: an avatar learns from a video of its person what one picture does not show.

As in "Everybody Dance Now" the video belongs to this one person, but no network has to grow a body from it:
the avatar is drawn in the poses of the video, and what differs from the truth is taken over - how head and
clothes bend (a regression on optical flow), the torso and the room behind the arms (medians of frames bent
back into the picture's pose), the sleeves (the frame that explains the others best) and the colour of the
skin. The last fifth of the video is held out; only what makes that better is kept.
"""

import argparse
import datetime
import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vcam_avatar.avatars.format import Avatar, find_avatar, load_avatar
from vcam_avatar.avatars.layers import Layers
from vcam_avatar.avatars.layers_build import avatar_layers
from vcam_avatar.avatars.learnt import About, Learnt, MotionTable, forget_learnt, save_learnt
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.resources import presets_dir, user_data_dir
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.training.learn_arms import learn_skin, learn_sleeves
from vcam_avatar.training.learn_clip import lay_over, track_video
from vcam_avatar.training.learn_layers import learn_room, learn_torso
from vcam_avatar.training.learn_motion import fit_motion
from vcam_avatar.training.learn_scene import Scene

HELD_OUT = 0.2
"""Share of the video, at its end, that is not learnt from."""
_FRAMES_A_MINUTE = 200
"""Frames that are looked at for every minute that learning may take."""
_MEASURED, _JUDGED, _MEDIAN, _FLOWS, _SLEEVES = 40, 24, 40, 200, 70
"""Most frames for the figures, for decisions, for medians, for flow, and to cut sleeves from."""
_ALIKE = 0.16
"""Greatest mean difference between drawn and true heads and torsos of one person in the same clothes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    layers: Layers
    motion: MotionTable | None
    frames: int
    before: dict[str, float]
    after: dict[str, float]

    @property
    def better(self) -> bool:
        """Whether it is worth keeping: no measure of the whole picture worse, and one of them better."""
        a, b = self.before, self.after
        return b["l1"] <= a["l1"] and b["psnr"] >= a["psnr"] and b["ssim"] >= a["ssim"] - 1e-3 and a != b


def learn(scene: Scene, train: list[int], held: list[int], say: Callable[[str], None]) -> Result:
    """Learn from the frames ``train`` and measure on ``held``; nothing that makes ``train`` worse is kept.

    Raises:
        AvatarDataError: the video does not look like the picture.
    """
    judge = _some(train, _JUDGED)
    layers, motion = scene.layers, None
    body = scene.prepare(layers)
    before = scene.measure(body, held)
    _check_alike(scene, judge)
    say("how head and clothes move")
    error = scene.error(body, judge)
    flows = _some(train, _FLOWS)
    first = fit_motion(scene, body, flows)
    fresh = scene.error(scene.prepare(layers, first), judge)
    if fresh < error:
        motion, error = first, fresh
    middle = _some(train, _MEDIAN)
    steps: tuple[tuple[str, Callable[[Layers], Layers]], ...] = (
        ("the room behind", lambda now: learn_room(scene, now, middle)),
        ("what the arms hide", lambda now: learn_torso(scene, now, scene.prepare(now, motion), middle)),
        ("skin", lambda now: learn_skin(scene, now, motion, judge)),
        ("sleeves", lambda now: learn_sleeves(scene, now, motion, _some(train, _SLEEVES), judge)),
    )
    for what, change in steps:
        say(what)
        changed = change(layers)
        fresh = scene.error(scene.prepare(changed, motion), judge)
        if fresh < error:
            layers, error = changed, fresh
    say("how head and clothes move, again")
    again = fit_motion(scene, scene.prepare(layers, motion), flows, motion)
    if scene.error(scene.prepare(layers, again), judge) < error:
        motion = again
    after = scene.measure(scene.prepare(layers, motion), held)
    return Result(layers, motion, len(train), before, after)


def _some(numbers: list[int], most: int) -> list[int]:
    """At most ``most`` of them, spread evenly."""
    return [numbers[int(k)] for k in np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round()]


def _check_alike(scene: Scene, numbers: list[int]) -> None:
    apart = []
    body = scene.prepare(scene.layers)
    for number in numbers:
        drawn, truth = scene.draw(body, number), scene.truth(number)
        seen = np.zeros((*drawn.shape[:2], 4), np.uint8)
        body.core.draw(seen, body.bent)
        area = (seen[..., 3] > 200) & (scene.arms(scene.places(number)) == 0)
        if area.any():
            apart.append(float(np.abs(drawn[area].astype(np.float32) - truth[area]).mean()) / 255)
    if not apart or float(np.median(apart)) > _ALIKE:
        raise AvatarDataError(
            "the video does not look like the avatar's picture: another person, other clothes or light; "
            "use a video filmed like the picture, or make the avatar from a frame of the video"
        )


def learn_avatar(avatar: Avatar, video: Path, minutes: float, say: Callable[[str], None]) -> Result:
    """Everything from the files on; nothing is written but the memory of what was seen in the video."""
    memory = _memory(avatar, video)
    say("looking for the person in the video")
    track = track_video(video, max(60, round(minutes * _FRAMES_A_MINUTE)), memory, say)
    clip = lay_over(track, avatar.picture_bgr, avatar.points_px)
    picture = np.dstack([avatar.picture_bgr, avatar.person_alpha])
    scene = Scene(BodyGenerator(), avatar_layers(avatar), picture, avatar.points_px, avatar.face_px, clip)
    first = int(len(clip) * (1 - HELD_OUT))
    result = learn(scene, list(range(first)), _some(list(range(first, len(clip))), _MEASURED), say)
    shutil.rmtree(memory.parent, ignore_errors=True)
    return result


def _memory(avatar: Avatar, video: Path) -> Path:
    state = video.stat()
    key = hashlib.sha256(f"{video.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:16]
    return user_data_dir() / "learning" / f"{avatar.name}-{key}" / "track.npz"


def table(before: dict[str, float], after: dict[str, float]) -> str:
    """Both sets of figures in a few lines."""
    lines = [f"{'held-out frames':20} {'before':>8} {'after':>8}"]
    names = {
        "l1": "difference (L1)",
        "psnr": "PSNR, dB",
        "ssim": "SSIM",
        "hand_l1": "hands, L1",
        "hand_ssim": "hands, SSIM",
    }
    lines += [f"{text:20} {before[key]:8.4g} {after[key]:8.4g}" for key, text in names.items()]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """``vcam-avatar train body``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--avatar", required=True, help="one of your own avatars")
    parser.add_argument(
        "--video", type=Path, help="the avatar's person talking, in the clothes of the picture"
    )
    parser.add_argument("--minutes", type=float, default=4, help="about how long it may take (default: 4)")
    parser.add_argument("--forget", action="store_true", help="remove what the avatar has learnt")
    options = parser.parse_args(argv)
    folder = find_avatar(options.avatar)
    if folder.resolve().parent == presets_dir().resolve():
        raise AvatarDataError(
            f"{folder.name} came with the program and stays as it is; make a copy of your own first: "
            f"vcam-avatar avatars export {folder.name}  and  vcam-avatar avatars import {folder.name}.avatar "
            f"--name my-{folder.name}"
        )
    if options.forget:
        done = forget_learnt(folder)
        print(f"{folder.name} has forgotten it" if done else f"{folder.name} had not learnt anything")
        return 0
    if options.video is None:
        print(
            f"there is nothing to learn from: {folder.name}'s picture is used to the full already; give a "
            "video of the person with --video; nothing was changed"
        )
        return 0
    if not options.video.is_file():
        raise AvatarDataError(f"{options.video} does not exist")
    started = time.perf_counter()
    avatar = load_avatar(folder)
    result = learn_avatar(
        avatar, options.video, options.minutes, lambda text: print(f"{text} ...", flush=True)
    )
    print(table(result.before, result.after))
    spent = f"{result.frames} frames, {(time.perf_counter() - started) / 60:.1f} minutes"
    if not result.better:
        print(f"not better ({spent}): {folder.name} stays as it was")
        return 0
    about = About(
        options.video.name, datetime.date.today().isoformat(), result.frames, result.before, result.after
    )
    place = save_learnt(folder, Learnt(result.layers, result.motion, about))
    print(f"kept ({spent}): {place}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
