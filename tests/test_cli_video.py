"""render, run and demo: the same frames, the right lengths, and a clear word when something is wrong.

The stages are stand-ins here, so that only the machinery around them is tested.
"""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from audio_files import babble, write_audio
from doubles import make_avatar, make_stages

from vcam_avatar import config as config_module
from vcam_avatar.avatars import list_avatars
from vcam_avatar.cli import _live
from vcam_avatar.cli.main import main
from vcam_avatar.config import Config, load_config
from vcam_avatar.devices.audio_file import read_audio
from vcam_avatar.devices.memory import MemoryAudioSource, MemorySink
from vcam_avatar.devices.video_file import VideoFileSink
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, UnitClock
from vcam_avatar.pipeline import build, timings
from vcam_avatar.pipeline.loop import FrameLoop, PreparedAvatar, Stages
from vcam_avatar.pipeline.runner import play_stored

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RATES = ["10", "24", "25", "29.97", "30", "50", "60"]


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config_module, "config_path", lambda: tmp_path / "user" / "config.toml")
    monkeypatch.setattr(build, "find_configured_avatar", lambda config: object())

    def prepare(stages: Stages, avatar: object, config: Config) -> PreparedAvatar:
        return make_avatar(7, config.video.size)

    monkeypatch.setattr(build, "build_stages", lambda config: make_stages(config.video.fps))
    monkeypatch.setattr(build, "prepare_avatar", prepare)


def render(audio: Path, out: Path, *flags: str) -> int:
    return main(["render", str(audio), "-o", str(out), "--quiet", "--size", "64x64", *flags])


def pictures(video: Path) -> list[bytes]:
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="gray").tobytes() for frame in container.decode(video=0)]


