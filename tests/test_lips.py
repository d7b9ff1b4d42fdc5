"""The lips hear causally, shut when they should, and do not depend on how the sound is cut."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.devices.audio_file import read_audio
from vcam_avatar.evaluation.lips_hear import Ear
from vcam_avatar.evaluation.lips_sounds import room, silences
from vcam_avatar.media import FACE_ACTIONS, FloatArray
from vcam_avatar.resources import asset_path, models_dir
from vcam_avatar.stages.features import FeatureStage, mfcc
from vcam_avatar.stages.lips import LipNetwork, Lips
from vcam_avatar.stages.lips_decode import DecoderSettings, MouthDecoder, NoiseGate
from vcam_avatar.stages.listener import Listener, ListenerSettings
from vcam_avatar.stages.visemes import VISEME_ACTIONS, VISEME_OPENING, VISEMES, action_indices

DATA = Path(__file__).resolve().parents[2] / "shared/data"
pytestmark = pytest.mark.skipif(
    not (models_dir() / "lips.onnx").is_file(), reason="the lip network has not been trained"
)


@pytest.fixture(scope="module")
def network() -> LipNetwork:
    return LipNetwork()


@pytest.fixture(scope="module")
def speech() -> FloatArray:
    """3 s of the shipped voice."""
    return read_audio(asset_path("demo_voice.flac"))[:48_000]


def _run(
    lips: Lips, sound: FloatArray, fps: Fraction, muted_from: int = 10**9
) -> tuple[FloatArray, FloatArray]:
    """Mouth actions ``(units, 52)`` and lip openings ``(units,)``."""
    stage, mouths, openings = FeatureStage(fps), [], []
    lips.reset()
    for n in range(10**6):
        start, end = stage.clock.start_sample(n), stage.clock.start_sample(n + 1)
        if end > len(sound):
            break
        mouths.append(lips.listen(stage.push(sound[start:end]), muted=n >= muted_from))
        openings.append(lips.opening)
    return np.array(mouths), np.array(openings)


def _openings(lips: Lips, sound: FloatArray, fps: Fraction, muted_from: int = 10**9) -> FloatArray:
    return _run(lips, sound, fps, muted_from)[1]


def test_opens_on_speech(network: LipNetwork, speech: FloatArray) -> None:
    opening = _openings(Lips(network), speech, Fraction(25))
    assert opening.max() > 0.4
    assert opening.min() == 0.0


def test_no_dependence_on_what_comes_later(network: LipNetwork, speech: FloatArray) -> None:
    whole, _ = _run(Lips(network), speech, Fraction(25))
    cut = speech.copy()
    cut[25 * 640 :] = np.random.default_rng(0).standard_normal(len(cut) - 25 * 640) * 0.1
    other, _ = _run(Lips(network), cut, Fraction(25))
    np.testing.assert_array_equal(whole[:25], other[:25])
    assert np.abs(whole[25:] - other[25:]).max() > 0.05


def test_stream_is_what_the_whole_clip_gives(network: LipNetwork, speech: FloatArray) -> None:
    """At 10 fps the shown instant is older than the look-ahead: no guesses, so exactly the clip's curve."""
    heard = Ear(None).hear(speech, 40)
    shown = _openings(Lips(network, look_ahead_ms=40), speech, Fraction(10))
    expected = np.interp(np.arange(len(shown)) * 100.0 + 50, heard.times_ms, heard.opening)
    np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_network_does_not_care_how_rows_are_cut(network: LipNetwork, speech: FloatArray) -> None:
    rows, rng = mfcc(speech), np.random.default_rng(0)
    network.reset()
    whole = network.push(rows)
    network.reset()
    at, parts = 0, []
    while at < len(rows):
        step = int(rng.integers(1, 9))
        parts.append(network.push(rows[at : at + step]))
        at += step
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-4)


@pytest.mark.parametrize(
    "fps", [Fraction(10), Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(60)]
)
def test_frame_rate_does_not_change_the_mouth(network: LipNetwork, speech: FloatArray, fps: Fraction) -> None:
    heard = Ear(None).hear(speech, 20)
    shown = _openings(Lips(network, look_ahead_ms=20), speech, fps)
    end = (np.arange(len(shown)) + 1) * 1000 / float(fps)
    times = np.minimum(end - 500 / float(fps), end - 20)
    expected = np.interp(times, heard.times_ms, heard.opening)
    assert np.abs(shown - expected).mean() < 0.05
    assert np.corrcoef(shown, expected)[0, 1] > 0.93


