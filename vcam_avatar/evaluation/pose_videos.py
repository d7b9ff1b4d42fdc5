"""``python -m vcam_avatar.evaluation.pose_videos OUT``: stick figures with sound, to look at gestures.

Seven voices of 30 seconds. For each: a video, a sheet with a figure every half second, motion curves (speed
of each wrist over the sound's waveform, stressed syllables and what was heard as voice marked) and figures.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vcam_avatar.evaluation import pose_measure as m
from vcam_avatar.evaluation.pose_draw import contact_sheet, write_video
from vcam_avatar.evaluation.pose_material import FPS
from vcam_avatar.evaluation.report import default_data
from vcam_avatar.inference import Network
from vcam_avatar.media import SAMPLE_RATE_HZ, ByteArray, FloatArray, UnitClock
from vcam_avatar.stages.features import FeatureStage
from vcam_avatar.stages.pose import NeuralPosePredictor
from vcam_avatar.stages.pose_layout import LEFT_WRIST, RIGHT_WRIST, rest_pose

SECONDS = 30
_STROKE_SPEED = 0.5
"""Wrists faster than this, in shoulder widths a second, make a stroke."""


def cases(data: Path) -> dict[str, FloatArray]:
    """Name -> float32 mono 16 kHz sound of 30 s. No file of it was learnt but the music."""
    from vcam_avatar.training.pose_sound import load_audio, room_noise, speech_files, whispered

    rng = np.random.default_rng(0)
    held = speech_files(data, held=True)
    man = _joined([load_audio(f) for f in held["dctts"]])
    woman = _joined([load_audio(f) for f in sorted((data / "asterisk_speech" / "en").glob("*.g722"))[40:90]])
    mandarin = _joined([load_audio(f) for f in held["facegood"]])
    room = room_noise(SECONDS * SAMPLE_RATE_HZ, rng)
    talk = np.zeros(SECONDS * SAMPLE_RATE_HZ, np.float32)
    talk[8 * SAMPLE_RATE_HZ : 20 * SAMPLE_RATE_HZ] = woman[: 12 * SAMPLE_RATE_HZ]
    # Louder, brighter and cut off at full scale, as a microphone does with a shout.
    bright = np.append(man[:1], man[1:] - 0.6 * man[:-1])
    shout = np.clip(bright / np.abs(bright).max() * 6, -1, 1)
    songs = [
        load_audio(data / "noise_music" / f"{n}.flac")
        for n in ("ambi_piano", "guit_em9", "loop_tabla", "loop_garzul")
    ]
    return {
        "english_woman": woman + room, "english_man": man + room, "mandarin": mandarin + room,
        "silence_speech_silence": talk + room, "shouting": np.asarray(shout, np.float32),
        "whispering": whispered(man, rng) + 0.3 * room, "music": _joined(songs),
    }  # fmt: skip


def _joined(sounds: list[FloatArray]) -> FloatArray:
    """``SECONDS`` of the sounds one after the other, over again if need be, at half of full scale."""
    whole = np.resize(np.concatenate(sounds), SECONDS * SAMPLE_RATE_HZ)
    return np.asarray(whole * (0.5 / (np.abs(whole).max() + 1e-6)), np.float32)


def perform(
    predictor: NeuralPosePredictor, sound: FloatArray, seed: int = 1
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Motion ``(T, 57, 3)`` at 25 Hz, row n shown while unit n + 1 is heard, and where a voice was heard."""
    stage, clock = FeatureStage(FPS), UnitClock(FPS)
    predictor.reset(np.array(rest_pose()), seed)
    poses, voice = [], []
    for n in range(len(sound) * m.HZ // SAMPLE_RATE_HZ):
        poses.append(predictor.predict(stage.push(sound[clock.start_sample(n) : clock.start_sample(n + 1)])))
        voice.append(predictor.voice > 0.5)
    return np.stack(poses), np.array(voice)


def wrist_speeds(motion: FloatArray) -> NDArray[np.float64]:
    """``(T, 2)`` speed of the right and of the left wrist, shoulder widths a second."""
    wrists = np.asarray(motion[:, [RIGHT_WRIST, LEFT_WRIST], :2], np.float64)
    return np.asarray(np.linalg.norm(np.gradient(wrists, axis=0), axis=-1) * m.HZ)


def stroke_ticks(motion: FloatArray) -> NDArray[np.int64]:
    """Ticks at which a hand is fastest in a stroke."""
    speed = gaussian_filter1d(wrist_speeds(motion).max(1), 1.0)
    peak = (speed[1:-1] > speed[:-2]) & (speed[1:-1] >= speed[2:]) & (speed[1:-1] > _STROKE_SPEED)
    return np.flatnonzero(peak) + 1


def figures(motion: FloatArray, voice: NDArray[np.bool_], sound: FloatArray) -> dict[str, float]:
    """What the eye should check, as numbers."""
    from vcam_avatar.training.pose_prosody import analyse
    from vcam_avatar.training.pose_sound import ticks_of

    prosody = analyse(sound)
    speech = ticks_of(prosody.speech, len(motion))
    onsets = prosody.stress_rows / 100
    strokes = stroke_ticks(motion) / m.HZ
    away = np.convolve(speech, np.ones(2 * m.HZ))[: len(motion)] < 0.5
    away[: m.HZ] = False
    speed = m.hand_speed(motion)
    out = {
        "heard as voice": float(voice.mean()),
        "hands moving in speech": float((speed[speech] > m.STILL_SPEED).mean()) if speech.any() else 0.0,
        "hands moving two seconds after speech": float((speed[away] > m.STILL_SPEED).mean())
        if away.any()
        else 0.0,
        "strokes a minute": len(strokes) * 60 * m.HZ / len(motion),
        "fingertips touching": m.touching_fingertips(motion),
    }
    if len(onsets) and len(strokes):
        # The same strokes against the same rhythm moved by up to half: what chance would do.
        length = len(motion) / m.HZ
        moved = [_near(strokes, np.sort((onsets + by) % length)) for by in np.linspace(1.3, length / 2, 23)]
        out |= {"strokes on stress": _near(strokes, onsets), "by chance": float(np.mean(moved))}
    again = repetition(motion)
    return out if np.isnan(again) else {**out, "nearest repetition / mean": again}


def _near(
    strokes: NDArray[np.float64], onsets: NDArray[np.float64], before_s: float = 0.05, after_s: float = 0.30
) -> float:
    """Share of strokes at their fastest between ``before_s`` before and ``after_s`` after a stress begins."""
    gap = strokes[:, None] - onsets[None]
    return float(((gap > -before_s) & (gap < after_s)).any(1).mean())


def repetition(motion: FloatArray, window: int = 2 * m.HZ) -> float:
    """Least distance of the wrists' path in two windows of 2 s apart in time, over the mean distance; 0 is a
    loop."""
    wrists = np.asarray(motion[:, [RIGHT_WRIST, LEFT_WRIST], :2], np.float64).reshape(len(motion), -1)
    moving = m.hand_speed(motion) > m.STILL_SPEED
    starts = [s for s in range(0, len(motion) - window, 5) if moving[s : s + window].mean() > 0.6]
    if len(starts) < 2:
        return float("nan")
    paths = np.stack([wrists[s : s + window].ravel() for s in starts])
    distance = np.sqrt(((paths[:, None] - paths[None]) ** 2).mean(-1))
    apart = np.abs(np.subtract.outer(starts, starts)) >= window
    return float(distance[apart].min() / distance[apart].mean()) if apart.any() else float("nan")


def curves(motion: FloatArray, voice: NDArray[np.bool_], sound: FloatArray, width: int = 1600) -> ByteArray:
    """uint8 BGR: in two rows of 15 s, the waveform (grey), stressed syllables (yellow lines), heard voice
    (blue bar), speed of the right (orange) and left (green) wrist up to 3 shoulder widths a second."""
    from vcam_avatar.training.pose_prosody import analyse

    stress = analyse(sound).stress_rows / 100
    speeds = wrist_speeds(motion)
    rows, height = [], 260
    half = len(motion) // 2
    for row in range(2):
        image = np.full((height, width, 3), 24, np.uint8)
        first, last = row * half, (row + 1) * half
        wave = np.abs(sound[first * 640 : last * 640])
        columns = np.linspace(0, len(wave), width + 1).astype(int)
        top = np.abs(sound).max() + 1e-6
        for x in range(width):
            size = int(55 * wave[columns[x] : columns[x + 1]].max(initial=0) / top)
            cv2.line(image, (x, height - 64 - size), (x, height - 64 + size), (95, 95, 95), 1)
        for s in stress:
            x = int((s * m.HZ - first) / half * width)
            if 0 <= x < width:
                cv2.line(image, (x, 0), (x, height), (0, 190, 220), 1)
        ticks = (np.arange(half) + 0.5) * width / half
        for x, heard in zip(ticks, voice[first:last], strict=True):
            if heard:
                cv2.line(image, (int(x), height - 3), (int(x + width / half), height - 3), (255, 140, 60), 4)
        for side, colour in ((0, (110, 160, 255)), (1, (120, 220, 120))):
            y = height - 10 - np.clip(speeds[first:last, side] / 3, 0, 1) * (height - 20)
            cv2.polylines(image, [np.stack([ticks, y], 1).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
        for second in range(16):
            at = int(second * m.HZ / half * width)
            cv2.putText(
                image, f"{first // m.HZ + second}", (at + 2, 12), 0, 0.4, (200, 200, 200), 1, cv2.LINE_AA
            )
        rows.append(image)
    return np.ascontiguousarray(np.vstack(rows))


def show(name: str, sound: FloatArray, predictor: NeuralPosePredictor, folder: Path) -> dict[str, float]:
    """Write video, sheet and curves of one case; return its figures."""
    motion, voice = perform(predictor, sound)
    write_video(folder / f"{name}.mp4", motion, m.HZ, sound)
    cv2.imwrite(str(folder / f"{name}_sheet.png"), contact_sheet(motion[::12][:60], m.HZ / 12, 12, 150))
    cv2.imwrite(str(folder / f"{name}_curves.png"), curves(motion, voice, sound))
    return figures(motion, voice, sound)


def main(argv: Sequence[str] | None = None) -> int:
    """Write everything and print the figures as JSON, one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for videos and pictures")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of the recordings")
    parser.add_argument("--network", type=Path, help="a pose network (.onnx) instead of the shipped one")
    parser.add_argument("--only", nargs="*", help="names of cases")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    predictor = NeuralPosePredictor(Network(args.network) if args.network else None)
    for name, sound in cases(args.data).items():
        if not args.only or name in args.only:
            got = show(name, sound, predictor, args.out)
            print(json.dumps({"case": name, **{k: round(v, 3) for k, v in got.items()}}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
