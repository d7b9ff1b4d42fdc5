"""Running the lips over whole clips, for measuring."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.inference import Network
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.features import FeatureStage, mfcc
from vcam_avatar.stages.lips import LipNetwork, Lips, row_levels_db
from vcam_avatar.stages.lips_decode import DecoderSettings, MouthDecoder
from vcam_avatar.stages.visemes import VISEMES

ROW_MS = 10.0
WINDOW_MS = 25.0


@dataclass(frozen=True)
class Heard:
    """A clip as the network and the decoder hear it, one value per feature row."""

    times_ms: FloatArray
    """float64 ``(T,)``: the instant of the mouth that each row tells."""
    visemes: FloatArray
    """float32 ``(T, 15)`` posteriors."""
    curves: FloatArray
    """float32 ``(T, 6)``."""
    opening: FloatArray
    """float32 ``(T,)`` after all gates."""


class Ear:
    """The network under test."""

    def __init__(self, network: Network | None = None, decoder: DecoderSettings | None = None) -> None:
        self.network = LipNetwork(network)
        self.decoder = decoder

    def hear(self, samples: FloatArray, look_ahead_ms: int) -> Heard:
        """Every row of a clip, decoded with one head."""
        rows = mfcc(samples)
        self.network.reset()
        head = self.network.look_ahead_ms.index(look_ahead_ms)
        mouth = self.network.push(rows)[:, head]
        voice = self.network.voice
        visemes, curves = mouth[:, : len(VISEMES)], mouth[:, len(VISEMES) :]
        decoder = MouthDecoder(self.decoder)
        levels = row_levels_db(rows)
        late = look_ahead_ms // 10
        opening = np.zeros(len(rows), np.float32)
        for t in range(len(rows)):
            level = max(float(levels[t]), float(levels[max(0, t - late)]))
            decoder.step(visemes[t], curves[t], level, False, float(voice[t]))
            opening[t] = decoder.shown
        times = ROW_MS * np.arange(len(rows)) + WINDOW_MS - look_ahead_ms
        return Heard(times, visemes, curves, opening)

    def openings(self, samples: FloatArray, fps: Fraction, look_ahead_ms: int = 20) -> FloatArray:
        """Lip opening in every whole frame of a video of ``fps``, float32 ``(units,)``."""
        lips, stage, out = (
            Lips(self.network, look_ahead_ms=look_ahead_ms, decoder=self.decoder),
            FeatureStage(fps),
            [],
        )
        lips.reset()
        for n in range(len(samples)):
            start, end = stage.clock.start_sample(n), stage.clock.start_sample(n + 1)
            if end > len(samples):
                break
            lips.listen(stage.push(samples[start:end]))
            out.append(lips.opening)
        return np.array(out, np.float32)


def labels_at(track: NDArray[np.int8], times_ms: NDArray[np.floating]) -> NDArray[np.int64]:
    """Viseme of a millisecond track at ``times_ms``, -1 outside."""
    at = np.floor(times_ms).astype(int)
    known = (at >= 0) & (at < len(track))
    out = np.full(len(at), -1, np.int64)
    out[known] = track[at[known]]
    return out


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson's r, 0 when one of them does not move."""
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def best_lag(ours: FloatArray, real: FloatArray, fps: float, reach_ms: float = 240.0) -> float:
    """Shift in ms at which ``ours`` fits ``real`` best; positive = ours is late."""
    at = np.arange(len(real))
    lags = np.arange(-reach_ms, reach_ms + 1, 10.0)
    fits = [correlation(np.interp(at + lag / 1000 * fps, np.arange(len(ours)), ours), real) for lag in lags]
    return float(lags[int(np.argmax(fits))])


def peaks(curve: FloatArray, prominence: float) -> int:
    """How many local maxima stand out by ``prominence``."""
    count, low, high, rising = 0, float(curve[0]), float(curve[0]), True
    for value in map(float, curve):
        if rising:
            high = max(high, value)
            if value < high - prominence:
                count, rising, low = count + (high - low >= prominence), False, value
        else:
            low = min(low, value)
            if value > low + prominence:
                rising, high = True, value
    return count
