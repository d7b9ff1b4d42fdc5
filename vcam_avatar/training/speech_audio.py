"""Reading audio files, and making clean recordings sound like other rooms, microphones and lines."""

from pathlib import Path

import av
import numpy as np
import soxr

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray


def read_audio(path: Path) -> FloatArray:
    """The sound of an audio or video file, float32 mono 16 kHz.

    Raises:
        av.FFmpegError: the file cannot be read.
    """
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE_HZ)
    parts = []
    with av.open(str(path), format="g722" if path.suffix == ".g722" else None) as container:
        for frame in container.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
    parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def change_speed(samples: FloatArray, factor: float) -> FloatArray:
    """Play ``factor`` times as fast: pitch and formants rise alike, as in a smaller speaker."""
    if factor == 1:
        return samples
    return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ), np.float32)


def reverberate(samples: FloatArray, response: FloatArray, share: float) -> FloatArray:
    """Add ``share`` of a room's response to the direct sound; the direct sound keeps its time."""
    response = response[np.argmax(np.abs(response)) :]
    size = len(samples) + len(response) - 1
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    wet *= (samples.std() + 1e-9) / (wet.std() + 1e-9)
    return np.asarray((1 - share) * samples + share * wet, np.float32)


def small_room(rng: np.random.Generator) -> FloatArray:
    """A made impulse response with a random decay, 50-600 ms."""
    decay_s = float(np.exp(rng.uniform(np.log(0.05), np.log(0.6))))
    n = int(decay_s * SAMPLE_RATE_HZ)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail[0] = 3.0
    return tail.astype(np.float32)


def telephone(samples: FloatArray) -> FloatArray:
    """An 8 kHz line, 300-3400 Hz, mu-law."""
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, 8_000)
    spectrum = np.fft.rfft(narrow)
    hz = np.fft.rfftfreq(len(narrow), 1 / 8_000)
    spectrum *= 1 / (1 + (250 / np.maximum(hz, 1)) ** 6) ** 0.5 / (1 + (hz / 3500) ** 16) ** 0.5
    narrow = np.fft.irfft(spectrum, len(narrow))
    peak = np.abs(narrow).max() + 1e-9
    law = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256) * 127) / 127
    narrow = np.sign(law) * (256 ** np.abs(law) - 1) / 255 * peak
    wide = soxr.resample(narrow.astype(np.float32), 8_000, SAMPLE_RATE_HZ)
    out = np.zeros(len(samples), np.float32)
    out[: min(len(out), len(wide))] = wide[: len(out)]
    return out


def clip_peaks(samples: FloatArray, share: float) -> FloatArray:
    """Overdrive until ``share`` of the samples sit at the rail."""
    rail = float(np.quantile(np.abs(samples), 1 - share)) + 1e-6
    return np.clip(samples, -rail, rail)


def roughen(samples: FloatArray, rng: np.random.Generator, rooms: list[FloatArray]) -> FloatArray:
    """One random bad recording of ``samples``, of the same length and in time with it."""
    out = samples
    if rng.random() < 0.6:
        room = rooms[rng.integers(len(rooms))] if rooms and rng.random() < 0.4 else small_room(rng)
        out = reverberate(out, room, float(rng.uniform(0.1, 0.6)))
    if rng.random() < 0.2:
        out = clip_peaks(out, float(rng.uniform(0.001, 0.03)))
    if rng.random() < 0.25:
        out = telephone(out)
    elif rng.random() < 0.5:  # a cheap microphone: a resonance or two and a soft low end
        spectrum, hz = np.fft.rfft(out), np.fft.rfftfreq(len(out), 1 / SAMPLE_RATE_HZ)
        gain = 1 / (1 + (rng.uniform(50, 250) / np.maximum(hz, 1)) ** 4) ** 0.5
        for _ in range(2):
            centre, width = rng.uniform(500, 6000), rng.uniform(150, 900)
            gain = gain * 10 ** (rng.uniform(-8, 8) / 20 * np.exp(-0.5 * ((hz - centre) / width) ** 2))
        out = np.fft.irfft(spectrum * gain, len(out)).astype(np.float32)
    return out
