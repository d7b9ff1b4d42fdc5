"""Sounds to measure the lips with: things that are not speech, and spoilt speech."""

from collections.abc import Callable

import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray


def at_level(samples: FloatArray, level_db: float) -> FloatArray:
    """Scale to a root mean square of ``level_db`` dBFS."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) + 1e-12
    return (samples * (10 ** (level_db / 20) / rms)).astype(np.float32)


def coloured(n: int, slope: float, rng: np.random.Generator) -> FloatArray:
    """Gaussian noise whose amplitude falls as 1 / f^slope."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ), 20)
    return np.fft.irfft(spectrum / hz**slope, n).astype(np.float32)


def room(n: int, level_db: float, rng: np.random.Generator) -> FloatArray:
    """A quiet room: mostly low rumble, a little hiss."""
    rumble, hiss = coloured(n, 1.0, rng), coloured(n, 0.5, rng)
    return at_level(rumble / rumble.std() + 0.2 * hiss / hiss.std(), level_db)


def silences(seconds: float = 30.0, seed: int = 1) -> dict[str, FloatArray]:
    """What a microphone hears when nobody speaks; name -> float32 16 kHz."""
    rng, n = np.random.default_rng(seed), int(seconds * SAMPLE_RATE_HZ)
    t = np.arange(n) / SAMPLE_RATE_HZ
    hum = np.sum([np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5, 7)], 0)
    out = {
        "digital zero": np.zeros(n, np.float32),
        "white -55": at_level(rng.standard_normal(n).astype(np.float32), -55),
        "pink -55": at_level(coloured(n, 0.5, rng), -55),
        "room -55": room(n, -55, rng),
        "pink -45": at_level(coloured(n, 0.5, rng), -45),
        "room -45": room(n, -45, rng),
        "hum 50 Hz -45": at_level(hum, -45),
    }
    spectrum, hz = np.fft.rfft(rng.standard_normal(n)), np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    hiss = np.fft.irfft(spectrum * np.exp(-0.5 * ((hz - 2500) / 1500) ** 2), n)
    out["breath -45"] = at_level(hiss * np.clip(np.sin(2 * np.pi * 0.3 * t), 0, 1) ** 2, -45)
    clicks = np.zeros(n, np.float32)
    for at in rng.integers(0, n - 800, int(4 * seconds)):
        clicks[at : at + 320] += rng.standard_normal(320) * np.exp(-np.arange(320) / 40)
    out["key clicks -50"], out["key clicks -40"] = at_level(clicks, -50), at_level(clicks, -40)
    # Typing as it sounds in a room: a knock with a resonance, then the key coming up.
    typing = room(n, -60, rng)
    at = 0
    while at < n - 4000:
        for delay, gain in ((0, 1.0), (int(rng.uniform(900, 1500)), 0.4)):
            k = np.arange(700)
            knock = np.sin(2 * np.pi * rng.uniform(300, 900) * k / SAMPLE_RATE_HZ) * np.exp(-k / 60)
            knock += 0.6 * rng.standard_normal(700) * np.exp(-k / 25)
            typing[at + delay : at + delay + 700] += (0.03 * gain * rng.uniform(0.5, 1.5) * knock).astype(
                np.float32
            )
        at += int(rng.exponential(0.16) * SAMPLE_RATE_HZ) + 900
    out["typing"] = typing
    return out


def add_noise(samples: FloatArray, snr_db: float, seed: int) -> FloatArray:
    """Add pink noise ``snr_db`` below the speech (root mean square of the whole clip)."""
    noise = coloured(len(samples), 0.5, np.random.default_rng(seed))
    speech_db = 10 * np.log10(float(np.mean(np.square(samples, dtype=np.float64))) + 1e-12)
    return samples + at_level(noise, speech_db - snr_db)


def spoilers() -> dict[str, Callable[[FloatArray], FloatArray]]:
    """Name -> what it does to a clip."""
    from vcam_avatar.training.speech_audio import clip_peaks, telephone

    return {
        "clean": lambda x: x,
        "-30 dB": lambda x: x * np.float32(10 ** (-30 / 20)),
        "-15 dB": lambda x: x * np.float32(10 ** (-15 / 20)),
        "+10 dB": lambda x: np.clip(x * np.float32(10 ** (10 / 20)), -1, 1),
        "SNR 20 dB": lambda x: add_noise(x, 20, 1),
        "SNR 10 dB": lambda x: add_noise(x, 10, 2),
        "SNR 5 dB": lambda x: add_noise(x, 5, 3),
        "telephone": telephone,
        "clipped": lambda x: clip_peaks(x, 0.05),
    }
