"""Headless Chromium opens a camera through getUserMedia and reports what it sees."""

import http.server
import json
import threading
import time
import urllib.request
from typing import Any

import websocket
from lab import Lab, end, free_port

PAGE = b"<!doctype html><title>cam</title><body><video id=v autoplay playsinline muted></video>"
SCRIPT = """
(async () => { try {
  const md = navigator.mediaDevices;
  const video = document.getElementById('v');
  const wait = ms => new Promise(r => setTimeout(r, ms));
  let stream = await md.getUserMedia({video: true});
  const cameras = (await md.enumerateDevices()).filter(d => d.kind == 'videoinput');
  const camera = cameras.find(d => d.label.includes(LABEL));
  if (!camera) return JSON.stringify({error: 'not listed', cameras: cameras.map(d => d.label)});
  if (!stream.getTracks()[0].label.includes(LABEL)) {
    stream.getTracks().forEach(t => t.stop());
    await wait(1000);
    stream = await md.getUserMedia({video: {deviceId: {exact: camera.deviceId}}});
  }
  video.srcObject = stream;
  const first = new Promise(r => video.requestVideoFrameCallback(() => r(true)));
  await Promise.race([video.play(), wait(20000)]);
  if (!await Promise.race([first, wait(20000)])) return JSON.stringify({error: 'no picture'});
  const moments = [], levels = [];
  const canvas = document.createElement('canvas');
  const [x, y, w, h] = REGION.map((v, i) => Math.round(v * (i % 2 ? video.videoHeight : video.videoWidth)));
  canvas.width = w || 1; canvas.height = h || 1;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const onFrame = () => {
    moments.push(performance.now());
    if (w) {
      context.drawImage(video, x, y, w, h, 0, 0, w, h);
      const data = context.getImageData(0, 0, w, h).data;
      const green = data.filter((_, i) => i % 4 == 1).sort();
      const mean = green.reduce((a, b) => a + b) / green.length, dark = 0.6 * green[green.length >> 1];
      const share = green.filter(value => value < dark).length / green.length;
      levels.push([performance.timeOrigin + performance.now(), mean, share]);
    }
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
  await new Promise(r => setTimeout(r, SECONDS * 1000));
  const gaps = moments.slice(1).map((t, i) => t - moments[i]);
  return JSON.stringify({
    label: stream.getVideoTracks()[0].label, width: video.videoWidth, height: video.videoHeight,
    frames: moments.length,
    fps: (moments.length - 1) / (moments[moments.length - 1] - moments[0]) * 1000,
    gaps_ms: gaps, levels: levels});
} catch (e) { return JSON.stringify({error: e.name + ': ' + e.message}) } })()
"""

OWN_RACE = "video_capture_pipewire.cc"
"""In the log when Chromium's capture process has ended while it opened a PipeWire camera: WebRTC's check of
its own threads takes the end of opening and the first format for a race. That browser then sees no camera."""


class BrowserCrashed(Exception):
    """By a fault of its own, not ours."""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *args: object) -> None:
        pass


def look(
    lab: Lab,
    label: str,
    seconds: float = 8.0,
    flags: tuple[str, ...] = (),
    headless: bool = True,
    region: tuple[float, float, float, float] = (0, 0, 0, 0),
) -> dict[str, Any]:
    """What the page sees of the camera: label, size, frames, fps, gaps, and for every frame its wall-clock ms
    and, of the green in a region (x, y, width, height as shares of the picture; none when empty), the mean
    and the share of pixels darker than 0.6 of the median.

    Raises:
        BrowserCrashed: its own race check ended its capture process.
    """
    already = lab.log("chromium").count(OWN_RACE)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    process = lab.start(
        "chromium", "chromium", *(["--headless=new"] if headless else []), "--no-sandbox", "--disable-gpu",
        "--no-first-run", "--disable-dev-shm-usage", "--disable-extensions", "--disable-component-update",
        "--disable-background-networking", "--use-fake-ui-for-media-stream", "--remote-allow-origins=*",
        f"--remote-debugging-port={port}", f"--user-data-dir={lab.folder}/chromium-{port}", *flags,
        f"http://127.0.0.1:{server.server_port}/",
    )  # fmt: skip
    try:
        tab = _first_tab(port)
        connection = websocket.create_connection(
            tab["webSocketDebuggerUrl"], timeout=seconds + 90, suppress_origin=True
        )
        for _ in range(300):
            if _evaluate(connection, "document.title + isSecureContext") == "camtrue":
                break
            time.sleep(0.2)
        script = SCRIPT.replace("LABEL", json.dumps(label)).replace("SECONDS", str(seconds))
        answer = _evaluate(connection, script.replace("REGION", json.dumps(list(region))))
        connection.close()
        seen = dict(json.loads(answer))
        if "error" in seen and lab.log("chromium").count(OWN_RACE) > already:
            raise BrowserCrashed(seen["error"])
        return seen
    finally:
        end(process)
        server.shutdown()
        server.server_close()


def _first_tab(port: int) -> dict[str, Any]:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as reply:
                tabs = [
                    t for t in json.load(reply) if t["type"] == "page" and t["url"].startswith("http://127")
                ]
            if tabs:
                return dict(tabs[0])
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError("Chromium did not come up")


def _evaluate(connection: Any, expression: str) -> Any:
    parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
    connection.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
    while True:
        message = json.loads(connection.recv())
        if message.get("id") == 1:
            return message["result"].get("result", {}).get("value", json.dumps(message))