def test_guesses_do_not_disturb_what_is_settled(network: LipNetwork, speech: FloatArray) -> None:
    lips = Lips(network, look_ahead_ms=20)
    first, second = _run(lips, speech, Fraction(25))[0], _run(lips, speech, Fraction(25))[0]
    np.testing.assert_array_equal(first, second)


def test_reset_in_the_middle_of_a_stream(network: LipNetwork, speech: FloatArray) -> None:
    stage, lips = FeatureStage(Fraction(25)), Lips(network)
    opening = 0.0
    for n in range(70):
        if n == 30:
            lips.reset()
        lips.listen(stage.push(speech[640 * n : 640 * (n + 1)]))
        opening = max(opening, lips.opening) if n > 35 else 0.0
    assert opening > 0.3


def test_silence_shuts_the_lips_within_120_ms(network: LipNetwork, speech: FloatArray) -> None:
    loud = np.abs(speech[: len(speech) // 400 * 400]).reshape(-1, 400).max(1)
    end = (np.nonzero(loud > 0.05)[0][-1] + 1) * 400
    rng = np.random.default_rng(1)
    sound = np.concatenate([speech[:end], np.zeros(16_000, np.float32)])
    sound += room(len(sound), -55, rng)
    opening = _openings(Lips(network), sound, Fraction(25))
    times = (np.arange(len(opening)) + 0.5) * 40
    assert (opening[times > end / 16 + 120] <= 0.1).all()


@pytest.mark.parametrize(
    "name", ["digital zero", "room -55", "pink -45", "key clicks -40", "white -55", "breath -45"]
)
def test_shut_while_nobody_speaks(network: LipNetwork, name: str) -> None:
    sound = silences(seconds=8)[name]
    assert (_openings(Lips(network), sound, Fraction(25)) <= 0.1).mean() >= 0.999


def test_mute_shuts_the_lips(network: LipNetwork, speech: FloatArray) -> None:
    opening = _openings(Lips(network), np.concatenate([speech, speech]), Fraction(25), muted_from=40)
    assert opening[:40].max() > 0.3
    assert (opening[40 + 3 :] == 0).all()


def test_lips_meet_on_p_b_m_of_a_real_clip(network: LipNetwork) -> None:
    """'welcome' and friends: the forced alignment says where p b m are."""
    import json

    index = DATA / "asterisk_speech/en_phones.jsonl"
    if not index.is_file():
        pytest.skip("needs ../shared/data/asterisk_speech")
    from vcam_avatar.training.speech_audio import read_audio

    rows = [json.loads(line) for line in index.read_text().splitlines()][::5]  # the held-out ones
    ear, closed, total = Ear(None), 0, 0
    for row in rows[:40]:
        heard = ear.hear(read_audio(DATA / "asterisk_speech/en" / row["file"]), 20)
        for start, end, phone in row["phones"]:
            if phone in ("P", "B", "M"):
                inside = (heard.times_ms > start * 1000 - 40) & (heard.times_ms < end * 1000 + 40)
                if inside.any():
                    total += 1
                    closed += bool(heard.opening[inside].min() < 0.08)
    assert total >= 15
    assert closed / total >= 0.85


def test_same_seed_same_face(network: LipNetwork, speech: FloatArray) -> None:
    def faces(seed: int) -> FloatArray:
        stage = FeatureStage(Fraction(25))
        listener = Listener(network)
        listener.reset(seed)
        return np.array([listener.listen(stage.push(speech[640 * n : 640 * n + 640])) for n in range(70)])

    np.testing.assert_array_equal(faces(3), faces(3))
    assert np.abs(faces(3) - faces(4)).max() > 0.1


def test_user_gains(network: LipNetwork, speech: FloatArray) -> None:
    def peak(settings: ListenerSettings) -> FloatArray:
        stage = FeatureStage(Fraction(25))
        listener = Listener(network, settings)
        listener.reset(0)
        return np.array([listener.listen(stage.push(speech[640 * n : 640 * n + 640])) for n in range(70)])

    jaw, smile = FACE_ACTIONS.index("jawOpen"), FACE_ACTIONS.index("mouthSmileLeft")
    natural, half = peak(ListenerSettings()), peak(ListenerSettings(mouth=0.5))
    np.testing.assert_allclose(half[:, jaw], 0.5 * natural[:, jaw], atol=1e-5)
    assert peak(ListenerSettings(smile=0.6))[:, smile].max() > natural[:, smile].max() + 0.2
    still = peak(ListenerSettings(blinks=0, gaze=0, brows=0, smile=0))
    upper = [k for k, n in enumerate(FACE_ACTIONS) if n.startswith(("eye", "brow", "cheek"))]
    assert np.abs(still[:, upper]).max() == 0
    soft = peak(ListenerSettings(smoothing=1.0))
    assert np.abs(np.diff(soft[:, jaw])).mean() < np.abs(np.diff(natural[:, jaw])).mean()


def test_unknown_look_ahead_is_refused(network: LipNetwork) -> None:
    with pytest.raises(ValueError, match="look-ahead must be one of"):
        Lips(network, look_ahead_ms=33)


def test_closure_beats_an_open_curve() -> None:
    decoder = MouthDecoder()
    vowel, lips = np.eye(15, dtype=np.float32)[VISEMES.index("aa")], np.eye(15, dtype=np.float32)[1]
    curves = np.array([1, 0, 0, 0, 0, 0], np.float32)
    for _ in range(30):
        decoder.step(vowel, curves, -20.0, False)
    assert decoder.opening > 0.9
    for _ in range(6):
        out = decoder.step(lips, curves, -20.0, False)
    assert out[FACE_ACTIONS.index("jawOpen")] == 0
    assert out[action_indices("mouthPress")].min() > 0.2
    assert out[action_indices("mouthLowerDown")].max() == 0


def test_noise_gate_follows_the_room_and_has_hysteresis() -> None:
    from vcam_avatar.stages.lips_decode import DecoderSettings

    gate = NoiseGate(DecoderSettings())
    for _ in range(1000):
        gate.step(-45.0)
    assert gate.floor_db == pytest.approx(-45, abs=1.0)
    assert not gate.step(-43.0)
    assert gate.step(-30.0)
    assert gate.step(-39.0)  # 6 dB above the floor keeps it open, but would not have opened it
    for _ in range(20):
        gate.step(-44.0)
    assert not gate.is_open


def test_table_of_visemes_is_readable() -> None:
    def of(viseme: str, action: str) -> float:
        return float(VISEME_ACTIONS[VISEMES.index(viseme), action_indices(action)].min())

    assert VISEME_ACTIONS.shape == (15, 52)
    assert VISEME_ACTIONS[0].max() == 0
    assert of("PP", "mouthPress") > 0.3
    assert of("PP", "jawOpen") == 0
    assert of("FF", "mouthRollLower") > 0.4
    assert of("U", "mouthPucker") > of("O", "mouthPucker") > of("aa", "mouthPucker")
    assert of("aa", "jawOpen") == VISEME_ACTIONS[:, FACE_ACTIONS.index("jawOpen")].max()
    assert len(VISEME_OPENING) == len(VISEMES)
    with pytest.raises(ValueError, match="not in tuple"):
        action_indices("mouthFly")


def test_decoder_shuts_for_what_is_no_voice() -> None:
    decoder = MouthDecoder()
    visemes = np.zeros(15, np.float32)
    visemes[VISEMES.index("aa")] = 1
    curves = np.array([1, 0, 0, 0, 0, 0], np.float32)
    for _ in range(30):
        decoder.step(visemes, curves, -20.0, False, voice=0.0)
    assert decoder.shown == 0
    for _ in range(30):
        decoder.step(visemes, curves, -20.0, False, voice=1.0)
    assert decoder.shown > 0.8


def test_music_leaves_the_lips_shut(network: LipNetwork) -> None:
    from vcam_avatar.training.speech_sounds import music

    opened = [
        _openings(Lips(network), 0.1 * music(96_000, np.random.default_rng([99, k])), Fraction(25)) > 0.1
        for k in range(6)
    ]
    assert np.concatenate(opened).mean() < 0.05


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_voices_are_let_through_at_once(network: LipNetwork, speech: FloatArray, gain: float) -> None:
    rows = mfcc(np.concatenate([room(8_000, -60, np.random.default_rng(3)), gain * speech]))
    network.reset()
    silence = network.push(rows)[:, network.look_ahead_ms.index(20), 0]
    assert (network.voice[silence < 0.3] > DecoderSettings().voice_full).mean() > 0.98
