"""Speech with what the mouth does, ready for training.

    python -m vcam_avatar.training.speech OUT --data ../shared/data [--only woman man ...]
        [--grid-landmarks FILE] [--synthetic FOLDER ...]

Every source becomes ``OUT/<source>.npz``. A source whose files are absent is skipped with a note.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.training import speech_sounds
from vcam_avatar.training.speech_align import Aligner
from vcam_avatar.training.speech_audio import change_speed, read_audio, roughen
from vcam_avatar.training.speech_clips import Clip, save_clips
from vcam_avatar.training.speech_measured import facegood, grid
from vcam_avatar.training.speech_phones import (
    LAG_S,
    Phone,
    from_synthesiser,
    viseme_track,
)


def _split(number: int, test_every: int) -> str:
    return "test" if number % test_every == 0 else "dev" if number % (2 * test_every) == 1 else "train"


def _with_phones(phones: Path, sounds: Path, voice: str, test_every: int) -> Iterator[Clip]:
    """English clips of one voice with aligned phones, a JSON object on each line of ``phones``."""
    for n, line in enumerate(phones.read_text().splitlines()):
        row = json.loads(line)
        track = viseme_track(row["phones"], row["phones"][-1][1], ipa=False)
        yield Clip(row["id"], voice, "en", _split(n, test_every), read_audio(sounds / row["file"]), track)


def woman(data: Path) -> Iterator[Clip]:
    """Asterisk's English prompts, one woman, with aligned phones."""
    return _with_phones(data / "asterisk_speech/en_phones.jsonl", data / "asterisk_speech/en", "woman", 5)


def man(data: Path) -> Iterator[Clip]:
    """dc_tts takes, one man at home, with aligned phones."""
    return _with_phones(data / "dctts_male_speech/phones.jsonl", data / "dctts_male_speech/flac", "man", 4)


def man_more(data: Path) -> Iterator[Clip]:
    """The man's takes without phone times, aligned here; all for training."""
    root, aligner = data / "dctts_male_speech", Aligner()
    done = {json.loads(line)["id"] for line in (root / "phones.jsonl").read_text().splitlines()}
    for line in (root / "transcripts.csv").read_text().splitlines():
        name, text = line.split("|")[0], line.split("|")[-1]
        path = root / f"flac/{name}.flac"
        if name in done or not path.is_file():
            continue
        samples = read_audio(path)
        phones = aligner.phones(samples, text)
        if phones:
            yield Clip(name, "man", "en", "train", samples, viseme_track(phones, phones[-1][1], ipa=False))


def librivox(data: Path) -> Iterator[Clip]:
    """Five sentences of an audiobook: only for testing."""
    aligner = Aligner()
    for line in (data / "librivox_5clips/transcription").read_text().splitlines():
        text, name = line.split("</s>")
        name = name.strip(" ()\n")
        samples = read_audio(data / f"librivox_5clips/{name}.wav")
        phones = aligner.phones(samples, text.replace("<s>", ""))
        if phones:
            track = viseme_track(phones, phones[-1][1], ipa=False)
            yield Clip(name, "librivox", "en", "test", samples, track)


def synthetic(folder: Path) -> Iterator[Clip]:
    """What ``speech_tts`` wrote: aligned where the aligner knows the words."""
    aligner = Aligner()
    for line in (folder / "clips.jsonl").read_text().splitlines():
        row = json.loads(line)
        path = folder / f"{row['id']}.flac"
        samples = read_audio(path)
        tokens: list[Phone] = [(s, e, c) for s, e, c in row["phones"]]
        phones = (
            aligner.phones(samples, row["text"])
            if row["language"] == "en-us" and "espeak" not in row["voices"]
            else None
        )
        if phones:
            track = viseme_track(phones, len(samples) / SAMPLE_RATE_HZ, ipa=False)
        else:
            lag = LAG_S[row["id"].split("_")[0]]
            track = viseme_track(from_synthesiser(tokens, lag), len(samples) / SAMPLE_RATE_HZ, ipa=True)
        voice = "+".join(row["voices"])
        yield Clip(row["id"], voice, row["language"], row["split"], samples, track)


def noise(data: Path) -> Iterator[Clip]:
    """Music, ambience and noise without speech: silence for the mouth."""
    for n, path in enumerate(sorted((data / "noise_music").glob("*.flac"))):
        yield Clip(
            path.stem,
            "noise",
            "",
            "test" if n % 3 == 0 else "dev" if n % 9 == 1 else "train",
            read_audio(path),
        )


def sounds() -> Iterator[Clip]:
    """Made sounds without speech."""
    for name, samples in speech_sounds.make(130, 4.0, seed=7):
        yield Clip(name, "noise", "", "train", samples)


def roughened(clips: list[Clip], rooms: list[FloatArray], seed: int) -> Iterator[Clip]:
    """A second copy of the training clips: another speed, room, microphone or line."""
    for n, clip in enumerate(clips):
        rng = np.random.default_rng([seed, n])
        speed = float(np.exp(rng.uniform(np.log(0.84), np.log(1.2)))) if rng.random() < 0.7 else 1.0
        samples = roughen(change_speed(clip.samples, speed), rng, rooms)
        track = clip.visemes
        if track is not None:
            at = np.minimum((np.arange(int(len(track) / speed)) * speed).astype(int), len(track) - 1)
            track = track[at]
        yield replace(
            clip,
            name=clip.name + "~",
            samples=samples,
            visemes=track,
            curve_fps=clip.curve_fps * speed,
            mel=None,
        )


def main(argv: list[str] | None = None) -> int:
    """Build the sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--grid-landmarks", type=Path)
    parser.add_argument("--synthetic", type=Path, nargs="*", default=[])
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    data: Path = options.data
    rooms = [read_audio(p) for p in sorted((data / "noise_music").glob("ir-*"))]
    sources: dict[str, Callable[[], Iterator[Clip]]] = {
        "woman": lambda: woman(data),
        "man": lambda: man(data),
        "man_more": lambda: man_more(data),
        "librivox": lambda: librivox(data),
        "facegood": lambda: facegood(data),
        "noise": lambda: noise(data),
        "sounds": sounds,
    }
    if options.grid_landmarks:
        sources["grid"] = lambda: grid(data, options.grid_landmarks)
    for folder in options.synthetic:
        sources[folder.name] = lambda folder=folder: synthetic(folder)  # type: ignore[misc]
    for name, source in sources.items():
        if options.only and name not in options.only:
            continue
        try:
            clips = list(source())
        except FileNotFoundError as exc:
            print(f"{name}: skipped, {exc}")
            continue
        train = [c for c in clips if c.split == "train" and c.voice != "noise"]
        clips += roughened(train, rooms, seed=len(name))
        save_clips(options.out / f"{name}.npz", clips)
        seconds = Fraction(sum(len(c.samples) for c in clips), SAMPLE_RATE_HZ)
        labelled = sum(c.visemes is not None for c in clips)
        print(f"{name}: {len(clips)} clips, {float(seconds):.0f} s, {labelled} with phones", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
