"""How to get a camera on systems where the steps are the user's to take."""

WINDOWS_STEPS = """\
Two ways, both free:
A. For Zoom, Teams and browsers alone: install OBS Studio once (obsproject.com). Avatar Cam uses its
   "OBS Virtual Camera"; OBS need not run. While Avatar Cam sends, OBS cannot use that camera itself.
B. For streaming with OBS: install UnityCapture (github.com/schellingb/UnityCapture), with the name
   "Avatar Cam": in its folder Install run InstallCustomName.bat as administrator and enter  Avatar Cam
   Install one device only. In OBS add a source Video Capture Device > Avatar Cam; OBS's own virtual
   camera stays free for the composed picture.
Start `vcam-avatar run` before the call program: most list cameras once, at their start.
"""
MACOS_STEPS = """\
macOS 13 or newer: install OBS Studio 30 or newer (obsproject.com), then once: Start Virtual Camera, allow the
extension in System Settings > General > Login Items & Extensions > Camera Extensions, Stop Virtual Camera,
and restart the Mac if the camera does not show up. Avatar Cam then sends to "OBS Virtual Camera".
Start `vcam-avatar run` before the call program. The camera cannot be fed back into OBS itself.
"""

STEPS = {"win32": WINDOWS_STEPS, "darwin": MACOS_STEPS}
"""By ``sys.platform``."""
