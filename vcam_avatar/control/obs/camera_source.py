"""Puts our camera into a scene of OBS."""

from vcam_avatar.control.obs.port import CAMERA_KINDS, Obs
from vcam_avatar.errors import ControlError


def add_camera_source(obs: Obs, device: str | None, label: str, scene: str | None = None) -> str:
    """Put our camera as a source into ``scene`` (default: the one shown).

    Args:
        device: the device as OBS names it; None to look it up by ``label`` in OBS's list.
        label: name of the camera, and of the new source.

    Returns:
        A sentence on what was done.

    Raises:
        ControlError: there is no such scene, the source is there already, or OBS sees no such camera.
    """
    known = obs.scenes()
    scene = scene or obs.current_scene()
    if scene not in known:
        raise ControlError(f"OBS has no scene {scene!r}; its scenes are {', '.join(known)}")
    kinds = obs.input_kinds()
    kind = next((k for k in CAMERA_KINDS if k in kinds), None)
    if kind is None:
        raise ControlError("this OBS cannot show cameras: it has no camera source")
    taken = {i.name for i in obs.inputs()}
    if label in taken:
        raise ControlError(f"OBS has a source {label!r} already; add that one to the scene")
    setting = CAMERA_KINDS[kind]
    obs.create_source(scene, label, kind, {setting: device} if device else {})
    if device is None:
        listed = obs.devices_of(label, setting)
        device = next((value for name, value in listed if label in name), None)
        if device is None:
            obs.remove_input(label)
            names = ", ".join(name for name, _ in listed) or "none"
            raise ControlError(f"OBS sees no camera {label!r}, only: {names}; start `vcam-avatar run` first")
        obs.change_settings(label, {setting: device})
    return f"source {label!r} is in scene {scene!r}"
