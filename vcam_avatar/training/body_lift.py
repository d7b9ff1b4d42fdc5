"""Train the hand lift: 21 hand points and the forearm's direction -> palm rotation and joint angles.

The truth comes from forward kinematics: random plausible hands give exact pairs; on real hand points,
which have no angles, the network must only reproduce the points (through the same kinematics).
Everything is in the left hand's space of ``stages.hands``; right hands are mirrored.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.hands import ANGLE_COUNT, LOWER, UPPER, HandMesh, load_hand_mesh
from vcam_avatar.training.checkpoint import export_onnx, load_checkpoint, save_checkpoint

MODEL_NAME = "hand_lift"
FOREARM_PALMS = 2.25
"""Length of the forearm in palm lengths, for real data."""


class Kinematics(nn.Module):
    """``stages.hands.bone_matrices`` + ``hand_keypoints`` for batches, differentiable."""

    joints: Tensor
    tips: Tensor
    bend: Tensor
    spread: Tensor

    def __init__(self, mesh: HandMesh) -> None:
        super().__init__()
        for name, value in (
            ("joints", mesh.joints[2:].reshape(5, 3, 3)),
            ("tips", mesh.tips),
            ("bend", mesh.bend_axis),
            ("spread", mesh.spread_axis),
        ):
            self.register_buffer(name, torch.tensor(np.array(value)), persistent=False)

    def forward(self, rotation: Tensor, angles: Tensor) -> Tensor:
        """``(B, 3, 3)``, ``(B, 20)`` -> points ``(B, 21, 3)``, wrist at the origin."""
        batch = len(rotation)
        a = angles.view(batch, 5, 4)
        turn = rotation[:, None].expand(-1, 5, -1, -1)
        place = torch.einsum("bij,fj->bfi", rotation, self.joints[:, 0])
        parts = [torch.zeros(batch, 5, 3), place]
        turn = turn @ _turns(self.spread, a[..., 1]) @ _turns(self.bend, a[..., 0])
        for joint in range(2):
            step = self.joints[:, joint + 1] - self.joints[:, joint]
            place = place + (turn @ step[None, :, :, None])[..., 0]
            parts.append(place)
            turn = turn @ _turns(self.bend, a[..., 2 + joint])
        place = place + (turn @ (self.tips - self.joints[:, 2])[None, :, :, None])[..., 0]
        parts.append(place)
        fingers = torch.stack(parts[1:], 2)
        return torch.cat([torch.zeros(batch, 1, 3), fingers.reshape(batch, 20, 3)], 1)


def _turns(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations ``(B, 5, 3, 3)`` about ``axis`` (5, 3) by ``angle`` (B, 5)."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(5, 3, 3)
    eye = torch.eye(3)
    sine, cosine = torch.sin(angle)[..., None, None], torch.cos(angle)[..., None, None]
    return eye + sine * cross + (1 - cosine) * (cross @ cross)


class HandLift(nn.Module):
    """A plain network: 45 numbers in, 6 + 20 out."""

    lower: Tensor
    upper: Tensor

    def __init__(self, width: int = 320) -> None:
        super().__init__()
        self.inlet = nn.Linear(45, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.outlet = nn.Linear(width, 6 + ANGLE_COUNT)
        self.register_buffer("lower", torch.tensor(LOWER), persistent=False)
        self.register_buffer("upper", torch.tensor(UPPER), persistent=False)

    def forward(self, points: Tensor, forearm: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 21, 2)`` in palm lengths from the wrist, ``(B, 3)`` unit vector to the elbow (zeros:
        unknown) -> rotation ``(B, 3, 3)``, angles ``(B, 20)`` within the joint limits."""
        x = nn.functional.silu(self.inlet(torch.cat([points.reshape(-1, 42), forearm], 1)))
        for block in self.blocks:
            x = x + nn.functional.silu(block(x))
        y = self.outlet(x)
        first = nn.functional.normalize(y[:, :3], dim=1)
        second = y[:, 3:6] - (first * y[:, 3:6]).sum(1, keepdim=True) * first
        second = nn.functional.normalize(second, dim=1)
        third = torch.linalg.cross(first, second)
        rotation = torch.stack([first, second, third], 2)
        angles = self.lower + (self.upper - self.lower) * torch.sigmoid(y[:, 6:])
        return rotation, angles


