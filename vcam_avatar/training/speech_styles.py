"""The same words in another style: whispered, sung, shouted into a microphone that clips."""

import numpy as np
from scipy.signal import istft, stft

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.training.pose_sound import whispered

__all__ = ["shouted", "sung", "whispered"]
_MELODY_HZ = (220, 247, 262, 294, 330, 294, 262, 247, 196, 220)
_NOTE_S = 0.6
_HOP, _SIZE = 128, 512


def sung(
    samples: FloatArray, factor: float, rng: np.random.Generator, melody_hz: tuple[float, ...] = _MELODY_HZ
) -> FloatArray:
    """The spectral envelope of speech, slower, over a melody with vibrato; a little breath in it.

    Args:
        samples: float32 ``(n,)`` mono 16 kHz speech.
        factor: how many times as long the song lasts.
        rng: of the breath.
        melody_hz: its notes, 0.6 s each, over and over.

    Returns:
        float32, about ``factor * n`` samples, at no particular level.
    """
    _, _, spectrum = stft(samples, SAMPLE_RATE_HZ, nperseg=_SIZE, noverlap=_SIZE - _HOP)
    lifter = np.fft.irfft(np.log(np.abs(spectrum) + 1e-7), axis=0)
    lifter[28:-28] = 0
    envelope = np.exp(np.fft.rfft(lifter, axis=0).real)
    frames = int(envelope.shape[1] * factor)
    at = np.arange(frames) / factor
    first = np.minimum(at.astype(int), envelope.shape[1] - 2)
    part = at - first
    envelope = envelope[:, first] * (1 - part) + envelope[:, first + 1] * part
    t = np.arange(frames * _HOP) / SAMPLE_RATE_HZ
    notes = np.array(melody_hz)[(t / _NOTE_S).astype(int) % len(melody_hz)]
    phase = 2 * np.pi * np.cumsum(notes * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * t))) / SAMPLE_RATE_HZ
    buzz = np.sum([np.cos(k * phase) * (k * notes < 7_000) for k in range(1, 36)], 0)
    breath = rng.standard_normal(len(buzz)) * 0.3
    _, _, source = stft(buzz + breath, SAMPLE_RATE_HZ, nperseg=_SIZE, noverlap=_SIZE - _HOP)
    count = min(source.shape[1], frames)
    level = np.abs(source).mean() + 1e-9
    _, out = istft(
        source[:, :count] / level * envelope[:, :count], SAMPLE_RATE_HZ, nperseg=_SIZE, noverlap=_SIZE - _HOP
    )
    return np.asarray(out, np.float32)


def shouted(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Brighter, and cut off at the rails.

    Args:
        samples: float32 ``(n,)`` mono 16 kHz speech.
        rng: of how much.

    Returns:
        float32 ``(n,)``, as loud as can be.
    """
    bright = samples - np.float32(rng.uniform(0, 0.9)) * np.concatenate([samples[:1], samples[:-1]])
    peak = float(np.abs(bright).max()) + 1e-9
    return np.asarray(np.clip(bright * rng.uniform(2, 10) / peak, -1, 1), np.float32)