def lengths_s(video: Path) -> tuple[int, float, float]:
    """Frame count, duration of the picture and of the sound in seconds."""
    with av.open(str(video)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        return (
            picture.frames,
            float(picture.duration * picture.time_base),
            float(sound.duration * sound.time_base),
        )


def voices() -> list[Path]:
    """A clip of each kind of real voice, where the data are at hand."""
    patterns = (
        "librivox_5clips/*0880.wav",
        "asterisk_speech/en/*hello-world*",
        "facegood_a2f/wav/*.wav",
        "grid_corpus/other_speakers/*.mpg",
    )
    return [sorted(SHARED.glob(pattern))[0] for pattern in patterns if any(SHARED.glob(pattern))]


@pytest.mark.parametrize("fps", RATES)
def test_lengths_at_every_rate(tmp_path: Path, fps: str) -> None:
    rate = Fraction(30_000, 1001) if fps == "29.97" else Fraction(fps)
    audio = write_audio(tmp_path / "voice.wav", babble(1.234, 44_100), 44_100)
    assert render(audio, tmp_path / "a.mp4", "--fps", fps) == 0
    frames, picture_s, sound_s = lengths_s(tmp_path / "a.mp4")
    assert frames == int(np.ceil(1.234 * rate))
    assert picture_s == pytest.approx(frames / rate, abs=1e-3)
    assert sound_s == pytest.approx(1.234, abs=float(1 / rate))
    assert render(audio, tmp_path / "b.mp4", "--fps", fps) == 0
    assert pictures(tmp_path / "a.mp4") == pictures(tmp_path / "b.mp4")


@pytest.mark.skipif(not voices(), reason="the real voices are not beside this checkout")
@pytest.mark.parametrize("voice", voices(), ids=lambda path: path.parent.name)
@pytest.mark.parametrize("fps", ["10", "29.97", "60"])
def test_lengths_of_real_voices(tmp_path: Path, voice: Path, fps: str) -> None:
    rate = Fraction(30_000, 1001) if fps == "29.97" else Fraction(fps)
    assert render(voice, tmp_path / "a.mp4", "--fps", fps) == 0
    frames, picture_s, sound_s = lengths_s(tmp_path / "a.mp4")
    assert frames == UnitClock(rate).unit_count(len(read_audio(voice)))
    assert abs(picture_s - sound_s) <= float(1 / rate) + 1e-3


def test_run_from_a_file_gives_the_frames_of_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = MemorySink()
    monkeypatch.setattr(_live, "MemorySink", lambda: sink)
    audio = write_audio(tmp_path / "voice.flac", babble(1.0, 48_000), 48_000)
    flags = ["--size", "64x64", "--seed", "3"]
    assert main(["run", "--source", f"file:{audio}", "--sink", "memory", *flags]) == 0
    assert "25 frames" in capsys.readouterr().out

    config = load_config(None, {"video.size": "64x64"})
    expected = MemorySink()
    loop = FrameLoop(make_stages(Fraction(25)), make_avatar(7, config.video.size), seed=3)
    play_stored(MemoryAudioSource(read_audio(audio)), loop, expected, config.video.size, Fraction(25))
    assert sink.digests == expected.digests

    assert render(audio, tmp_path / "a.mp4", "--seed", "3") == 0
    out = tmp_path / "b.mp4"
    assert main(["run", "--source", f"file:{audio}", "--sink", f"file:{out}", *flags]) == 0
    assert pictures(tmp_path / "a.mp4") == pictures(out)


def test_run_plays_a_file_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_audio(tmp_path / "voice.wav", babble(0.6))
    out = tmp_path / "live.mp4"
    command = ["run", "--source", f"file:{audio}", "--sink", f"file:{out}", "--live", "--no-control"]
    config = tmp_path / "c.toml"
    config.write_text(QUIET_OBS)
    assert main([*command, "--size", "64x64", "--config", str(config)]) == 0
    frames, picture_s, sound_s = lengths_s(out)
    assert 3 <= frames <= 16  # a busy machine may lose the end
    assert abs(picture_s - sound_s) < 0.1  # but picture and sound stay together


QUIET_OBS = "[obs]\nfollow = false\n"


def test_a_live_run_counts_all_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(timings, "_REMEMBERED", 3)  # a long run makes more frames than are measured
    audio = write_audio(tmp_path / "voice.wav", babble(0.6))
    (tmp_path / "c.toml").write_text(QUIET_OBS)
    command = ["run", "--source", f"file:{audio}", "--sink", "preview", "--no-control", "--size", "64x64"]
    assert main([*command, "--config", str(tmp_path / "c.toml")]) == 0
    assert int(capsys.readouterr().out.splitlines()[-1].split(" frames")[0]) > 3


def test_a_live_run_without_a_frame_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_audio(tmp_path / "voice.wav", babble(0.01))
    (tmp_path / "c.toml").write_text(QUIET_OBS)
    command = ["run", "--source", f"file:{audio}", "--sink", "preview", "--no-control", "--size", "64x64"]
    assert main([*command, "--config", str(tmp_path / "c.toml")]) == 0
    assert "0 frames" in capsys.readouterr().out


def test_a_recording_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(sink: VideoFileSink, frame: Frame) -> None:
        raise DeviceError("no room")

    monkeypatch.setattr(VideoFileSink, "send", full)
    audio = write_audio(tmp_path / "voice.wav", babble(0.6))
    (tmp_path / "c.toml").write_text(QUIET_OBS)
    command = ["run", "--source", f"file:{audio}", "--sink", f"file:{tmp_path / 'a.mp4'}", "--live"]
    command += ["--no-control", "--size", "64x64", "--config", str(tmp_path / "c.toml")]
    assert main(command) == DeviceError.exit_code
    assert capsys.readouterr().err == "vcam-avatar: no room\n"
    assert not list(tmp_path.glob("*.mp4"))


def test_only_a_recording_keeps_the_sound() -> None:
    small = load_config(None, {"video.size": "64x64"})
    for kind in ("preview", "memory"):  # nobody would ever take it out again
        assert _live.make_live(("mic", ""), (kind, ""), small).parts.loop.listeners == []


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_seconds_must_be_some(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--sink", "memory", f"--seconds={seconds}"]) == 2
    assert "--seconds must be more than 0" in capsys.readouterr().err


def test_a_video_never_replaces_its_own_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_audio(tmp_path / "voice.wav", babble(0.3))
    assert render(audio, tmp_path / "talk.mp4") == 0
    before = (tmp_path / "talk.mp4").read_bytes()
    assert main(["render", str(tmp_path / "talk.mp4"), "--overwrite", "--quiet", "--size", "64x64"]) == 3
    assert "holds the sound" in capsys.readouterr().err
    assert (tmp_path / "talk.mp4").read_bytes() == before


def test_demo_makes_video_and_contact_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo.mp4"
    assert main(["demo", "-o", str(out), "--quiet", "--size", "64x64"]) == 0
    printed = capsys.readouterr().out
    assert str(out) in printed
    assert str(tmp_path / "demo-contact.png") in printed
    assert (tmp_path / "demo-contact.png").stat().st_size > 1000
    frames, picture_s, _ = lengths_s(out)
    assert frames == round(picture_s * 25) >= 250


def _bad(folder: Path) -> dict[str, tuple[list[str], int, str]]:
    """Flags, exit status and part of the message by case; the sound is good unless it is the case."""
    good = write_audio(folder / "good.wav", babble(0.3))
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("not sound\n" * 100)
    (folder / "short.wav").write_bytes(good.read_bytes()[:3000])
    write_audio(folder / "zero.wav", np.zeros(0, np.float32))
    sf.write(folder / "nan.wav", np.full(4800, np.nan, np.float32), 16_000, subtype="FLOAT")
    (folder / "broken.toml").write_text("[video\n")
    (folder / "unknown.toml").write_text("[video]\nfsp = 25\n")
    return {
        "missing": ([str(folder / "none.wav")], 3, "cannot be read"),
        "empty": ([str(folder / "empty.wav")], 3, "is empty"),
        "folder": ([str(folder)], 3, "is a folder"),
        "text": ([str(folder / "text.wav")], 3, "is not an audio file"),
        "truncated": ([str(folder / "short.wav")], 3, "is cut short"),
        "no samples": ([str(folder / "zero.wav")], 3, "no samples"),
        "nan": ([str(folder / "nan.wav")], 3, "not numbers"),
        "broken toml": ([str(good), "--config", str(folder / "broken.toml")], 2, "not valid TOML"),
        "unknown key": ([str(good), "--config", str(folder / "unknown.toml")], 2, "did you mean video.fps"),
        "no config": ([str(good), "--config", str(folder / "none.toml")], 2, "cannot be read"),
        "fps": ([str(good), "--fps", "100"], 2, "between 10 and 60"),
        "size": ([str(good), "--size", "big"], 2, "is not a size"),
        "target": ([str(good), "-o", str(folder / "none" / "a.mp4")], 3, "no folder"),
        "ending": ([str(good), "-o", str(folder / "a.txt")], 3, "ends in .mp4"),
    }


def test_bad_input_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    before = None
    for case, (flags, status, message) in _bad(tmp_path).items():
        before = before or sorted(tmp_path.iterdir())
        command = ["render", "--quiet", "--overwrite", *flags]
        if "-o" not in flags:
            command += ["-o", str(target)]
        assert main(command) == status, case
        printed = capsys.readouterr()
        assert message in printed.err, case
        assert printed.err.count("\n") == 1, case
        assert "Traceback" not in printed.err, case
        assert printed.out == "", case
        assert target.read_bytes() == b"precious", case
        assert sorted(tmp_path.iterdir()) == before, case


def test_existing_video_is_kept_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_audio(tmp_path / "voice.wav", babble(0.3))
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    assert render(audio, target) == 3
    assert "exists already" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"
    assert render(audio, target, "--overwrite") == 0
    assert len(pictures(target)) == 8


def test_silent_file_is_rendered_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_audio(tmp_path / "silence.wav", np.zeros(160_000, np.float32))
    assert render(audio, tmp_path / "out.mp4") == 0
    assert "is silent from end to end" in capsys.readouterr().err
    assert lengths_s(tmp_path / "out.mp4")[0] == 250


@pytest.mark.parametrize("flag", [["--source", "tape:x"], ["--sink", "paper"], ["--source", "file:"]])
def test_unknown_source_or_sink(tmp_path: Path, flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    flags = {"--source": "file:voice.wav", "--sink": "memory", flag[0]: flag[1]}
    assert main(["run", *(word for pair in flags.items() for word in pair)]) == 2
    assert "unknown" in capsys.readouterr().err


def test_devices_lists_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    assert {"microphones", "camera_backends", "problem"} <= set(json.loads(capsys.readouterr().out))


def test_unknown_avatar_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.undo()  # the real search for avatars
    assert main(["demo", "--avatar", "no-such-avatar", "--quiet"]) == 5
    error = capsys.readouterr().err
    assert "no-such-avatar" in error
    assert error.count("\n") == 1
    for entry in list_avatars()[:1]:
        assert entry.name in error


def test_exchanged_network_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vcam_avatar import resources
    from vcam_avatar.inference import load_network

    source = resources.model_path("hand_lift")
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes()[:-1] + b"x")
    copy.with_suffix(".json").write_bytes(source.with_suffix(".json").read_bytes())
    monkeypatch.setattr(resources, "models_dir", lambda: tmp_path)
    monkeypatch.setattr(build, "build_stages", lambda config: load_network("hand_lift"))
    audio = write_audio(tmp_path / "voice.wav", babble(0.3))
    assert render(audio, tmp_path / "out.mp4") == 4
    assert "differs from its sidecar" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def test_bench_reports_targets_and_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "0.6", "--hours", "0.001", "--size", "64x64", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {"S1", "S3", "S4", "machine", "date", "weights", "stages"} <= set(content)
    for key in ("S1", "S3", "S4"):
        assert set(content[key]) == {"value", "unit", "target", "holds", "baselines", "data", "n"}
        assert isinstance(content[key]["holds"], bool)
    assert content["S1"]["value"]["fps"] > 0
    assert content["stages"]["latency"]["p99_ms"] >= content["stages"]["latency"]["p50_ms"]
    assert main(["bench", "--seconds", "0.4", "--size", "64x64"]) == 0
    table = capsys.readouterr().out
    assert "S1" in table
    assert "growth not measured" in table


def test_doctor_names_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert {"python", "packages", "onnxruntime", "networks", "avatars", "virtual camera"} <= set(checks)
    assert status == int(any(check["needed"] and not check["fine"] for check in checks.values()))
    assert all(check["fine"] or check["cure"] or ": " in check["found"] for check in checks.values())


def test_doctor_goes_on_with_a_broken_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "config.toml").write_text("[video]\nfsp = 25\n")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert out.count("did you mean video.fps") == 1
    assert "+ networks" in out