def random_angles(count: int, rng: np.random.Generator) -> FloatArray:
    """Plausible hands, float32 ``(count, 20)``: from flat to fist, fingers together or one by one."""
    curl = np.where(rng.random((count, 1)) < 0.5, rng.beta(1.2, 1.2, (count, 1)), rng.random((count, 5)))
    one = rng.random((count, 5)) < 0.2
    curl = np.clip(
        np.where(one, rng.random((count, 5)).round(), curl) + rng.normal(0, 0.08, (count, 5)), 0, 1
    )
    angles = np.zeros((count, 5, 4))
    root = rng.normal(0, 0.15, (count, 5)) + curl * rng.uniform(0.3, 1.45, (count, 1))
    angles[..., 0] = root - 0.2
    angles[..., 1] = rng.normal(0, 0.12, (count, 5)) + rng.normal(0, 0.12, (count, 1)) * np.array(
        [0, -1, -0.3, 0.4, 1]
    )
    angles[..., 2] = curl * rng.uniform(0.8, 1.75, (count, 1)) - 0.25 + rng.normal(0, 0.12, (count, 5))
    angles[..., 3] = 0.65 * (angles[..., 2] + 0.25) - 0.2 + rng.normal(0, 0.1, (count, 5))
    thumb = rng.random(count)
    angles[:, 0, 0] = 1.3 * thumb - 0.5 + rng.normal(0, 0.2, count)
    angles[:, 0, 1] = rng.normal(0, 0.35, count)
    angles[:, 0, 2] = 1.0 * rng.random(count) * thumb - 0.3 + rng.normal(0, 0.15, count)
    angles[:, 0, 3] = 1.3 * rng.random(count) - 0.4
    out: FloatArray = np.clip(angles.reshape(count, ANGLE_COUNT), LOWER + 0.01, UPPER - 0.01).astype(
        np.float32
    )
    return out


def _axis_angle(axis: Any, angle: Any) -> Any:
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    sine, cosine = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)


