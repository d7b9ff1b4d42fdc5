// Feeds raw float32 mono clips to the npm package @met4citizen/headaudio, 8 ms at a time, as a browser does.
// usage: node lips_headaudio.mjs PACKAGE_FOLDER CLIP_FOLDER OUT.json RATE
import fs from "fs";
import path from "path";
import { pathToFileURL } from "url";

const [pack, clips, out, rateText] = process.argv.slice(2);
const rate = Number(rateText);
const block = rate * 0.008;
const names = "aa E I O U PP SS TH DD FF kk nn RR CH sil".split(" ");
const { Processor } = await import(pathToFileURL(path.resolve(pack, "modules/processor.mjs")).href);
const file = fs.readFileSync(path.join(pack, "dist/model-en-mixed.bin"));
const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
const size = 92 * 4;
const model = [];
for (let at = 0; at < file.length; at += size) {
  model.push({
    group: file[at + 5],
    viseme: file[at + 7],
    mu: new Float32Array(bytes, at + 8, 12),
    sigmaInvLower: new Float32Array(bytes, at + 56, 78),
  });
}
const result = {};
for (const name of fs.readdirSync(clips).filter((f) => f.endsWith(".f32")).sort()) {
  const raw = fs.readFileSync(path.join(clips, name));
  const sound = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  let current = 14;
  const port = {
    onmessage: null,
    postMessage: (message) => {
      if (message.event === "viseme" && message.viseme != null) current = message.viseme;
      if (message.event === "ended") current = 14;
    },
  };
  const processor = new Processor({ sampleRate: rate, processorOptions: {}, parameterData: {} }, { port });
  processor._onmessage({ data: { event: "model", model } });
  const rows = [];
  for (let at = 0; at + block <= sound.length; at += block) {
    processor.process(sound.subarray(at, at + block));
    rows.push(names[current]);
  }
  result[name.replace(".f32", "")] = rows;
}
fs.writeFileSync(out, JSON.stringify(result));
