"""What the pose predictor hears while it learns: sessions of speech in rooms, noise, whispering, music.

The clean sound is kept beside what is heard: labels (who speaks when, which syllables carry stress) are made
from the clean one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, istft, stft

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray

SPEECH = {
    "dctts": "dctts_male_speech/flac/*.flac",
    "facegood": "facegood_a2f/wav/*.flac",
    "italian": "asterisk_speech/it/*.g722",
    "russian": "asterisk_speech/ru/*.g722",
    "librivox": "librivox_5clips/*.wav",
}
HELD_OUT_FILES = 2
"""Of each voice, the last files are not learnt."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How sessions of speech are put together."""

    session_s: float = 64.0
    passes: int = 2
    """How often each recording is performed to."""
    noise_share: float = 0.12
    """Sessions without any speech: noise, music, nothing."""
    whispered: float = 0.12
    """Share of recordings that are whispered."""
    gain_db: tuple[float, float] = (-20.0, 10.0)
    """Of whole sessions, about a loud but clean recording."""
    rooms: float = 0.5
    """Share of sessions spoken in a room rather than close to the microphone."""
    disturbed: float = 0.25
    """Share of sessions with noise or music behind the voice."""


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of sound, float32 ``(n,)`` at 16 kHz."""

    voice: str
    clean: FloatArray
    """The voice alone, close to the microphone; silence where nobody speaks."""
    heard: FloatArray
    """What the microphone gives."""


def load_audio(path: Path) -> FloatArray:
    """float32 ``(n,)`` mono 16 kHz of any sound or video file."""
    if path.suffix in (".wav", ".flac"):
        return np.asarray(librosa.load(path, sr=SAMPLE_RATE_HZ, mono=True)[0], np.float32)
    blocks = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE_HZ)
        for frame in container.decode(audio=0):
            blocks += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
        blocks += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    return np.concatenate(blocks).astype(np.float32)


def speech_files(data: Path, held: bool = False) -> dict[str, list[Path]]:
    """Voice -> files that may be learnt, or the held-out ones."""
    out = {}
    for voice, pattern in SPEECH.items():
        files = sorted(data.glob(pattern))
        cut = max(0, len(files) - HELD_OUT_FILES)
        out[voice] = files[cut:] if held else files[:cut]
    return {v: f for v, f in out.items() if f}


def whispered(sound: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The same words whispered: the voice's spectral envelope filled with noise instead of a buzz.

    Vowels lose their pitch and their low frequencies, as they do when the vocal cords stay open; loudness
    differences between vowels and consonants shrink.

    Args:
        sound: float32 ``(n,)`` mono 16 kHz speech.
        rng: of the noise.

    Returns:
        float32 ``(n,)``, 12 to 20 dB softer than the input.
    """
    if len(sound) < 1024:
        return np.array(sound, np.float32)
    hz, _, spectrum = stft(sound, SAMPLE_RATE_HZ, nperseg=512, noverlap=384)
    level = np.log(np.abs(spectrum) + 1e-7)
    # The envelope: low quefrencies only, so that harmonics vanish.
    lifter = np.fft.irfft(level, axis=0)
    lifter[28:-28] = 0
    envelope = np.exp(np.fft.rfft(lifter, axis=0).real)
    tilt = 1 / (1 + (700.0 / (hz + 1)) ** 2)
    envelope = (envelope * tilt[:, None]) ** rng.uniform(0.75, 0.95)
    white = rng.normal(0, 1, len(sound)).astype(np.float32)
    noise = stft(white, SAMPLE_RATE_HZ, nperseg=512, noverlap=384)[2]
    out = istft(noise / (np.abs(noise).mean() + 1e-9) * envelope, SAMPLE_RATE_HZ, nperseg=512, noverlap=384)[
        1
    ]
    out = np.pad(out, (0, max(0, len(sound) - len(out))))[: len(sound)]
    loud = float(np.sqrt(np.mean(sound**2))) * 10 ** (rng.uniform(-20, -12) / 20)
    return np.asarray(out / (np.sqrt(np.mean(out**2)) + 1e-9) * loud, np.float32)


