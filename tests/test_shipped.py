"""The shipped networks and the demo's avatar, through the whole pipeline."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.cli._studio import make_loop
from vcam_avatar.config import Config, load_config
from vcam_avatar.devices.audio_file import read_audio
from vcam_avatar.devices.memory import MemoryAudioSource, MemorySink
from vcam_avatar.media import FACE_ACTIONS, FacePatch, FloatArray
from vcam_avatar.pipeline.runner import play_stored
from vcam_avatar.stages.features import FeatureStage

JAW_OPEN = FACE_ACTIONS.index("jawOpen")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    empty = tmp_path_factory.mktemp("config") / "config.toml"
    empty.touch()
    return load_config(empty, {"video.size": "640x360"})


@pytest.fixture(scope="module")
def voice() -> FloatArray:
    """Two and a half seconds in the middle of a sentence."""
    return read_audio(resources.asset_path("demo_voice.flac"))[8_000:48_000]


def frames_of(config: Config, sound: FloatArray, keep: int = 0) -> MemorySink:
    loop = make_loop(config)
    sink = MemorySink(keep=keep)
    play_stored(MemoryAudioSource(sound), loop, sink, config.video.size, config.video.fps)
    return sink


@pytest.fixture(scope="module")
def spoken(config: Config, voice: FloatArray) -> MemorySink:
    return frames_of(config, voice, keep=1000)


def test_same_sound_same_frames(config: Config, voice: FloatArray, spoken: MemorySink) -> None:
    assert len(spoken.digests) == round(len(voice) / 640 + 0.499)
    assert frames_of(config, voice[:16_000]).digests == spoken.digests[:25]
    assert len(set(spoken.digests)) > 0.9 * len(spoken.digests)  # a living picture


def test_only_what_should_move_moves(spoken: MemorySink) -> None:
    images = np.stack([frame.image_bgr for frame in spoken.frames]).astype(np.int16)
    moved = np.abs(np.diff(images, axis=0)).max((0, 3))
    assert (moved > 24).mean() > 0.005
    assert moved[:30, :60].max() <= 2  # the background stays


def test_the_mouth_follows_the_voice(config: Config, voice: FloatArray) -> None:
    loop = make_loop(config)
    face, avatar = loop.stages.face, loop.avatar.face
    opening, change = {}, {}
    for name, sound in (("voice", voice), ("silence", np.zeros_like(voice))):
        face.reset(0)
        features = FeatureStage(config.video.fps)
        heard = [face.listen(features.push(sound[i : i + 640])) for i in range(0, len(sound) - 639, 640)]
        opening[name] = np.array([expression[JAW_OPEN] for expression in heard])
        mouths = [_lower_half(face.draw(avatar, expression)) for expression in heard]
        change[name] = np.mean([np.abs(a - b).mean() for a, b in itertools.pairwise(mouths)])
    assert opening["voice"].max() > 0.2
    assert opening["silence"].max() < 0.05
    assert change["voice"] > 4 * change["silence"]


def _lower_half(patch: FacePatch) -> FloatArray:
    """What the patch paints below the eyes, float32, premultiplied."""
    image = patch.image_bgra[len(patch.image_bgra) // 2 :].astype(np.float32)
    return image[..., :3] * image[..., 3:] / 255


def test_every_shipped_network_names_its_data_and_recipe() -> None:
    from vcam_avatar.inference import read_sidecar

    models = sorted(resources.models_dir().glob("*.onnx"))
    assert models
    for model in models:
        sidecar = read_sidecar(model)
        assert sidecar.description
        assert sidecar.recipe
        assert sidecar.training_data, model.name
        assert all(entry.licence for entry in sidecar.training_data)
        assert "/work" not in sidecar.model_dump_json()


def test_every_preset_has_a_licence() -> None:
    from vcam_avatar.avatars import list_avatars

    presets = [entry for entry in list_avatars() if entry.preset]
    assert presets
    for entry in presets:
        assert entry.problem == ""
        assert entry.settings is not None
        assert entry.settings.licence
        assert Path(entry.folder / "layers" / "layers.json").is_file()
