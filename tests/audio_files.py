"""Short sounds and audio files for tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile as sf

from vcam_avatar.media import FloatArray


def babble(seconds: float, rate_hz: int = 16_000, seed: int = 0) -> FloatArray:
    """Something like speech: a buzz whose loudness comes and goes four times a second."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    buzz = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 20))
    loudness = np.clip(np.sin(2 * np.pi * 2 * time), 0, 1) ** 2
    return np.asarray(0.2 * buzz * loudness + 1e-3 * rng.normal(size=len(time)), np.float32)


def write_audio(path: Path, samples: FloatArray, rate_hz: int = 16_000) -> Path:
    """Write float32 ``(n,)`` or ``(n, channels)`` as what the name's ending says."""
    if path.suffix in (".m4a", ".mp4"):
        planes = np.atleast_2d(np.asarray(samples, np.float32).T)
        layout = "mono" if len(planes) == 1 else "stereo"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=rate_hz, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
            for part in av.AudioResampler(format="fltp", layout=layout, rate=rate_hz).resample(frame):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    else:
        sf.write(path, samples, rate_hz)
    return path
