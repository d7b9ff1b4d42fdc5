"""The service with a real microphone, stand-in stages and frames into memory; how its mouth moves."""

import time

import numpy as np
import soundfile
from calm import hold, timed
from daemon.daemon_doubles import Stage
from lab import wait_for


def make_stage(source):
    """The service; ``mouth`` is how far it is open in each frame."""
    stage = Stage()
    stage.make_source = source
    stage.mouth = []
    send = stage.camera.send

    def keep(frame):
        send(frame)
        stage.mouth.append((time.monotonic(), int(frame.image_bgr[16, 28, 1])))

    stage.camera.send = keep
    return stage


def opening(stage, since):
    return np.array([value for moment, value in stage.mouth if moment >= since])


def first_movement_ms(lab, stage, sink="spk"):
    """From the start of the player to the first frame with an open mouth; the player takes some of it."""
    tone = lab.folder / "tone.wav"
    soundfile.write(tone, 0.3 * np.sin(np.arange(16000) * 0.2).astype(np.float32), 48_000)
    start = time.monotonic()
    player = lab.start("paplay", "paplay", "--latency-msec=20", f"--device={sink}", str(tone))
    moved = wait_for(lambda: next((t for t, v in stage.mouth if t >= start and v > 40), None), 3, 0.005)
    player.wait(10)
    time.sleep(0.3)
    return round((moved - start) * 1e3) if moved else None


def moves_in_time(lab, stage, sink="spk"):
    took = timed(lambda: first_movement_ms(lab, stage, sink), lambda ms: ms is not None and ms <= 150)
    assert took is not None, "the mouth does not move"
    hold(took <= 150, f"{took} ms")
    return took
