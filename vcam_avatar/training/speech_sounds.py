"""Sounds that are not speech, made by rule: typing, taps, breath, rustling, hums, beeps, music.

They teach the lips to stay shut. All of them vary widely, so that no single recipe can be learnt by heart.
"""

from collections.abc import Callable

import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray

_RATE = SAMPLE_RATE_HZ
Rng = np.random.Generator


def _band(n: int, rng: Rng, centre_hz: float, width_hz: float) -> FloatArray:
    spectrum, hz = np.fft.rfft(rng.standard_normal(n)), np.fft.rfftfreq(n, 1 / _RATE)
    out = np.fft.irfft(spectrum * np.exp(-0.5 * ((hz - centre_hz) / width_hz) ** 2), n)
    return np.asarray(out / (out.std() + 1e-9), np.float32)


def _knock(rng: Rng) -> FloatArray:
    """One key or tap: a burst, one to three resonances."""
    n = int(rng.uniform(0.015, 0.09) * _RATE)
    k = np.arange(n)
    out = rng.uniform(0.1, 1.2) * rng.standard_normal(n) * np.exp(-k / rng.uniform(10, 60))
    for _ in range(rng.integers(1, 4)):
        hz, decay = np.exp(rng.uniform(np.log(120), np.log(5000))), rng.uniform(25, 250)
        out += (
            rng.uniform(0.2, 1.0)
            * np.sin(2 * np.pi * hz * k / _RATE + rng.uniform(0, 6))
            * np.exp(-k / decay)
        )
    return out.astype(np.float32)


def typing(n: int, rng: Rng) -> FloatArray:
    """Keys of one keyboard: a family of similar knocks, down and up."""
    out = np.zeros(n + _RATE, np.float32)
    keys = [_knock(rng) for _ in range(rng.integers(2, 7))]
    at, pace = 0, rng.uniform(0.07, 0.4)
    while at < n:
        for delay, gain in ((0, 1.0), (int(rng.uniform(500, 2200)), rng.uniform(0.1, 0.8))):
            key = keys[rng.integers(len(keys))] * gain * rng.uniform(0.4, 1.6)
            out[at + delay : at + delay + len(key)] += key
        at += int(rng.exponential(pace) * _RATE) + 400
        if rng.random() < 0.05:
            at += int(rng.uniform(0.3, 1.5) * _RATE)
    return out[:n]


def breath(n: int, rng: Rng) -> FloatArray:
    """Breathing in and out: hiss through one or two wide resonances, swelling and ebbing."""
    out = np.zeros(n, np.float32)
    at = int(rng.uniform(0, 0.5) * _RATE)
    while at < n:
        m = min(n - at, int(rng.uniform(0.25, 1.6) * _RATE))
        if m < 200:
            break
        hiss = _band(m, rng, rng.uniform(500, 4500), rng.uniform(400, 2500))
        hiss += rng.uniform(0, 1) * _band(m, rng, rng.uniform(800, 6000), rng.uniform(200, 1200))
        shape = np.sin(np.pi * np.linspace(0, 1, m) ** rng.uniform(0.5, 2.0)) ** rng.uniform(0.7, 2)
        out[at : at + m] += hiss * shape.astype(np.float32) * rng.uniform(0.3, 1.0)
        at += m + int(rng.uniform(0.1, 2.0) * _RATE)
    return out


def rustle(n: int, rng: Rng) -> FloatArray:
    """Cloth and paper: hiss whose loudness flickers."""
    flicker = np.interp(np.arange(n), np.linspace(0, n, n // 160), rng.gamma(0.4, 1, n // 160))
    return (_band(n, rng, rng.uniform(1500, 6000), rng.uniform(1000, 3000)) * flicker).astype(np.float32)


def rumble(n: int, rng: Rng) -> FloatArray:
    """Fans, engines, wind: coloured noise with slow swells and sometimes a whine."""
    spectrum, hz = np.fft.rfft(rng.standard_normal(n)), np.maximum(np.fft.rfftfreq(n, 1 / _RATE), 20)
    out = np.fft.irfft(spectrum / hz ** rng.uniform(0, 1.3), n)
    out /= out.std() + 1e-9
    t = np.arange(n) / _RATE
    if rng.random() < 0.5:
        base = rng.uniform(40, 900)
        for k in range(1, rng.integers(2, 12)):
            out += rng.uniform(0, 1.0) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6))
    return (out * (1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.05, 1.5) * t))).astype(np.float32)


