"""What the lips are trained and measured with."""

from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.evaluation.lips_hear import best_lag, correlation, labels_at, peaks
from vcam_avatar.evaluation.lips_sounds import add_noise, at_level, silences, spoilers
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training import speech_sounds
from vcam_avatar.training.speech import roughened
from vcam_avatar.training.speech_audio import change_speed, reverberate, small_room, telephone
from vcam_avatar.training.speech_clips import CURVES, Clip, load_clips, save_clips
from vcam_avatar.training.speech_phones import from_synthesiser, viseme_track


def _names(track: np.ndarray, *at_ms: int) -> list[str]:
    return [VISEMES[track[ms]] for ms in at_ms]


def test_arpabet_track_turns_diphthongs() -> None:
    track = viseme_track([(0.0, 0.1, "SIL"), (0.1, 0.2, "M"), (0.2, 0.4, "AY1")], 0.5, ipa=False)
    assert _names(track, 50, 150, 250, 350, 450) == ["sil", "PP", "aa", "I", "sil"]
    with pytest.raises(KeyError):
        viseme_track([(0.0, 0.1, "XX")], 0.1, ipa=False)


def test_synthesiser_marks_spaces_and_lag() -> None:
    tokens = [
        (0.0, 0.2, ""),
        (0.2, 0.3, "m"),
        (0.3, 0.35, "ˈ"),
        (0.35, 0.45, "A"),
        (0.45, 0.5, " "),
        (0.5, 0.6, "k"),
        (0.6, 0.8, "."),
    ]
    phones = from_synthesiser(tokens, 0.05)
    assert [p[2] for p in phones] == ["", "m", "A", "k", ""]
    assert phones[1][:2] == pytest.approx((0.15, 0.25))
    assert phones[2][:2] == pytest.approx((0.25, 0.425))  # the stress mark before it and half the space after
    assert phones[3][0] == pytest.approx(0.425)
    assert _names(viseme_track(phones, 0.75, ipa=True), 50, 200, 300, 400, 500, 700) == [
        "sil",
        "PP",
        "E",
        "I",
        "kk",
        "sil",
    ]


def test_clips_survive_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.standard_normal(8000)).astype(np.float32)
    curves = rng.random((12, len(CURVES)), dtype=np.float32)
    clips = [
        Clip("a", "v", "en", "train", sound, np.ones(500, np.int8)),
        Clip("b", "w", "it", "test", sound[:4000], None, curves, 30.0),
    ]
    save_clips(tmp_path / "x.npz", clips)
    back = load_clips(tmp_path / "x.npz")
    assert [(c.name, c.voice, c.language, c.split) for c in back] == [
        ("a", "v", "en", "train"),
        ("b", "w", "it", "test"),
    ]
    np.testing.assert_allclose(back[0].samples, sound, atol=1e-4)
    assert back[0].curves is None
    assert back[1].visemes is None
    np.testing.assert_array_equal(back[1].curves, curves)
    assert back[1].curve_fps == 30.0
    assert back[0].mel is not None
    assert back[0].mel.shape == (48, 40)


def test_rough_copies_keep_time_with_their_labels() -> None:
    """A click in the middle of the sound stays where the label of the middle is."""
    sound = np.zeros(32_000, np.float32)
    sound[16_000:16_080] = 0.5
    track = np.zeros(2000, np.int8)
    track[1000:1005] = 1
    clips = [Clip(str(k), "v", "en", "train", sound, track) for k in range(20)]
    for copy in roughened(clips, [], seed=1):
        assert copy.visemes is not None
        label_s = float(np.nonzero(copy.visemes == 1)[0].mean()) / 1000
        # The loudest 5 ms: rooms smear the tail, never the front.
        heard_s = float(np.convolve(copy.samples**2, np.ones(80), "same").argmax()) / SAMPLE_RATE_HZ
        assert heard_s == pytest.approx(label_s, abs=0.012)


def test_bad_recordings_stay_in_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sound = (rng.standard_normal(16_000) * np.hanning(16_000)).astype(np.float32) * 0.1

    def lag(other: FloatArray) -> int:
        return int(np.correlate(other, sound[2000:14_000], "valid").argmax()) - 2000

    assert abs(lag(telephone(sound))) <= 16
    assert abs(lag(reverberate(sound, small_room(rng), 0.5))) <= 1
    assert len(change_speed(sound, 1.25)) == pytest.approx(12_800, abs=2)


@pytest.mark.parametrize("kind", sorted(speech_sounds.KINDS))
def test_made_sounds_are_sound(kind: str) -> None:
    sound = speech_sounds.KINDS[kind](16_000, np.random.default_rng(3))
    assert sound.shape == (16_000,)
    assert np.isfinite(sound).all()
    assert sound.std() > 0


def test_measuring_sounds_have_their_levels() -> None:
    def level(x: FloatArray) -> float:
        return 10 * float(np.log10(np.mean(x.astype(float) ** 2)))

    quiet = silences(seconds=4)
    assert level(quiet["pink -45"]) == pytest.approx(-45, abs=0.1)
    assert np.abs(quiet["digital zero"]).max() == 0
    speech = at_level(np.random.default_rng(0).standard_normal(16_000).astype(np.float32), -20)
    assert level(add_noise(speech, 10, 0) - speech) == pytest.approx(-30, abs=0.1)
    for name, spoil in spoilers().items():
        assert spoil(speech).shape == speech.shape, name


def test_peaks_lags_and_labels() -> None:
    t = np.arange(250) / 25
    wave = (np.sin(2 * np.pi * 2 * t) + 1) / 2
    assert peaks(wave, 0.2) == 20
    assert peaks(0.05 * wave, 0.2) == 0
    rng = np.random.default_rng(0)
    walk = np.convolve(rng.standard_normal(300), np.hanning(9), "same")
    assert best_lag(np.roll(walk, 3), walk, 25.0) == pytest.approx(120, abs=10)
    assert correlation(walk, np.zeros(300)) == 0.0
    assert labels_at(np.array([3, 4], np.int8), np.array([-1.0, 0.0, 1.9, 2.0])).tolist() == [-1, 3, 4, -1]


def test_delay_of_openings_is_counted_after_pauses_only() -> None:
    from vcam_avatar.evaluation.lips_onsets import delays_ms

    free, gated = np.zeros(300, bool), np.zeros(300, bool)
    free[50:80] = free[85:100] = free[200:220] = True
    gated[53:80] = gated[95:100] = True
    assert delays_ms(gated, free) == [30.0, 1000.0]
