"""What the second generator is trained for."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vcam_avatar.stages.face_picture import MOUTH_WINDOW
from vcam_avatar.training.face_net import FLOW_SCALE, mouth_window, render

_logit_loss = F.binary_cross_entropy_with_logits


@dataclass(frozen=True, slots=True)
class FaceBatch:
    """B faces with K expressions each; N = B * K. Pictures are BGR in 0..1."""

    source: Tensor
    """``(B, 3, 160, 160)``."""
    landmark_maps: Tensor
    """``(B, 3, 160, 160)`` of the source."""
    source_actions: Tensor
    """``(B, 52)``, or NaN where unknown."""
    target: Tensor
    """``(N, 3, 160, 160)``."""
    actions: Tensor
    """``(N, 52)`` of the target."""
    flow: Tensor
    """``(N, 2, 160, 160)``: source minus target in crop sides."""
    visible: Tensor
    """``(N, 1, 160, 160)``: 1 where the flow is true: the place is seen in the source too."""
    inside: Tensor
    """``(N, 1, 160, 160)``: 1 inside the target's mouth: teeth, tongue, dark."""
    unsure: Tensor
    """``(N, 1, 160, 160)``: 1 where neither flow nor visibility are known."""

    @property
    def per_source(self) -> int:
        """K: expressions per face."""
        return len(self.target) // len(self.source)


def halved(picture: Tensor) -> Tensor:
    """Mean of 2x2 pixels."""
    return F.avg_pool2d(picture, 2)


def gradient_loss(picture: Tensor, target: Tensor) -> Tensor:
    """L1 of horizontal and vertical differences at two scales: keeps edges where colours already fit."""
    total = picture.new_zeros(())
    for _ in range(2):
        for axis in (2, 3):
            total = total + (torch.diff(picture, dim=axis) - torch.diff(target, dim=axis)).abs().mean()
        picture, target = halved(picture), halved(target)
    return total


def _spread(mask: Tensor) -> Tensor:
    """``mask`` grown by about 5 px, ``(N, 1, S, S)``."""
    return F.interpolate(F.max_pool2d(halved(mask), 5, 1, 2), scale_factor=2.0, mode="nearest")


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / (mask.sum() * values.shape[1] + 1.0)


def supervised_losses(batch: FaceBatch, whole: Tensor, mouth: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """All losses that need no critic.

    Returns:
        Named terms, already weighted, and the rendered mouth windows ``(N, 3, 80, 80)``.
    """
    source = batch.source.repeat_interleave(batch.per_source, 0)
    picture, _ = render(whole, source)
    near, _ = render(mouth, source, MOUTH_WINDOW)
    target80 = halved(batch.target)
    target_near = mouth_window(batch.target)
    visible80, visible_near = halved(batch.visible), mouth_window(batch.visible)
    flow80, flow_near = halved(batch.flow), mouth_window(batch.flow)
    inside80, inside_near = halved(batch.inside), mouth_window(batch.inside)
    # Paint what the source cannot show and the whole inside of the mouth, so that the source's own mouth
    # never shows through; nothing else.
    hidden80 = torch.maximum(1 - visible80, inside80)
    hidden_near = torch.maximum(1 - visible_near, inside_near)
    known80 = 1 - F.max_pool2d(halved(batch.unsure), 3, 1, 1)
    sure80 = (visible80 > 0.99) & (inside80 < 0.01) & (known80 > 0.99)
    sure_near = (visible_near > 0.99) & (inside_near < 0.01)
    eyes = 1 + 2 * (1 - known80)
    # Where things move matters most; the still background would drown it.
    moving = 1 + 6 * ((flow80.abs().amax(1, keepdim=True) > 0.004) & sure80).float()
    # Where this mouth opens with any of the face's expressions: lips that must be shut count as much as
    # those that part.
    ever = inside_near.unflatten(0, (len(batch.source), -1)).amax(1).repeat_interleave(batch.per_source, 0)
    lips = 1 + 4 * _spread(ever)
    terms = {
        "flow": 3 * _masked_mean((whole[:, :2] - flow80).abs() / FLOW_SCALE * moving, sure80.float())
        + 6 * _masked_mean((mouth[:, :2] - flow_near).abs() / FLOW_SCALE * lips, sure_near.float()),
        "hide": 0.3 * (_logit_loss(whole[:, 2:3], hidden80, reduction="none") * known80).mean()
        + 0.6
        * (F.binary_cross_entropy_with_logits(mouth[:, 2:3], hidden_near, reduction="none") * lips).mean(),
        "inside": 0.6 * (_logit_loss(mouth[:, 6:7], inside_near, reduction="none") * lips).mean(),
        "paint": 2 * _masked_mean((whole[:, 3:] - target80).abs(), hidden80 * known80)
        + 3 * _masked_mean((mouth[:, 3:6] - target_near).abs(), F.max_pool2d(hidden_near, 3, 1, 1))
        + 3 * _masked_mean((mouth[:, 3:6] - target_near).abs(), inside_near),
        "picture": 4 * ((picture - target80).abs() * eyes).mean()
        + 6 * ((near - target_near).abs() * lips).mean(),
        "edges": 4 * gradient_loss(near, target_near) + 2 * gradient_loss(picture, target80),
    }
    return terms, near


def temporal_loss(maps: Tensor, other: Tensor, calm: Tensor) -> Tensor:
    """Flow and paint of two expressions must agree where neither moves: no swimming off the mouth."""
    difference = (maps[:, :2] - other[:, :2]).abs() / FLOW_SCALE
    return _masked_mean(difference, calm)


def average_flow(flow: Tensor, sure: Tensor, change: Tensor, ridge: float = 3.0) -> Tensor:
    """Least squares of flow on the change of actions, place by place.

    Args:
        flow: ``(N, 2, S, S)`` in crop sides.
        sure: ``(N, 1, S, S)``: weight of each observation.
        change: ``(N, 52)``: target actions minus the source's.

    Returns:
        ``(52, 2 S S)`` in the networks' units.
    """
    weight = sure.flatten(1)
    normal = torch.einsum("np,na,nb->pab", weight, change, change) + ridge * torch.eye(change.shape[1])
    seen = torch.einsum("np,na,ncp->pac", weight, change, flow.flatten(2) / FLOW_SCALE)
    solved: Tensor = torch.linalg.solve(normal, seen)
    return solved.permute(1, 2, 0).flatten(1)


def hinge_critic_loss(real: Tensor, fake: Tensor, wrong: Tensor, wrong_share: float = 0.23) -> Tensor:
    """What the critic minimises: true pairs above 1, made and wrongly paired pictures below -1.

    Both sides weigh the same: otherwise calling everything false is the best answer, and the critic never
    leaves it.
    """
    false = (1 - wrong_share) * F.relu(1 + fake).mean() + wrong_share * F.relu(1 + wrong).mean()
    return F.relu(1 - real).mean() + false


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """L1 between the critic's features of the real and the made picture."""
    return torch.stack([(a.detach() - b).abs().mean() for a, b in zip(real, fake, strict=True)]).sum()


def uniform_loss(logits: Tensor) -> Tensor:
    """Cross-entropy to the uniform distribution: nothing about speech left to guess (DAVS)."""
    return -F.log_softmax(logits, 1).mean()
