"""What in speech calls for a gesture: where somebody speaks, and which syllables carry stress."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d
from scipy.signal import find_peaks

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.features import mel_energies

ROWS_HZ = 100
_SPEECH_OVER_FLOOR_DB = 14.0
_HANG_ROWS, _SHORTEST_ROWS = 12, 10
_STRESS_EVERY_S = 0.45
_NOTHING_DB = -45.0
"""Clips whose loudest row stays below this hold no speech: digital silence, rooms."""


@dataclass(frozen=True)
class Prosody:
    """Rhythm of one clip, 100 rows a second."""

    speech: NDArray[np.bool_]
    """``(R,)``: somebody speaks."""
    level_db: NDArray[np.float64]
    """``(R,)`` energy of the speech band over the clip's loudest parts, at most about 0."""
    stress_rows: NDArray[np.int64]
    """Rows at which the rise of a stressed syllable can first be heard."""
    stress: NDArray[np.float64]
    """Strength of each, 0..1 by rank within the clip."""


def band_level_db(samples: FloatArray) -> NDArray[np.float64]:
    """Energy of roughly 150-4000 Hz in each 10 ms row of float32 ``(n,)`` 16 kHz sound, dB."""
    mel = mel_energies(samples)
    return np.asarray(10 * np.log10(mel[:, 2:30].sum(1) + 1e-7), np.float64)


def analyse(samples: FloatArray) -> Prosody:
    """Rhythm of float32 ``(n,)`` mono 16 kHz speech. Uses the whole clip: for making labels only."""
    energy = band_level_db(samples)
    if len(energy) < 20 or energy.max() < _NOTHING_DB:
        empty = np.zeros(0)
        return Prosody(np.zeros(len(energy), bool), energy, empty.astype(int), empty)
    smooth = gaussian_filter1d(energy, 2.0)
    top, floor = np.percentile(smooth, 95), np.percentile(smooth, 8)
    threshold = max(floor + min(_SPEECH_OVER_FLOOR_DB, 0.5 * (top - floor)), top - 32)
    if top - floor < 10:
        threshold = top - 32
    speech = smooth > threshold
    speech = maximum_filter1d(speech.astype(np.uint8), 2 * _HANG_ROWS + 1)
    speech = minimum_filter1d(speech, 2 * (_HANG_ROWS - 4) + 1)
    opened = minimum_filter1d(speech, _SHORTEST_ROWS)
    speech = np.minimum(speech, maximum_filter1d(opened, 2 * _SHORTEST_ROWS)).astype(bool)

    nuclei = gaussian_filter1d(energy, 4.5)
    peaks, facts = find_peaks(nuclei, prominence=2.5, distance=9)
    inside = speech[peaks]
    peaks, prominence = peaks[inside], facts["prominences"][inside]
    # Loud against its neighbourhood, and long before the next one: what ears call stressed.
    around = gaussian_filter1d(nuclei, 60)
    gap = np.diff(np.append(peaks, peaks[-1] + 40 if len(peaks) else 0))
    weight = np.clip(prominence, 0, 15) + 1.5 * (nuclei[peaks] - around[peaks]) + 0.08 * np.minimum(gap, 60)
    chosen: list[int] = []
    for i in np.argsort(-weight):
        if all(abs(peaks[i] - peaks[j]) >= _STRESS_EVERY_S * ROWS_HZ for j in chosen):
            chosen.append(int(i))
    chosen.sort()
    slope = np.gradient(nuclei)
    rows = [int(max(0, p - 12) + np.argmax(slope[max(0, p - 12) : p + 1])) for p in peaks[chosen]]
    strength = np.argsort(np.argsort(weight[chosen])) / max(1, len(chosen) - 1) if chosen else np.zeros(0)
    return Prosody(speech, energy - top, np.array(rows, int), np.asarray(strength, np.float64))
