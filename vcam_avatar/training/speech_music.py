"""Made-up music on sampled instruments: what must not move the lips.

    python -m vcam_avatar.training.speech_music OUT/music.npz --soundfont FluidR3_GM.sf2 --count 240

Needs the program ``fluidsynth`` and a General MIDI soundfont (Debian: ``fluid-soundfont-gm``, MIT). Chords,
tunes, basses and drums are drawn by chance; half of the pieces go through what studios do to sounds that then
resemble voices: swept filters, distortion, pumping.
"""

import argparse
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.training.speech_audio import read_audio
from vcam_avatar.training.speech_clips import Clip, save_clips

Rng = np.random.Generator
Event = tuple[float, bytes]
"""Second, MIDI message."""
_TICKS_S = 960
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 6, 7, 10, 12))
_DRUMS = 9


def melody(
    rng: Rng, channel: int, seconds: float, beat_s: float, root: int, notes: int, lengths: list[float]
) -> list[Event]:
    """One part: ``notes`` at a time, walking through a scale from MIDI pitch ``root``, sometimes bent."""
    scale = _SCALES[rng.integers(len(_SCALES))]
    out: list[Event] = [(0.0, bytes([0xC0 | channel, int(rng.integers(0, 120))]))]
    at, step, loud = 0.0, int(rng.integers(0, 7)), int(rng.integers(60, 120))
    while at < seconds:
        length = beat_s * float(rng.choice(lengths))
        if rng.random() < 0.85:
            held = length * rng.uniform(0.5, 1.05)
            for k in range(notes):
                octave, degree = divmod(step + 2 * k, 7)
                pitch = int(np.clip(root + 12 * octave + scale[degree], 20, 108))
                strength = int(np.clip(loud + rng.integers(-20, 20), 20, 127))
                out += [
                    (at, bytes([0x90 | channel, pitch, strength])),
                    (at + held, bytes([0x80 | channel, pitch, 0])),
                ]
        if rng.random() < 0.1:
            bends = np.linspace(0, rng.uniform(-1, 1), 8)
            out += [(at + b * length / 8, _bend(channel, float(v))) for b, v in enumerate(bends)]
            out.append((at + length, _bend(channel, 0.0)))
        step = int(np.clip(step + rng.integers(-2, 3), -3, 10))
        at += length
    return out


def _bend(channel: int, amount: float) -> bytes:
    value = int(np.clip(8192 + 8191 * amount, 0, 16383))
    return bytes([0xE0 | channel, value & 127, value >> 7])


def drums(rng: Rng, seconds: float, beat_s: float) -> list[Event]:
    """A bar of drums over and over."""
    bar = [
        (k / 4, int(rng.integers(35, 60)), int(rng.integers(50, 127)))
        for k in range(16)
        if rng.random() < 0.5
    ]
    count = int(seconds / (4 * beat_s)) + 1
    return [
        (beat_s * (4 * n + at), bytes([0x90 | _DRUMS, pitch, strength]))
        for n in range(count) for at, pitch, strength in bar
    ]  # fmt: skip


def compose(rng: Rng, seconds: float) -> list[Event]:
    """A piece with one to four parts."""
    beat_s, root = rng.uniform(0.28, 0.9), int(rng.integers(36, 60))
    parts: list[Callable[[], list[Event]]] = [
        lambda: melody(rng, 0, seconds, beat_s, root + 12, 3, [2, 4, 4]),
        lambda: melody(rng, 1, seconds, beat_s, root + int(rng.choice([12, 24])), 1, [0.5, 0.5, 1, 1, 2]),
        lambda: melody(rng, 2, seconds, beat_s, root - 12, 1, [0.25, 0.5, 1, 2]),
        lambda: drums(rng, seconds, beat_s),
    ]
    chosen = [p for p, share in zip(parts, (0.6, 0.7, 0.6, 0.5), strict=True) if rng.random() < share]
    return [event for part in chosen or parts[1:2] for event in part()]


