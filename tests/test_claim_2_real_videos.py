"""``dataset build`` on real videos sees what MediaPipe saw, and ``train pose`` learns from what it stores."""

import json
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from vcam_avatar.evaluation.report import default_data

torch = pytest.importorskip("torch")

from vcam_avatar.evaluation.landmarks import PEOPLE, distances, seen_and_stored  # noqa: E402
from vcam_avatar.training import dataset_video, pose_train  # noqa: E402
from vcam_avatar.training.checkpoint import load_checkpoint  # noqa: E402
from vcam_avatar.training.dataset import load_samples  # noqa: E402

PEOPLE_FOLDER = default_data() / "latentsync_people"
pytestmark = [
    pytest.mark.train,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not PEOPLE_FOLDER.is_dir(), reason="the recordings are not here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FRAMES = 75


@pytest.mark.parametrize("name", PEOPLE)
def test_claim_2_points_are_within_two_percent_of_the_shoulder_width(name):
    seen, stored = seen_and_stored(default_data(), name, FRAMES)
    assert len(seen) == FRAMES
    got = distances(seen, stored)
    assert got["body"] < 0.02
    assert got["point Nose"] < 0.02
    assert max(got["point RShoulder"], got["point LShoulder"]) < 0.02


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """The first three seconds of each recording."""
    folder = tmp_path_factory.mktemp("clips")
    for name in PEOPLE:
        with (
            av.open(str(PEOPLE_FOLDER / f"{name}_video.mp4")) as source,
            av.open(str(folder / f"{name}.mp4"), "w") as target,
        ):
            pictures, sound = source.streams.video[0], source.streams.audio[0]
            video = target.add_stream(
                "libx264", rate=Fraction(pictures.average_rate), options={"preset": "ultrafast"}
            )
            video.width, video.height, video.pix_fmt = 540, 960, "yuv420p"
            audio = target.add_stream("aac", rate=sound.rate, layout="mono")
            resampler = av.AudioResampler("fltp", "mono", sound.rate)
            for frame in source.decode(pictures, sound):
                if frame.time is None or frame.time >= 3.0:
                    continue
                if isinstance(frame, av.VideoFrame):
                    target.mux(video.encode(frame.reformat(540, 960, "yuv420p")))
                else:
                    for piece in resampler.resample(frame):
                        target.mux(audio.encode(piece))
            target.mux(video.encode(None))
            target.mux(audio.encode(None))
    return [folder / f"{name}.mp4" for name in PEOPLE]


def test_claim_4_one_epoch_of_training_on_real_videos_takes_less_than_a_minute(clips, tmp_path, capsys):
    dataset, run = tmp_path / "set", tmp_path / "run"
    assert dataset_video.main([*map(str, clips), "--out", str(dataset)]) == 0
    samples = load_samples(dataset)
    assert {s.source.split("@")[0] for s in samples} == set(PEOPLE)
    assert all(s.real and np.isfinite(s.pose).all() for s in samples)
    started = time.monotonic()
    options = ["--epochs", "1", "--follow-minutes", "0.02", "--export", str(run / "pose.onnx")]
    assert pose_train.main([str(dataset), "--out", str(run), *options]) == 0
    assert time.monotonic() - started < 60
    trained = load_checkpoint(run / pose_train.CHECKPOINT)
    assert trained["step"] >= 1
    assert np.isfinite(list(trained["validation"].values())).all()
    assert json.loads((run / "pose.json").read_text())["values"]["layout"] == "upper_body"
    assert "exported" in capsys.readouterr().out
