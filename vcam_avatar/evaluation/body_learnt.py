"""B2 for a person with a video: avatars made of one held-out frame, before and after learning from the rest.

``python -m vcam_avatar.evaluation.body_learnt [--data DATA] [--people demo3 ...] [--sheets FOLDER]``. The
frames, keypoints and measures are those of B2; demo3 learns from the frames before 450, the others from all
but the last fifth.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.evaluation.body_compare import Sums, hand_boxes
from vcam_avatar.media import ByteArray
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.training.body_learn import Result, learn, table
from vcam_avatar.training.learn_clip import Clip, read_video
from vcam_avatar.training.learn_scene import Scene
from vcam_avatar.training.pose_sources import read_steady

_TOP, _SIDE = 420, 1080
"""The rows of the portrait videos that are looked at."""
_FIRST_HELD = {"demo3": 450}
_MOST_HELD, _MOST_LEARNT = 24, 300


@dataclass(frozen=True)
class Person:
    """A person of the set, ready to learn."""

    scene: Scene
    train: list[int]
    held: list[int]
    source: int
    """The frame that is the picture, a number of the clip."""


def read_person(data: Path, name: str) -> Person:
    """One of ``latentsync_people``."""
    folder = data / "latentsync_people"
    points, _ = read_steady(folder / f"{name}_holistic.npz")
    first = _FIRST_HELD.get(name, int(len(points) * 0.8))
    whole = [t for t in range(len(points)) if np.isfinite(points[t]).all()]
    held, train = [t for t in whole if t >= first], [t for t in whole if t < first]
    source = held[len(held) // 2]
    tested = sorted({*held[:: max(1, len(held) // _MOST_HELD)]} - {source})
    train = train[:: max(1, len(train) // _MOST_LEARNT)]
    wanted = sorted({source, *tested, *train})
    jpegs, picture = [], None
    for number, frame in read_video(folder / f"{name}_video.mp4", 10**9, longest_px=10**6):
        if number not in wanted:
            continue
        part = np.ascontiguousarray(frame[_TOP : _TOP + _SIDE])
        if number == source:
            picture = part
        jpegs.append(cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes())
    assert picture is not None
    moved = points[wanted] - np.array([0, _TOP], np.float32)
    still = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    clip = Clip(jpegs, moved, still, np.ones(3, np.float32), True)
    known = np.concatenate([moved[wanted.index(source)], np.ones((57, 1), np.float32)], 1)
    found = PictureAnalyser().analyse(picture)
    layers = build_layers(picture, known, found.face_px, found.mask)
    scene = Scene(BodyGenerator(), layers, np.dstack([picture, found.mask]), known, found.face_px, clip)
    return Person(
        scene, [wanted.index(t) for t in train], [wanted.index(t) for t in tested], wanted.index(source)
    )


def copy_of(person: Person) -> dict[str, float]:
    """The measures of the picture shown unmoved."""
    sums = Sums([])
    still = person.scene.truth(person.source)
    for number in person.held:
        truth = person.scene.truth(number)
        sums.add(still, truth, hand_boxes(person.scene.places(number), truth.shape))
    return sums.means()


def sheet(person: Person, result: Result) -> ByteArray:
    """Truth, before and after of six held-out frames, three rows of two."""
    scene = person.scene
    bodies = [scene.prepare(scene.layers), scene.prepare(result.layers, result.motion)]
    rows = []
    for number in [person.held[int(k)] for k in np.linspace(0, len(person.held) - 1, 6).round()]:
        rows.append(np.hstack([scene.truth(number), *(scene.draw(body, number).copy() for body in bodies)]))
    return np.asarray(np.vstack([np.hstack(rows[k : k + 2]) for k in (0, 2, 4)]), np.uint8)


def main(argv: list[str] | None = None) -> int:
    """Print the figures of every person, and JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--people", nargs="+", default=["demo1", "demo2", "demo3"])
    parser.add_argument("--sheets", type=Path, help="folder for pictures: truth, before, after")
    options = parser.parse_args(argv)
    figures = {}
    for name in options.people:
        person = read_person(options.data, name)
        copy = copy_of(person)
        result = learn(person.scene, person.train, person.held, lambda _: None)
        figures[name] = {"copy": copy, "before": result.before, "after": result.after}
        print(f"{name}: {len(person.train)} frames learnt from, {len(person.held)} held out; copy {copy}")
        print(table(result.before, result.after), flush=True)
        if options.sheets is not None:
            options.sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(options.sheets / f"{name}.png"), sheet(person, result))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
