"""The lip network learns, and what is exported is what was trained."""

from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.media import FloatArray

pytestmark = pytest.mark.train


def _sets(folder: Path) -> None:
    """Two 'phones' that are easy to tell apart, with an opening that follows them; and some noise."""
    from vcam_avatar.training.speech_clips import CURVES, Clip, save_clips

    rng, clips = np.random.default_rng(0), []
    for k in range(14):
        track = np.repeat(rng.integers(0, 2, 20) * 10, 150).astype(np.int8)
        t = np.arange(48_000) / 16_000
        voice = np.sign(np.sin(2 * np.pi * 150 * t)) * 0.2
        sound = np.where(np.repeat(track, 16) > 0, voice, 0.002 * rng.standard_normal(48_000))
        curves = np.full((75, len(CURVES)), np.nan, np.float32)
        curves[:, 0] = track[20::40][:75] > 0
        seen = k % 2 == 0
        clips.append(
            Clip(
                str(k), "grid-s1" if seen else "man", "en", "dev" if k > 11 else "train",
                sound.astype(np.float32), track, curves if seen else None,
            )
        )  # fmt: skip
    clips.append(Clip("n", "noise", "", "train", (0.01 * rng.standard_normal(32_000)).astype(np.float32)))
    save_clips(folder / "toy.npz", clips)


def test_learns_exports_and_streams(tmp_path: Path) -> None:
    import json

    from vcam_avatar.evaluation.lips_hear import Ear
    from vcam_avatar.inference import Network
    from vcam_avatar.training import lips, lips_export
    from vcam_avatar.training.speech_clips import load_clips

    _sets(tmp_path)
    card = tmp_path / "card.json"
    card.write_text(
        json.dumps({"training_data": [{"name": "toy", "licence": "none", "amount": "42 s"}], "recipe": "toy"})
    )
    target = tmp_path / "lips.onnx"
    arguments = [
        str(tmp_path),
        str(tmp_path / "out"),
        "--minutes",
        "0.25",
        "--channels",
        "24",
        "--dilations",
        "1",
        "2",
    ]
    assert lips.main([*arguments, "--export", str(target), "--card", str(card)]) == 0
    _, stored = lips_export.load(tmp_path / "out/lips.pt")
    assert stored["dev"]["r_grid-s1"] > 0.6
    clip = load_clips(tmp_path / "toy.npz")[0]
    heard = Ear(Network(target)).hear(clip.samples, 20)
    assert clip.visemes is not None
    inside = (heard.times_ms > 100) & (heard.times_ms < 2900)
    open_ = clip.visemes[heard.times_ms[inside].astype(int)] > 0
    curve = heard.curves[inside, 0]
    assert curve[open_].mean() > curve[~open_].mean() + 0.3


def test_unknown_labels_cost_nothing() -> None:
    import torch

    from vcam_avatar.training.lips import losses

    raw = torch.randn(2, 3, 21, 30, requires_grad=True)
    visemes = torch.full((2, 3, 30), -1)
    visemes[0] = 1
    curves = torch.full((2, 3, 6, 30), float("nan"))
    curves[0, :, 0] = 0.5
    parts = losses(raw, visemes, curves, torch.ones(2), torch.ones(15))
    torch.stack(list(parts.values())).sum().backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert raw.grad[1].abs().max() == 0
    assert raw.grad[0, :, 16:].abs().max() == 0
    assert raw.grad[0, :, :16].abs().max() > 0


def test_articulation_follows_the_phones() -> None:
    from vcam_avatar.training.lips_articulate import Articulation
    from vcam_avatar.training.speech_clips import CURVES, Clip

    rng, clips = np.random.default_rng(1), []
    for k in range(8):
        track = np.repeat(rng.choice([0, 1, 10], 30), 100).astype(np.int8)
        curves = np.full((75, len(CURVES)), np.nan, np.float32)
        curves[:, 0] = track[20::40] == 10
        clips.append(Clip(str(k), "v", "en", "train", np.zeros(48_000, np.float32), track, curves))
    opening: FloatArray = Articulation(clips).opening(clips[0].visemes)  # type: ignore[arg-type]
    assert clips[0].visemes is not None
    vowel = clips[0].visemes[5::10] == 10
    assert opening[vowel].mean() > opening[~vowel].mean() + 0.4
    assert opening[clips[0].visemes[5::10] == 0].max() == 0
    with pytest.raises(ValueError, match="no clip has both"):
        Articulation([])


def test_head_for_voices_learns_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    import torch

    from vcam_avatar.training.lips_net import LipNet
    from vcam_avatar.training.lips_voice import Scenes, train
    from vcam_avatar.training.speech_clips import Clip, save_clips

    _sets(tmp_path)
    t = np.arange(64_000) / 16_000
    hum = (0.3 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    music = tmp_path / "apart" / "music.npz"
    music.parent.mkdir()
    save_clips(music, [Clip("m", "music", "", "train", hum)])
    torch.manual_seed(0)
    net = LipNet(24, (1, 2))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    scenes = Scenes(tmp_path, music, seed=0)
    train(net, scenes, minutes=1, steps=200)
    after = net.state_dict()
    changed = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"listen", "heard"}
    mel, voice, weight = (torch.from_numpy(a) for a in scenes.draw(16))
    with torch.no_grad():
        y = net.features(net.normalise(mel), *net.initial(16))[0]
        said = net.voice(y, net.forgotten(16))[0] > 0
    assert said[voice > 0].float().mean() > 0.8
    assert said[(voice == 0) & (weight == 1)].float().mean() < 0.3


def test_first_syllables_matter_most_and_first_beats_least() -> None:
    from vcam_avatar.training.lips_voice import row_weights

    voice, other = np.zeros(100, bool), np.zeros(100, bool)
    other[20:] = True
    voice[60:80] = True
    weight = row_weights(voice, other)
    assert weight[0] < weight[25] < weight[50] < weight[75] < weight[62]


def test_a_score_is_a_midi_file() -> None:
    from vcam_avatar.training.speech_music import compose, midi

    rng = np.random.default_rng(4)
    events = compose(rng, 5.0)
    content = midi(events)
    assert content[:4] == b"MThd"
    assert content[14:18] == b"MTrk"
    assert int.from_bytes(content[18:22], "big") == len(content) - 22
    notes = [m for _, m in events if m[0] >> 4 == 9]
    assert notes
    assert all(0 <= byte < 128 for m in notes for byte in m[1:])


@pytest.mark.parametrize("style", ["whispered", "sung", "shouted"])
def test_styles_keep_when_something_is_said(style: str) -> None:
    from vcam_avatar.training import speech_styles

    rng = np.random.default_rng(0)
    t = np.arange(32_000) / 16_000
    sound = (0.2 * np.sign(np.sin(2 * np.pi * 140 * t)) * (np.floor(t * 2) % 2)).astype(np.float32)
    if style == "sung":
        out = speech_styles.sung(sound, 1.0, rng)
    else:
        out = getattr(speech_styles, style)(sound, rng)
    loud, quiet = np.square(out[9_000:15_000]).mean(), np.square(out[1_000:7_000]).mean()
    assert len(out) >= 31_000
    assert np.isfinite(out).all()
    assert loud > 30 * quiet