def random_arms(mesh: HandMesh, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Palm rotations ``(count, 3, 3)`` and the unit vectors to the elbow ``(count, 3)`` they go with.

    The elbow lies behind the wrist, the forearm twists fully, the wrist bends within its limits.
    """
    rest = np.broadcast_to(mesh.joints[0] / np.linalg.norm(mesh.joints[0]), (count, 3))
    elbow = rng.normal(0, 1, (count, 3))
    elbow[:, 1] = np.where(rng.random(count) < 0.75, np.abs(elbow[:, 1]), elbow[:, 1])
    elbow[:, 2] = np.where(rng.random(count) < 0.9, np.abs(elbow[:, 2]), elbow[:, 2])
    elbow /= np.linalg.norm(elbow, axis=1, keepdims=True)
    axis = np.cross(rest, elbow) + 1e-6
    align = _axis_angle(axis, np.arccos(np.clip((rest * elbow).sum(1), -1, 1)))
    twist = _axis_angle(elbow, rng.uniform(-np.pi, np.pi, count))
    flex = np.broadcast_to(np.array([1.0, 0.0, 0.0]), (count, 3))
    deviate = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (count, 3))
    wrist = _axis_angle(flex, np.clip(rng.normal(0, 0.5, count), -1.25, 1.25)) @ _axis_angle(
        deviate, np.clip(rng.normal(0, 0.22, count), -0.5, 0.5)
    )
    return (twist @ align @ wrist).astype(np.float32), elbow.astype(np.float32)


@dataclass(frozen=True)
class RealHands:
    """Real hand points in left-hand space."""

    points: FloatArray
    """float32 ``(n, 21, 3)`` in palm lengths from the wrist."""
    forearm: FloatArray
    """float32 ``(n, 3)`` unit vector to the elbow."""


def load_real(data: Path) -> tuple[RealHands, RealHands]:
    """MediaPipe holistic tracks -> (training, held out). Held out: the last 5 s of demo3, every 10th word."""
    train: list[tuple[FloatArray, FloatArray]] = []
    held: list[tuple[FloatArray, FloatArray]] = []

    def add(
        pose: FloatArray, left: FloatArray, right: FloatArray, out: list[tuple[FloatArray, FloatArray]]
    ) -> None:
        for hand, mirror, elbow, wrist in ((left, 1, 13, 15), (right, -1, 14, 16)):
            good = np.isfinite(hand).all((1, 2))
            if good.sum() < 3:
                continue
            h = hand[good] - hand[good][:, :1]
            arm = (pose[good, elbow, :2] - pose[good, wrist, :2]).copy()
            palm = np.median(np.linalg.norm(h[:, 9], axis=1))
            h = h / max(palm, 1e-6) * [mirror, 1, 1]
            arm = arm / max(palm, 1e-6) * [mirror, 1] / FOREARM_PALMS
            length = np.linalg.norm(arm, axis=1)
            depth = np.sqrt(np.clip(1 - length**2, 0, None))
            direction = np.concatenate([arm, depth[:, None]], 1)
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            fine = np.abs(h).max((1, 2)) < 3
            out.append((h[fine].astype(np.float32), direction[fine].astype(np.float32)))

    for name in ("demo1", "demo2", "demo3"):
        z = np.load(data / "latentsync_people" / f"{name}_holistic.npz")
        size = np.array([float(z["width"]), float(z["height"]), float(z["width"])], np.float32)
        pose, left, right = (z[key].astype(np.float32) * size for key in ("pose", "lhand", "rhand"))
        cut = len(pose) - (150 if name == "demo3" else 0)
        add(pose[:cut], left[:cut], right[:cut], train)
        if cut < len(pose):
            add(pose[cut:], left[cut:], right[cut:], held)
    z = np.load(data / "fingerspelling_poses" / "fingerspelling.npz")
    pose, left, right = (z[key].astype(np.float32) for key in ("pose", "lhand", "rhand"))
    for i, (a, b) in enumerate(zip(z["offsets"][:-1], z["offsets"][1:], strict=True)):
        add(pose[a:b], left[a:b], right[a:b], held if i % 10 == 0 else train)

    def stack(parts: list[tuple[FloatArray, FloatArray]]) -> RealHands:
        return RealHands(np.concatenate([p for p, _ in parts]), np.concatenate([f for _, f in parts]))

    return stack(train), stack(held)


def _losses(
    net: HandLift, hand: Kinematics, mesh: HandMesh, real: RealHands, rng: np.random.Generator, size: int
) -> Tensor:
    rotation, forearm = (torch.from_numpy(x) for x in random_arms(mesh, size, rng))
    angles = torch.from_numpy(random_angles(size, rng))
    truth = hand(rotation, angles)
    noise = torch.from_numpy(rng.normal(0, 1, (size, 21, 2)).astype(np.float32))
    noise = noise * torch.from_numpy(rng.uniform(0, 0.06, (size, 1, 1)).astype(np.float32))
    gain = torch.from_numpy(rng.uniform(0.85, 1.18, (size, 1, 1)).astype(np.float32))
    wobble = torch.from_numpy(rng.normal(0, 0.12, (size, 3)).astype(np.float32))
    seen = nn.functional.normalize(forearm + wobble, dim=1)
    seen = seen * torch.from_numpy((rng.random((size, 1)) > 0.15).astype(np.float32))
    guess_rotation, guess_angles = net(truth[..., :2] * gain + noise, seen)
    guess = hand(guess_rotation, guess_angles)
    loss = (guess - truth).abs().mean() * 6 + (guess_rotation - rotation).abs().mean() * 1.5
    loss = loss + (guess_angles - angles).abs().mean() * 0.6
    pick = rng.integers(0, len(real.points), size // 2)
    points, arm = torch.from_numpy(real.points[pick]), torch.from_numpy(real.forearm[pick])
    spin = torch.from_numpy(rng.uniform(-0.5, 0.5, size // 2).astype(np.float32))
    points, arm = _spin(points, spin), _spin(arm[:, None], spin)[:, 0]
    gain = torch.from_numpy(rng.uniform(0.9, 1.12, (size // 2, 1, 1)).astype(np.float32))
    guess_rotation, guess_angles = net(points[..., :2] * gain, arm)
    guess = hand(guess_rotation, guess_angles)
    # Proportions differ from person to person: compare after the best scale.
    scale = (guess[..., :2] * points[..., :2]).sum((1, 2)) / (guess[..., :2] ** 2).sum((1, 2)).clamp_min(1e-3)
    scale = scale.detach().clamp(0.75, 1.3)[:, None, None]
    flat = (guess[..., :2] * scale - points[..., :2]).abs().mean()
    deep = (guess[..., 2] - points[..., 2]).abs().clamp_max(0.5).mean()
    prior = (guess_angles.view(-1, 5, 4)[:, :, 1] ** 2).mean()
    return loss + flat * 8 + deep * 1.2 + prior * 0.3


def _spin(points: Tensor, angle: Tensor) -> Tensor:
    c, s = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    x, y = points[..., 0], points[..., 1]
    return torch.stack([c * x - s * y, s * x + c * y, points[..., 2]], -1)


@torch.no_grad()
def measure(net: HandLift, hand: Kinematics, mesh: HandMesh, held: RealHands) -> dict[str, float]:
    """Errors in palm lengths and degrees: exact hands, and held-out real points after the best scale."""
    rng = np.random.default_rng(99)
    rotation, forearm = (torch.from_numpy(x) for x in random_arms(mesh, 2000, rng))
    angles = torch.from_numpy(random_angles(2000, rng))
    truth = hand(rotation, angles)
    guess_rotation, guess_angles = net(truth[..., :2], forearm)
    guess = hand(guess_rotation, guess_angles)
    trace = torch.einsum("bij,bij->b", guess_rotation, rotation)
    turn = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    points, arm = torch.from_numpy(held.points), torch.from_numpy(held.forearm)
    real = hand(*net(points[..., :2], arm))
    scale = (real[..., :2] * points[..., :2]).sum((1, 2)) / (real[..., :2] ** 2).sum((1, 2))
    return {
        "exact_points_2d_palms": float((guess - truth)[..., :2].norm(dim=-1).mean()),
        "exact_points_3d_palms": float((guess - truth).norm(dim=-1).mean()),
        "exact_rotation_median_deg": float(turn.median()),
        "exact_rotation_p95_deg": float(turn.quantile(0.95)),
        "exact_angles_deg": float(torch.rad2deg((guess_angles - angles).abs()).mean()),
        "real_points_2d_palms": float(
            (real[..., :2] * scale[:, None, None] - points[..., :2]).norm(dim=-1).mean()
        ),
    }


def load_lift(checkpoint: Path) -> HandLift:
    """The network of a checkpoint.

    Raises:
        ModelError: missing or damaged.
    """
    net = HandLift()
    net.load_state_dict(load_checkpoint(checkpoint)["net"])
    net.eval()
    return net


def export(net: HandLift, out: Path, metrics: dict[str, float], recipe: str) -> None:
    """Write ``hand_lift.onnx`` and its sidecar; refuses when torch and onnxruntime disagree."""
    example = (torch.randn(2, 21, 2), nn.functional.normalize(torch.randn(2, 3), dim=1))
    names, outputs = ("points", "forearm"), ("rotation", "angles")
    worst = export_onnx(net, example, out, input_names=names, output_names=outputs, tolerance=1e-3)
    write_sidecar(
        out,
        description="21 hand points and the forearm's direction -> palm rotation and 20 joint angles",
        training_data=[
            {"name": "random hands by forward kinematics", "licence": "own", "amount": "endless"},
            {"name": "fingerspelling_poses", "licence": "MIT", "amount": "598 s, every 10th word held out"},
            {"name": "latentsync_people", "licence": "Apache-2.0", "amount": "50 s, last 5 s held out"},
        ],
        recipe=recipe,
        metrics={**metrics, "parity": worst},
    )


def main(argv: list[str] | None = None) -> int:
    """Train for ``--minutes``, going on where the last run stopped, then export."""
    parser = argparse.ArgumentParser(description="Train the hand lift network.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--work", type=Path, default=Path(".work/hand_lift"))
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    mesh = load_hand_mesh(options.models / "hand_mesh.npz")
    net, hand = HandLift(), Kinematics(mesh)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    checkpoint = options.work / "checkpoint.pt"
    step, spent = 0, 0.0
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = int(state["step"]), float(state["minutes"])
    train, held = load_real(options.data)
    print(f"{len(train.points)} real hands, {len(held.points)} held out", flush=True)

    def keep(minutes: float) -> None:
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
        save_checkpoint(checkpoint, {**state, "step": step, "minutes": minutes})

    rng = np.random.default_rng(step + 1)
    start = time.monotonic()
    while (minutes := (time.monotonic() - start) / 60) < options.minutes:
        rate = 1e-3 * max(0.02, 0.5 * (1 + np.cos(np.pi * min(1.0, minutes / options.minutes))))
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = _losses(net, hand, mesh, train, rng, 512)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 500 == 0:
            figures = {k: round(v, 4) for k, v in measure(net, hand, mesh, held).items()}
            print(f"{minutes:.1f} min step {step} loss {float(loss):.3f} {figures}", flush=True)
            keep(spent + minutes)
    keep(spent + options.minutes)
    metrics = measure(net, hand, mesh, held) | {"steps": float(step), "minutes": spent + options.minutes}
    recipe = f"python -m vcam_avatar.training.body_lift --minutes {options.minutes:g}"
    export(net, options.models / f"{MODEL_NAME}.onnx", metrics, recipe)
    print(metrics)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
