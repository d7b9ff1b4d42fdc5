"""Speech of many voices with phone times, from offline synthesisers whose networks give durations.

    python -m vcam_avatar.training.speech_tts kokoro FOLDER OUT --minutes 20
    python -m vcam_avatar.training.speech_tts hibari FOLDER OUT --minutes 1
    python -m vcam_avatar.training.speech_tts piper  FOLDER OUT --minutes 1

``FOLDER`` holds the model (``model.onnx``), its symbol table (``vocab.json``) and, for Kokoro, the
voices as ``voices/*.bin``. ``OUT`` receives 16 kHz FLAC files and ``clips.jsonl``.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.training.speech_text import SENTENCES, phonemes

LANGUAGE_OF_LETTER = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja",
    "p": "pt-br", "z": "cmn",
}  # fmt: skip
"""Kokoro's voice names begin with the language's letter."""
DEV_VOICES = ("af_sky", "am_puck", "bf_lily", "bm_fable", "zf_xiaoyi", "em_alex")
"""Kept out of training: they choose between weights."""
TEST_LANGUAGE = "it"
"""Kept out of training and out of every choice."""
_SHARE = {"en-us": 16, "en-gb": 6, "es": 2, "fr-fr": 2, "hi": 1, "ja": 2, "pt-br": 1.5, "cmn": 4, "it": 1}


class Spoken(NamedTuple):
    """One synthesised sentence."""

    samples: FloatArray
    """float32 ``(n,)`` mono 16 kHz."""
    phones: list[tuple[float, float, str]]
    """Start and end in seconds, symbol of the synthesiser's alphabet; gapless from 0."""