def beeps(n: int, rng: Rng) -> FloatArray:
    """Notifications and ring tones."""
    out, at = np.zeros(n, np.float32), 0
    while at < n:
        m = min(n - at, int(rng.uniform(0.05, 0.6) * _RATE))
        t = np.arange(m) / _RATE
        tone = np.sin(2 * np.pi * np.exp(rng.uniform(np.log(200), np.log(4000))) * t)
        out[at : at + m] = (
            tone * np.exp(-t * rng.uniform(0, 12)) * np.minimum(1, np.minimum(t, t[::-1]) * 200)
        )
        at += m + int(rng.exponential(0.4) * _RATE)
    return out


def music(n: int, rng: Rng) -> FloatArray:
    """A made-up band: chords, a tune with vibrato, a bass, drums; any of them may be missing."""
    t = np.arange(n) / _RATE
    out = np.zeros(n + _RATE)
    beat_s, root = rng.uniform(0.28, 0.8), rng.uniform(80, 300)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10, 12])

    def note(hz: float, length_s: float, bright: float, attack_s: float, wobble: float) -> FloatArray:
        m = int(length_s * _RATE)
        k = np.arange(m) / _RATE
        phase = 2 * np.pi * hz * k + wobble * np.sin(2 * np.pi * rng.uniform(4, 7) * k)
        tone = np.zeros(m)
        for h in range(1, 14):
            if hz * h < 7500:
                tone += rng.uniform(0.5, 1) * h**-bright * np.sin(h * phase + rng.uniform(0, 6))
        fade = np.minimum(1, k / attack_s) * np.minimum(1, (length_s - k) / 0.03) * np.exp(-k * decay)
        return np.asarray(tone * np.clip(fade, 0, 1), np.float32)

    for part, share in (("chords", 0.7), ("tune", 0.75), ("bass", 0.6), ("drums", 0.6)):
        if rng.random() > share:
            continue
        bright, attack, wobble = rng.uniform(0.4, 2.5), rng.uniform(0.003, 0.2), rng.uniform(0, 0.6)
        decay, gain, at = rng.uniform(0, 6), rng.uniform(0.3, 1.0), 0.0
        while at < t[-1]:
            length = beat_s * float(rng.choice([0.5, 1, 1, 2, 4]))
            start = int(at * _RATE)
            if part == "drums":
                sound = (
                    _knock(rng)
                    if rng.random() < 0.6
                    else 0.5 * _band(1600, rng, 5000, 2500) * np.exp(-np.arange(1600) / 400)
                )
                length = beat_s / 2
            else:
                octave = {"chords": 1.0, "tune": float(rng.choice([2, 4])), "bass": 0.5}[part]
                steps = [0, 2, 4] if part == "chords" else [0]
                first = int(rng.integers(0, 8))
                pitches = [root * octave * 2 ** (float(scale[(first + s) % 8]) / 12) for s in steps]
                sound = np.sum([note(hz, length, bright, attack, wobble) for hz in pitches], 0)
            if rng.random() < 0.85:
                out[start : start + len(sound)] += gain * sound[: len(out) - start]
            at += length
    out = out[:n]
    return np.asarray(out / (np.abs(out).max() + 1e-9), np.float32)


KINDS: dict[str, Callable[[int, Rng], FloatArray]] = {
    "typing": typing, "breath": breath, "rustle": rustle, "rumble": rumble, "beeps": beeps, "music": music,
}  # fmt: skip
SHARES = {"typing": 5, "breath": 5, "rustle": 2, "rumble": 3, "beeps": 2, "music": 9}


def make(count: int, seconds: float, seed: int) -> list[tuple[str, FloatArray]]:
    """``count`` sounds of ``seconds`` each, at a peak of 0.5; name and float32 samples."""
    out = []
    names = list(SHARES)
    weights = np.array([SHARES[n] for n in names], float)
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        sound = KINDS[name](int(seconds * _RATE), rng)
        out.append((f"{name}_{k}", (0.5 * sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)))
    return out