def midi(events: list[Event]) -> bytes:
    """A standard MIDI file, format 0, one tick = 1 / 960 s."""
    body, before = bytearray(b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big")), 0
    for at, message in sorted(events, key=lambda e: e[0]):
        ticks = round(at * _TICKS_S)
        body += _variable(ticks - before) + message
        before = ticks
    body += b"\x00\xff\x2f\x00"
    return (
        b"MThd"
        + struct.pack(">IHHH", 6, 0, 1, _TICKS_S)
        + b"MTrk"
        + struct.pack(">I", len(body))
        + bytes(body)
    )


def _variable(value: int) -> bytes:
    out = [value & 127]
    while value := value >> 7:
        out.insert(0, value & 127 | 128)
    return bytes(out)


def treat(sound: FloatArray, rng: Rng) -> FloatArray:
    """Swept resonance, distortion, pumping, a coarse grid: each by chance."""
    t = np.arange(len(sound)) / SAMPLE_RATE_HZ
    out: FloatArray = sound
    if rng.random() < 0.5:
        out = _swept(out, rng)
    if rng.random() < 0.4:
        out = np.asarray(np.tanh(out / (out.std() + 1e-9) * rng.uniform(0.5, 6)))
    if rng.random() < 0.3:
        hz, shape = rng.uniform(0.5, 12), rng.uniform(0.3, 4)
        pump = (0.5 + 0.5 * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6))) ** shape
        out = np.asarray(out * pump)
    if rng.random() < 0.15:
        grid = np.abs(out).max() / rng.integers(4, 24) + 1e-9
        out = np.round(out / grid) * grid
    return np.asarray(out, np.float32)


def _swept(sound: FloatArray, rng: Rng, block: int = 160) -> FloatArray:
    """One or two resonances that wander like formants."""
    out = np.zeros_like(sound)
    pieces = len(sound) // block
    for _ in range(rng.integers(1, 3)):
        low, high = np.sort(np.exp(rng.uniform(np.log(200), np.log(5000), 2)))
        pace = rng.uniform(0.2, 8)
        wave = 0.5 + 0.5 * np.sin(
            2 * np.pi * pace * np.arange(pieces) * block / SAMPLE_RATE_HZ + rng.uniform(0, 6)
        )
        radius, state = rng.uniform(0.9, 0.985), np.zeros(2)
        for k, share in enumerate(wave):
            angle = 2 * np.pi * (low * (high / low) ** share) / SAMPLE_RATE_HZ
            poles = [1.0, -2 * radius * np.cos(angle), radius**2]
            here = slice(k * block, (k + 1) * block)
            filtered, state = lfilter([1 - radius], poles, sound[here], zi=state)
            out[here] += filtered
    return np.asarray(out + rng.uniform(0, 0.3) * sound * (out.std() / (sound.std() + 1e-9)))


def make(count: int, seconds: float, soundfont: Path, seed: int) -> list[Clip]:
    """``count`` pieces of ``seconds`` each at a peak of 0.5; every sixth for development.

    Raises:
        FileNotFoundError: the program or the soundfont is not there.
        subprocess.CalledProcessError: the program failed.
    """
    if not soundfont.is_file():
        raise FileNotFoundError(f"no soundfont {soundfont}")
    out = []
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        for k in range(count):
            rng = np.random.default_rng([seed, k])
            score.write_bytes(midi(compose(rng, seconds)))
            command = ["fluidsynth", "-niq", "-r", "32000", "-F", str(sound), str(soundfont), str(score)]
            subprocess.run(command, check=True, capture_output=True)
            samples = read_audio(sound)[: int(seconds * SAMPLE_RATE_HZ)]
            if rng.random() < 0.5:
                samples = treat(samples, rng)
            samples = (0.5 * samples / (np.abs(samples).max() + 1e-9)).astype(np.float32)
            out.append(Clip(f"music_{k}", "music", "", "dev" if k % 6 == 1 else "train", samples))
    return out


def main(argv: list[str] | None = None) -> int:
    """Write the set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"))
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args(argv)
    clips = make(options.count, options.seconds, options.soundfont, options.seed)
    save_clips(options.out, clips)
    print(f"{len(clips)} pieces, {sum(len(c.samples) for c in clips) / SAMPLE_RATE_HZ:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