def _session(path: Path, durations: str) -> Any:
    """The network with its duration tensor as one more output."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    model.graph.output.append(onnx.helper.make_tensor_value_info(durations, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _times(symbols: list[str], frames: FloatArray, frame_s: float) -> list[tuple[float, float, str]]:
    ends = np.cumsum(frames.ravel()) * frame_s
    starts = np.concatenate([[0.0], ends[:-1]])
    return [
        (round(float(s), 4), round(float(e), 4), c) for s, e, c in zip(starts, ends, symbols, strict=True)
    ]


class Kokoro:
    """Kokoro-82M: 54 voices, 9 languages, and every mixture of voices of a language."""

    def __init__(self, folder: Path) -> None:
        self._session = _session(folder / "model.onnx", "/encoder/Clip_output_0")
        self._vocab = json.loads((folder / "vocab.json").read_text())["vocab"]
        self.voices = {
            p.stem: np.fromfile(p, np.float32).reshape(-1, 256)
            for p in sorted((folder / "voices").glob("*.bin"))
        }

    def say(self, text: str, voices: dict[str, float], language: str, speed: float) -> Spoken:
        """Speak ``text`` in a mixture of ``voices`` (name -> weight, summing to 1)."""
        symbols = [c for c in phonemes(text, language) if c in self._vocab][:480]
        style = sum(self.voices[name][len(symbols) - 1] * weight for name, weight in voices.items())
        tokens = [0, *(self._vocab[c] for c in symbols), 0]
        feeds = {
            "tokens": np.array([tokens], np.int64),
            "style": np.asarray(style, np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        audio, frames = self._session.run(None, feeds)
        samples = soxr.resample(audio.ravel(), 24_000, SAMPLE_RATE_HZ).astype(np.float32)
        return Spoken(samples, _times(["", *symbols, ""], frames, 600 / 24_000))


class Hibari:
    """One small American voice, distilled from Kokoro."""

    def __init__(self, folder: Path) -> None:
        from hibari import dsp

        self._synth = dsp.synth
        self._session = _session(folder / "model.onnx", "/Clip_output_0")
        self._vocab = json.loads((folder / "vocab.json").read_text())

    def say(self, text: str, speed: float, seed: int) -> Spoken:
        """Speak English ``text``."""
        symbols = [c for c in phonemes(text, "en-us") if c in self._vocab]
        ids = [0, *(self._vocab[c] for c in symbols), 0]
        feeds = {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}
        *parts, frames = self._session.run(None, feeds)
        audio = self._synth(*(part[0] for part in parts), np.random.default_rng(seed))
        samples = soxr.resample(audio.ravel(), 24_000, SAMPLE_RATE_HZ).astype(np.float32)
        total = float(frames.sum())
        return Spoken(samples, _times(["", *symbols, ""], frames, len(audio) / 24_000 / total))


class Piper:
    """A Piper (VITS) voice."""

    def __init__(self, folder: Path) -> None:
        self._session = _session(folder / "model.onnx", "/Ceil_output_0")
        self._config = json.loads((folder / "vocab.json").read_text())

    def say(self, text: str, speed: float) -> Spoken:
        """Speak English ``text``."""
        table = self._config["phoneme_id_map"]
        done = subprocess.run(
            ["espeak-ng", "-q", "--ipa", "-v", "en-us", text], capture_output=True, text=True, check=True
        )
        symbols = [c for c in " ".join(done.stdout.split()) + "." if c in table]
        # Every symbol is followed by a blank, which belongs to it.
        ids = [*table["^"], 0, *(i for c in symbols for i in (table[c][0], 0)), *table["$"]]
        feeds = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0.667, 1 / speed, 0.8], np.float32),
        }
        audio, frames = self._session.run(None, feeds)
        rate = self._config["audio"]["sample_rate"]
        samples = soxr.resample(audio.ravel(), rate, SAMPLE_RATE_HZ).astype(np.float32)
        whole = np.append(frames.ravel(), 0.0)
        return Spoken(samples, _times(["", *symbols, ""], whole.reshape(-1, 2).sum(1), 256 / rate))


def _pick(rng: np.random.Generator, voices: list[str]) -> tuple[str, str, dict[str, float]]:
    """Split, language and voice mixture of one clip."""
    languages = list(_SHARE)
    weights = np.array([_SHARE[name] for name in languages])
    language = languages[rng.choice(len(languages), p=weights / weights.sum())]
    letter = next(k for k, v in LANGUAGE_OF_LETTER.items() if v == language)
    mine = [v for v in voices if v[0] == letter]
    dev = [v for v in mine if v in DEV_VOICES]
    if language == TEST_LANGUAGE:
        return "test", language, {str(rng.choice(mine)): 1.0}
    if dev and rng.random() < 0.1:
        return "dev", language, {str(rng.choice(dev)): 1.0}
    train = [v for v in mine if v not in dev]
    if len(train) < 2 or rng.random() < 0.4:
        return "train", language, {str(rng.choice(train)): 1.0}
    first, second = rng.choice(train, 2, replace=False)
    share = float(rng.uniform(0.3, 0.7))
    return "train", language, {str(first): share, str(second): 1 - share}


def main(argv: list[str] | None = None) -> int:
    """Write clips until the time is over; a second run goes on where the first stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", choices=["kokoro", "hibari", "piper"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0, help="wall time")
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--english", type=Path, help="text file, one more English sentence a line")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    index = options.out / "clips.jsonl"
    done = len(index.read_text().splitlines()) if index.exists() else 0
    english = list(SENTENCES["en-us"])
    if options.english:
        english += [line.strip() for line in options.english.read_text().splitlines() if line.strip()]
    stop = time.monotonic() + options.minutes * 60
    engine: Any = {"kokoro": Kokoro, "hibari": Hibari, "piper": Piper}[options.engine](options.folder)
    for number in range(done, options.clips):
        if time.monotonic() > stop:
            break
        rng = np.random.default_rng([number, len(options.engine)])
        speed = float(rng.uniform(0.8, 1.25))
        split, language, voices = "train", "en-us", {options.engine: 1.0}
        if options.engine == "kokoro":
            split, language, voices = _pick(rng, list(engine.voices))
        elif options.engine == "piper":
            split = "test"
        text = str(rng.choice(english if language.startswith("en") else list(SENTENCES[language])))
        if options.engine == "kokoro":
            spoken = engine.say(text, voices, language, speed)
        elif options.engine == "hibari":
            spoken = engine.say(text, speed, number)
        else:
            spoken = engine.say(text, speed)
        name = f"{options.engine}_{number:05d}"
        soundfile.write(options.out / f"{name}.flac", spoken.samples, SAMPLE_RATE_HZ)
        row = {
            "id": name,
            "voices": voices,
            "language": language,
            "split": split,
            "text": text,
            "phones": spoken.phones,
        }
        with index.open("a") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
