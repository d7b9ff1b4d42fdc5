"""MFCC -> audio encoder -> concatenation with the pose of the same unit -> decoder -> next pose."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vcam_avatar.training.pose_export import PoseTick, check_export  # noqa: E402
from vcam_avatar.training.pose_net import KINDS, PoseNet, PoseNetConfig  # noqa: E402

pytestmark = pytest.mark.train
TICKS = 40
GIVEN = ("rows", "pose", "before", "plan", "next_plan", "unit", "next_unit", "rest", "detail")


def small(kind: str = "transformer", **changes) -> PoseNet:
    torch.manual_seed(0)
    sizes = {
        "units": 5, "plan": 9, "components": 6, "audio_dim": 16, "dim": 24, "heads": 2, "layers": 2,
        "audio_window": 8, "window": 12, "leaks": (5.0, 20.0), "arm_components": 3, "unit_dim": 4,
    }  # fmt: skip
    net = PoseNet(PoseNetConfig(kind=kind, **{**sizes, **changes}))
    basis = torch.linalg.qr(torch.randn(114, 6))[0]
    net.pose_basis.copy_(basis)
    net.pose_back.copy_(basis.T)
    net.arm_basis.copy_(torch.randn(114, 3) * 0.1)
    torch.nn.init.normal_(net.pose_head[-1].weight, std=0.2)
    torch.nn.init.normal_(net.pose_skip.weight, std=0.2)
    torch.nn.init.normal_(net.pose_head[0].weight[:, : net.config.dim], std=0.05)
    return net.eval()


def inputs(net: PoseNet, ticks: int = TICKS, seed: int = 0) -> dict:
    g = torch.Generator().manual_seed(seed)
    c = net.config

    def rand(*shape):
        return torch.randn(*shape, generator=g)

    pose = rand(1, ticks, c.keypoints, 2)
    coded = net.encode_pose(pose)
    before = torch.cat([coded[:, :1], coded[:, :-1]], 1)
    return {
        "rows": rand(1, ticks, 4, 40), "pose": coded, "before": before, "plan": rand(1, ticks, c.plan),
        "next_plan": rand(1, ticks, c.plan),
        "unit": torch.randint(0, 6, (1, ticks), generator=g),
        "next_unit": torch.randint(0, 6, (1, ticks), generator=g), "rest": rand(1, c.components),
        "detail": pose - net.decode_pose(coded), "_pose": pose,
    }  # fmt: skip


def whole(net: PoseNet, given: dict):
    with torch.no_grad():
        return net(*(given[k] for k in GIVEN))


def stepwise(net: PoseNet, given: dict) -> torch.Tensor:
    """The same, a tick at a time, with rings as the live predictor keeps them."""
    shapes, c = net.state_shapes(), net.config
    state = {n: torch.zeros(s) for n, (_, s) in shapes.items()}
    ages = {"age_enc": torch.full((c.audio_window,), -1), "age_dec": torch.full((c.window,), -1)}
    rest = net.decode_pose(given["rest"][0])
    out = []
    with torch.no_grad():
        for k in range(given["rows"].shape[1]):
            for age in ages.values():
                age[age >= 0] += 1
            work = {**state, **ages, "heard": torch.tensor([float(k)])}
            pose, before = given["_pose"][0, k], given["_pose"][0, max(0, k - 1)]
            plan, following = given["plan"][0, k], given["next_plan"][0, k]
            chance = torch.tensor([-1e4])
            units = given["unit"][:, k], given["next_unit"][:, k]
            got = net.step(
                given["rows"][0, k], pose, before, plan, plan, following, *units, chance, rest, work
            )
            out.append(got[0])
            for name, (kind, shape) in shapes.items():
                if kind == "ring":
                    state[name][k % shape[0]] = work[f"{name}_new"]
                else:
                    state[name] = work[f"{name}_new"]
            for age in ages.values():
                age[k % len(age)] = 0
    return torch.stack(out)


@pytest.mark.parametrize("kind", KINDS)
def test_claim_3_sound_and_pose_of_equal_length_give_poses_of_that_length(kind):
    net = small(kind)
    said = whole(net, inputs(net))
    assert said.pose.shape == (1, TICKS, 57, 2)
    assert said.event.shape == said.voice.shape == (1, TICKS)
    short = inputs(net)
    short["rows"] = short["rows"][:, :-1]
    with pytest.raises(RuntimeError):
        whole(net, short)


@pytest.mark.parametrize("kind", KINDS)
def test_claim_3_streaming_equals_full_recompute(kind):
    net = small(kind)
    given = inputs(net)
    full = whole(net, given).pose[0]
    np.testing.assert_allclose(stepwise(net, given).numpy(), full.numpy(), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_claim_3_nothing_depends_on_the_future(kind):
    net = small(kind)
    given = inputs(net)
    full = whole(net, given).pose
    later = {k: v.clone() for k, v in given.items()}
    for name in ("rows", "pose", "before", "plan", "next_plan"):
        later[name][:, 25:] += 1.0
    changed = whole(net, later).pose
    assert torch.equal(changed[:, :25], full[:, :25])
    assert not torch.allclose(changed[:, 25:], full[:, 25:])


@pytest.mark.parametrize("kind", KINDS)
def test_claim_3_both_the_sound_and_the_pose_of_a_unit_matter(kind):
    net = small(kind)
    given = inputs(net)
    full = whole(net, given).pose
    for name in ("rows", "pose"):
        other = {k: v.clone() for k, v in given.items()}
        other[name][:, 10] += 0.5
        assert not torch.allclose(whole(net, other).pose[:, 10], full[:, 10])


@pytest.mark.parametrize("kind", KINDS)
def test_claim_3_exported_network_is_the_trained_one(kind, tmp_path):
    tick = PoseTick(small(kind)).eval()
    example = tick.example(np.random.default_rng(0))
    path = tmp_path / "tick.onnx"
    import warnings

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tick, tuple(example[n] for n in tick.input_names), str(path), dynamo=False, opset_version=17,
            input_names=list(tick.input_names), output_names=list(tick.output_names),
        )  # fmt: skip
    check_export(tick, path)


def test_claim_3_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="transformer"):
        PoseNet(PoseNetConfig(kind="perceptron"))
    assert PoseNet(PoseNetConfig(units=256)).parameters_count <= 3_000_000


def test_claim_7_history_older_than_the_window_still_counts():
    net = small()
    given = inputs(net, 90)
    full = whole(net, given).pose
    other = {k: v.clone() for k, v in given.items()}
    # Two layers of attention reach back 2 * 11 + 2 * 7 ticks; this is long before.
    other["rows"][:, 2] += 3.0
    other["pose"][:, 2] += 3.0
    changed = whole(net, other).pose
    assert (changed[:, -1] - full[:, -1]).abs().max() > 1e-5
