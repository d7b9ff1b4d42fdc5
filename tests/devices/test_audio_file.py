"""Audio files in every shape come out as the same 16 kHz mono."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from audio_files import babble, write_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from vcam_avatar.devices.audio_file import FileAudioSource, read_audio
from vcam_avatar.devices.resample import LowDelayResampler, MonoResampler
from vcam_avatar.errors import MediaError


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3", ".m4a"])
def test_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    samples = babble(1.0, 44_100)
    path = write_audio(tmp_path / f"voice{ending}", samples, 44_100)
    heard = read_audio(path)
    assert abs(len(heard) - 16_000) <= 0.08 * 16_000  # mp3 and aac pad
    level = np.sqrt(np.mean(np.square(samples)))
    assert np.sqrt(np.mean(np.square(heard))) == pytest.approx(level, rel=0.1)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_every_rate_and_channel_count(tmp_path: Path, rate_hz: int, channels: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    path = write_audio(tmp_path / "tone.wav", np.repeat(tone[:, None], channels, 1), rate_hz)
    heard = read_audio(path)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(heard) == 16_000
    np.testing.assert_allclose(heard[1000:-1000], expected[1000:-1000], atol=2e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5000))
def test_block_size_never_changes_the_samples(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "block_size.wav"
    if not path.exists():
        write_audio(path, babble(0.5, 44_100), 44_100)
    blocks = list(FileAudioSource(path, block_samples=size).blocks())
    assert {len(block) for block in blocks[:-1]} <= {size}
    np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path))


@pytest.mark.parametrize("resampler", [MonoResampler, LowDelayResampler])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_resamplers_do_not_depend_on_the_blocks(resampler: type, rate_hz: int) -> None:
    samples = babble(0.4, rate_hz)[:, None]
    whole = resampler(rate_hz).push(samples)
    cut = resampler(rate_hz)
    parts = [cut.push(samples[i : i + 333]) for i in range(0, len(samples), 333)]
    joined = np.concatenate(parts)
    length = min(len(whole), len(joined))
    assert length > 4000
    np.testing.assert_array_equal(joined[:length], whole[:length])


def test_low_delay_resampler_keeps_sound_and_kills_aliases() -> None:
    time = np.arange(48_000) / 48_000
    resampler = LowDelayResampler(48_000)
    low = resampler.push(np.sin(2 * np.pi * 1000 * time)[:, None].astype(np.float32))
    moments = np.arange(1000, 15_000) / 16_000 - resampler.delay_s
    assert resampler.delay_s < 0.003
    np.testing.assert_allclose(low[1000:15_000], np.sin(2 * np.pi * 1000 * moments), atol=0.01)
    high = LowDelayResampler(48_000).push(np.sin(2 * np.pi * 9000 * time)[:, None].astype(np.float32))
    assert np.abs(high[1000:]).max() < 1e-3


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
@pytest.mark.parametrize("ppm", [0.0, -180.0, 180.0, 1500.0])
def test_whole_steps_give_what_gathering_every_window_gives(rate_hz: int, ppm: float) -> None:
    samples = babble(0.4, rate_hz)[:, None]
    quick, plain = LowDelayResampler(rate_hz), LowDelayResampler(rate_hz)
    plain._stride = 0
    for resampler in (quick, plain):
        resampler.trim(ppm)
    ends = [100, 1540, 1700, len(samples)]
    pieces = [samples[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    joined = [np.concatenate([r.push(piece) for piece in pieces]) for r in (quick, plain)]
    assert len(joined[0]) > 5000
    np.testing.assert_allclose(joined[0], joined[1], atol=1e-6)


def test_trimmed_rate_gives_more_or_fewer_samples() -> None:
    resampler = LowDelayResampler(48_000)
    resampler.trim(1000)
    out = sum(len(resampler.push(np.zeros((480, 1), np.float32))) for _ in range(1000))
    assert out == pytest.approx(160_000 / 1.001, abs=2)


def test_looping_file_starts_again(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", babble(0.1))
    source = FileAudioSource(path, block_samples=1600, loop=True)
    blocks = source.blocks()
    first, second = next(blocks), next(blocks)
    np.testing.assert_array_equal(first, second)
    source.close()
    assert list(blocks) == []


def _bad_files(folder: Path) -> dict[str, Path]:
    good = write_audio(folder / "good.wav", babble(1.0))
    flac = write_audio(folder / "good.flac", babble(1.0))
    m4a = write_audio(folder / "good.m4a", babble(1.0))
    files = {
        "cannot be read": folder / "missing.wav",
        "is a folder": folder,
        "is empty": folder / "empty.wav",
        "is not an audio file": folder / "text.wav",
        "is cut short": folder / "short.wav",
        "is damaged|is cut short": folder / "short.flac",
        "is not an audio file |is cut": folder / "short.m4a",
        "no samples": folder / "zero.wav",
        "not numbers": folder / "nan.wav",
        "4000 Hz": folder / "slow.wav",
    }
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not sound at all\n" * 50)
    for name, source in (("short.wav", good), ("short.flac", flac), ("short.m4a", m4a)):
        content = source.read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    write_audio(folder / "zero.wav", np.zeros(0, np.float32))
    sf.write(folder / "nan.wav", np.full(1600, np.nan, np.float32), 16_000, subtype="FLOAT")
    write_audio(folder / "slow.wav", babble(1.0), 4000)
    return files


def test_bad_files_are_named_with_cause(tmp_path: Path) -> None:
    for message, path in _bad_files(tmp_path).items():
        with pytest.raises(MediaError, match=message) as caught:
            read_audio(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
