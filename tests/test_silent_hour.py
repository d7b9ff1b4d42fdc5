"""An hour of digital silence, as a muted microphone gives, then speech: the mouth opens as after a second.

The hour is not waited for: its units go through the hearing as fast as they can.
"""

from fractions import Fraction

import numpy as np
import pytest

from vcam_avatar.devices.audio_file import read_audio
from vcam_avatar.media import FACE_ACTIONS
from vcam_avatar.resources import asset_path
from vcam_avatar.stages.features import FeatureStage
from vcam_avatar.stages.listener import Listener

FPS = Fraction(25)
JAW = FACE_ACTIONS.index("jawOpen")


def first_opening(silent_units):
    """Units from the beginning of the demo voice to the first open mouth; and the most open before."""
    features, listener = FeatureStage(FPS), Listener()
    zeros, before = np.zeros(640, np.float32), 0.0
    for _ in range(silent_units):
        before = max(before, float(listener.listen(features.push(zeros))[JAW]))
    voice = read_audio(asset_path("demo_voice.flac"))
    for n in range(100):
        if listener.listen(features.push(voice[640 * n : 640 * (n + 1)]))[JAW] > 0.1:
            return n, before
    return None, before


@pytest.mark.soak
@pytest.mark.timeout(900)  # an hour in two minutes
def test_an_hour_of_zeros_then_speech():
    soon, _ = first_opening(25)
    late, before = first_opening(3600 * 25)
    assert before < 0.02
    assert soon is not None
    assert abs(late - soon) <= 1


def test_half_a_minute_of_zeros_then_speech():
    soon, _ = first_opening(25)
    late, before = first_opening(33 * 25)
    assert before < 0.02
    assert late == soon
