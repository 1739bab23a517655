// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

const STATE_MS = 700;
const RETRY_MS = 1000;
const TOKEN_REFUSED = 1008; // close code of the WebSocket

let bitmap = null;      // newest image
let source = "";        // source of the image: "overlay" or "camera"
let drag = null;        // {from, to, pointer} in image pixels, while the pointer is down
let selected = 0;       // id of the track that the next prompt corrects, 0 for none

// Requests to the robot

const untilActive = async () => { while (!isActive()) await sleep(300); };

async function watchPictures() {
  for (;;) {
    await untilActive();
    await new Promise(receivePictures);
    await sleep(RETRY_MS);
  }
}

// The first message to the robot is the token. Each further message requests one image. Two requests are open at a time, so that the
// next image is on its way while this one is shown.
function receivePictures(onEnd) {
  const url = new URL("api/pictures", location);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  let shown = Promise.resolve(); // keeps the images in order, because they are decoded in the background
  socket.onopen = () => [token, "", ""].forEach((text) => socket.send(text));
  socket.onmessage = ({ data }) => { shown = shown.then(() => showPicture(data, socket)); };
  socket.onclose = ({ code }) => {
    if (code === TOKEN_REFUSED) askForToken();
    onEnd();
  };
}

async function showPicture(data, socket) {
  if (typeof data === "string") { source = data; return; }
  const next = await createImageBitmap(data).catch(() => bitmap);
  if (bitmap && next !== bitmap) bitmap.close();
  bitmap = next;
  draw();
  await untilActive();
  if (socket.readyState === WebSocket.OPEN) socket.send("");
}

async function watchState() {
  for (;;) {
    if (isActive()) {
      try {
        const state = await (await request("api/state")).json();
        showTracks(state.tracks);
        showTexts(state.looking_for);
        if (state.problem) showStatus("bad", state.problem);
        else if (source === "camera") showStatus("warn", "no overlay arrives: this is the camera image");
        else showStatus("good", bitmap ? `live, ${bitmap.width} × ${bitmap.height}` : "connected, no image yet");
      } catch (error) {
        showStatus("bad", error instanceof TypeError ? "no connection to the " + peer : error.message);
      }
    }
    await sleep(STATE_MS);
  }
}

// Display

function showStatus(level, text) {
  find("dot").className = "dot " + level;
  if (find("status").textContent !== text) find("status").textContent = text;
}

function draw() {
  if (!bitmap) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  find("waiting").hidden = true;
  context.drawImage(bitmap, 0, 0);
  if (!drag || !isBox(drag)) return;
  context.lineWidth = Math.max(1.5, 2 / scale());
  context.strokeStyle = "#fff";
  context.setLineDash([6 / scale(), 4 / scale()]);
  const [x1, y1, x2, y2] = edges(drag);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash([]);
}

const rows = new Map(); // rows by track id; updated in place, because a new element under a finger would lose the tap
function showTracks(tracks) {
  const ids = new Set(tracks.map((track) => track.id));
  for (const [id, row] of rows) if (!ids.has(id)) { row.remove(); rows.delete(id); }
  for (const track of tracks) {
    if (!rows.has(track.id)) { rows.set(track.id, makeRow(track.id)); find("tracks").append(rows.get(track.id)); }
    const row = rows.get(track.id);
    row.classList.toggle("hidden-now", !track.visible);
    row.querySelector(".swatch").style.background = track.color;
    row.querySelector(".name").textContent = `${track.id} ${track.label}`;
    row.querySelector(".state").textContent = track.visible ? `${track.state} ${Math.round(100 * track.score)} %` : track.state;
  }
  find("count").textContent = tracks.length ? `(${tracks.length})` : "";
  if (selected && !ids.has(selected)) select(0);
}

function makeRemove(label, body, message) {
  const remove = make("button", "remove", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", label);
  remove.addEventListener("click", async () => {
    remove.disabled = true;
    remove.disabled = await send("api/remove", body, () => message);
  });
  return remove;
}

function makeRow(id) {
  const row = make("li", "");
  const pick = make("button", "pick");
  pick.type = "button";
  pick.title = "correct this track";
  pick.append(make("span", "swatch"), make("span", "name"), make("span", "state"));
  pick.addEventListener("click", () => select(selected === id ? 0 : id));
  row.append(pick, makeRemove(`remove track ${id}`, { track_id: id }, `track ${id} was removed`));
  return row;
}

const texts = new Map(); // rows by id of the text prompt, updated in place
function showTexts(prompts) {
  const ids = new Set(prompts.map((prompt) => prompt.id));
  for (const [id, row] of texts) if (!ids.has(id)) { row.remove(); texts.delete(id); }
  for (const prompt of prompts) {
    if (texts.has(prompt.id)) continue;
    const row = make("li", "");
    const remove = makeRemove(`remove the text prompt ${prompt.text}`, { prompt_id: prompt.id }, "the text prompt was removed");
    row.append(make("span", "text", prompt.text), remove);
    texts.set(prompt.id, row);
    find("texts").append(row);
  }
  find("looking").hidden = !prompts.length;
}

function select(id) {
  selected = id;
  find("off-row").hidden = !id;
  find("off").checked = false;
  find("hint").textContent = id
    ? `Tap the image or drag a box to correct track ${id}. Tap the track in the list again to stop.`
    : "Tap an object, or drag a box around it.";
  for (const [other, row] of rows) row.classList.toggle("chosen", other === id);
}

// Taps and boxes

canvas.addEventListener("pointerdown", (event) => {
  if (!bitmap || event.button !== 0 || drag) return;
  canvas.setPointerCapture(event.pointerId);
  drag = { from: toImage(event), to: toImage(event), pointer: event.pointerId };
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  drag.to = toImage(event);
  draw();
});
canvas.addEventListener("pointerup", async (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  drag.to = toImage(event);
  const gesture = drag;
  drag = null;
  draw();
  const prompt = { label: find("label").value.trim() };
  if (selected) prompt.track_id = selected;
  if (isBox(gesture)) {
    const [x1, y1, x2, y2] = edges(gesture);
    if (x1 === x2 || y1 === y2) return; // beside the image
    prompt.box = [x1, y1, x2, y2];
  } else {
    if (!isInside(gesture.to)) return;
    prompt.point = [gesture.to[0] - 0.5, gesture.to[1] - 0.5]; // pixel centers have integer coordinates
    if (selected && find("off").checked) prompt.off = true;
  }
  const describe = (ids) => (prompt.track_id ? `track ${prompt.track_id} is corrected` : `tracked as ${ids.join(", ")}`);
  find("label").value = "";
  if (!(await send("api/prompt", prompt, describe)) && !find("label").value) find("label").value = prompt.label;
});
const cancel = () => { drag = null; draw(); };
canvas.addEventListener("pointercancel", cancel);
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => { if (event.key === "Escape") cancel(); });

find("words").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text) return;
  find("text").blur();
  send("api/prompt", { text }, (ids) => (ids.length ? `found ${ids.length}: ${ids.join(", ")}` : "not found yet; the search continues"));
});
find("sentence").addEventListener("submit", (event) => {
  event.preventDefault();
  const instruction = find("instruction").value.trim();
  if (!instruction) return;
  find("instruction").blur();
  showMessage("choosing …", false);
  const mode = find("again").checked ? "continuous" : "once";
  send("api/prompt", { instruction, mode }, (ids) => (ids.length ? `chosen: ${ids.join(", ")}` : "no object fits"));
});
watchPictures();
watchState();