def in_room(sound: FloatArray, rng: np.random.Generator) -> FloatArray:
    """``sound`` heard across a room: echoes that fade within 0.15 to 0.6 s, none before the direct sound."""
    seconds = rng.uniform(0.15, 0.6)
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echo = rng.normal(0, 1, len(time_s)) * np.exp(-6.9 * time_s / seconds)
    echo[: int(rng.uniform(0.002, 0.012) * SAMPLE_RATE_HZ)] = 0
    echo *= 10 ** (rng.uniform(-12, 0) / 20) / (np.sqrt((echo**2).sum()) + 1e-9)
    echo[0] = 1.0
    return np.asarray(fftconvolve(sound, echo)[: len(sound)], np.float32)


def room_noise(count: int, rng: np.random.Generator) -> FloatArray:
    """Room noise, -75 to -48 dBFS, low frequencies stronger."""
    white = rng.normal(0, 1, count + 64)
    tilt = rng.uniform(0.3, 0.95)
    brown = np.convolve(white, tilt ** np.arange(48), "same")[:count]
    level = 10 ** (rng.uniform(-75, -48) / 20)
    return np.asarray(brown / (brown.std() + 1e-9) * level, np.float32)


def _background(
    noises: list[FloatArray], count: int, loudest_db: tuple[float, float], rng: np.random.Generator
) -> FloatArray:
    """Noises and music one after the other, with pauses, each of its own loudness (peak dBFS)."""
    sound = np.zeros(count, np.float32)
    at = int(rng.uniform(0, 4) * SAMPLE_RATE_HZ)
    while at < count:
        y = noises[int(rng.integers(len(noises)))][: count - at]
        sound[at : at + len(y)] += y * 10 ** (rng.uniform(*loudest_db) / 20) / (np.abs(y).max() + 1e-6)
        at += len(y) + int(rng.uniform(0, 5) * SAMPLE_RATE_HZ)
    return sound


def _spoken(
    voice: str, clean: FloatArray, noises: list[FloatArray], mix: Mix, rng: np.random.Generator
) -> Session:
    heard = in_room(clean, rng) if rng.random() < mix.rooms else clean
    if noises and rng.random() < mix.disturbed:
        heard = heard + _background(noises, len(clean), (-44, -24), rng)
    gain = 10 ** (rng.uniform(*mix.gain_db) / 20)
    # Too loud a voice is cut off at full scale, as microphones do.
    heard = np.clip(heard * gain, -1, 1) + room_noise(len(clean), rng)
    return Session(voice, clean, np.asarray(heard, np.float32))


def sessions(data: Path, mix: Mix, rng: np.random.Generator) -> Iterator[Session]:
    """All sessions of a training set: each recording ``mix.passes`` times, then those without speech."""
    want = int(mix.session_s * SAMPLE_RATE_HZ)
    noises = [load_audio(f) for f in sorted((data / "noise_music").glob("*.flac"))]
    for voice, files in speech_files(data).items():
        queue: list[FloatArray] = []
        for _ in range(mix.passes):
            for i in rng.permutation(len(files)):
                y = load_audio(files[int(i)])
                peak = np.percentile(np.abs(y), 99.5) + 1e-6
                y = (y * (10 ** (rng.uniform(-10, -3) / 20) / peak)).astype(np.float32)
                queue.append(whispered(y, rng) if rng.random() < mix.whispered else y)
                pause = rng.uniform(0.15, 0.9) if rng.random() < 0.72 else rng.uniform(1.0, 6.0)
                queue.append(np.zeros(int(pause * SAMPLE_RATE_HZ), np.float32))
                while sum(map(len, queue)) >= want:
                    whole = np.concatenate(queue)
                    queue = [whole[want:]]
                    yield _spoken(voice, whole[:want], noises, mix, rng)
    count = max(4, int(mix.noise_share * mix.passes * 4000.0 / mix.session_s)) if noises else 0
    for _ in range(count):
        sound = _background(noises, want, (-34, -3), rng)
        yield Session("noise", np.zeros(want, np.float32), sound + room_noise(want, rng))


def ticks_of(rows: NDArray[np.bool_], ticks: int, per: int = 4) -> NDArray[np.bool_]:
    """``(ticks,)``: whether any of the ``per`` rows of a tick is set; False beyond the end of ``rows``."""
    padded = np.zeros(ticks * per, bool)
    padded[: min(len(rows), len(padded))] = rows[: len(padded)]
    return np.asarray(padded.reshape(ticks, per).any(1), bool)
