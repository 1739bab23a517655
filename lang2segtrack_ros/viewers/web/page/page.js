// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

const MIN_DRAG = 8; // movement in CSS pixels that makes a box; a shorter movement is a tap
const STATE_MS = 700;
const RETRY_MS = 1000;
const MESSAGE_MS = 6000;
const TOKEN_REFUSED = 1008; // close code of the WebSocket

const find = (id) => document.getElementById(id);
const canvas = find("picture");
const context = canvas.getContext("2d");
let bitmap = null;      // newest image
let source = "";        // source of the image: "overlay" or "camera"
let drag = null;        // {from, to, pointer} in image pixels, while the pointer is down
let selected = 0;       // id of the track that the next prompt corrects, 0 for none
let token = sessionStorage.getItem("token") || "";

function takeToken() {
  if (!location.hash.startsWith("#token=")) return;
  token = location.hash.slice(7);
  try {
    token = decodeURIComponent(token);
  } catch {
    // the token contains a % that is not an escape
  }
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
  find("login").hidden = true;
}

takeToken();
addEventListener("hashchange", takeToken);

// Requests to the robot

async function request(path, body) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const options = { headers, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(path, options);
  if (response.status === 401) {
    askForToken();
    throw new Error("a token is needed");
  }
  if (!response.ok) {
    const content = await response.json().catch(() => ({}));
    throw new Error(content.error || "the robot responded with status " + response.status);
  }
  return response;
}

function askForToken() {
  if (token && find("login").hidden) showMessage("the token is wrong", true);
  find("login").hidden = false;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const isActive = () => !document.hidden && find("login").hidden;

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
        showStatus("bad", error instanceof TypeError ? "no connection to the robot" : error.message);
      }
    }
    await sleep(STATE_MS);
  }
}

async function send(path, body, describe) {
  try {
    const response = await (await request(path, body)).json();
    showMessage(response.message || describe(response.track_ids), false);
    return true;
  } catch (error) {
    showMessage(error instanceof TypeError ? "no connection to the robot" : error.message, true);
    return false;
  }
}

// Display

let messageTimer = 0;
function showMessage(text, isError) {
  const box = find("message");
  box.textContent = text;
  box.classList.toggle("bad", isError);
  box.hidden = false;
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => { box.hidden = true; }, MESSAGE_MS);
}

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

function make(kind, name, text = "") {
  const element = document.createElement(kind);
  element.className = name;
  element.textContent = text;
  return element;
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

const frame = () => {  // scale and position of the image inside the canvas element
  const outer = canvas.getBoundingClientRect();
  const size = Math.min(outer.width / canvas.width, outer.height / canvas.height);
  return { size, left: outer.left + (outer.width - size * canvas.width) / 2, top: outer.top + (outer.height - size * canvas.height) / 2 };
};
const scale = () => frame().size;

function toImage(event) {
  const { size, left, top } = frame();
  return [(event.clientX - left) / size, (event.clientY - top) / size];
}

const isInside = ([x, y]) => x >= 0 && x < canvas.width && y >= 0 && y < canvas.height;
const clamp = ([x, y]) => [Math.min(Math.max(x, 0), canvas.width), Math.min(Math.max(y, 0), canvas.height)];
const isBox = ({ from, to }) => Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])) * scale() >= MIN_DRAG;
const edges = (gesture) => { // of the part inside the image
  const [from, to] = [clamp(gesture.from), clamp(gesture.to)];
  return [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
};

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
find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  sessionStorage.setItem("token", token);
  find("token").value = "";
  find("login").hidden = true;
});

watchPictures();
watchState();
