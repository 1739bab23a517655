// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

const DRAG = 8; // CSS pixels a pointer moves before a tap is a box
const STATE_MS = 700;
const RETRY_MS = 1000;
const MESSAGE_MS = 6000;

const find = (id) => document.getElementById(id);
const canvas = find("picture");
const paint = canvas.getContext("2d");
let bitmap = null;      // the newest picture
let source = "";        // where it is from: overlay or camera
let drag = null;        // {from, to} in pixels of the picture, while the pointer is down
let chosen = 0;         // id of the track that taps correct, 0 for none
let token = sessionStorage.getItem("token") || "";

function takeToken() {
  if (!location.hash.startsWith("#token=")) return;
  token = location.hash.slice(7);
  try {
    token = decodeURIComponent(token);
  } catch {
    // a token with a % of its own
  }
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
  find("login").hidden = true;
}

takeToken();
addEventListener("hashchange", takeToken);

// The robot

async function ask(path, body) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const options = { headers, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(path, options);
  if (response.status === 401) {
    if (token && find("login").hidden) tell("that is not the token of this page", true);
    find("login").hidden = false;
    throw new Error("a token is needed");
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Error(told.error || "the robot answered " + response.status);
  }
  return response;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const shown = () => !document.hidden && find("login").hidden;

async function watchPictures() {
  let number = 0;
  for (;;) {
    if (!shown()) { await sleep(300); continue; }
    try {
      const response = await ask("api/picture?after=" + number);
      if (response.status === 204) continue;
      number = Number(response.headers.get("X-Number"));
      source = response.headers.get("X-Source");
      const next = await createImageBitmap(await response.blob());
      if (bitmap) bitmap.close();
      bitmap = next;
      draw();
    } catch (error) {
      await sleep(RETRY_MS);
    }
  }
}

async function watchState() {
  for (;;) {
    if (shown()) {
      try {
        const state = await (await ask("api/state")).json();
        showTracks(state.tracks);
        showTexts(state.looking_for);
        if (state.problem) showStatus("bad", state.problem);
        else if (source === "camera") showStatus("warn", "no overlay comes; this is the camera alone");
        else showStatus("good", bitmap ? `live, ${bitmap.width} × ${bitmap.height}` : "connected, no picture yet");
      } catch (error) {
        showStatus("bad", error instanceof TypeError ? "no connection to the robot" : error.message);
      }
    }
    await sleep(STATE_MS);
  }
}

async function order(path, body, done) {
  try {
    const answer = await (await ask(path, body)).json();
    tell(answer.message || done(answer.track_ids), false);
    return true;
  } catch (error) {
    tell(error instanceof TypeError ? "no connection to the robot" : error.message, true);
    return false;
  }
}

// What is shown

let forgetting = 0;
function tell(sentence, bad) {
  const box = find("message");
  box.textContent = sentence;
  box.classList.toggle("bad", bad);
  box.hidden = false;
  clearTimeout(forgetting);
  forgetting = setTimeout(() => { box.hidden = true; }, MESSAGE_MS);
}

function showStatus(level, sentence) {
  find("dot").className = "dot " + level;
  if (find("status").textContent !== sentence) find("status").textContent = sentence;
}

function draw() {
  if (!bitmap) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  find("waiting").hidden = true;
  paint.drawImage(bitmap, 0, 0);
  if (!drag || !isBox(drag)) return;
  paint.lineWidth = Math.max(1.5, 2 / scale());
  paint.strokeStyle = "#fff";
  paint.setLineDash([6 / scale(), 4 / scale()]);
  const [x1, y1, x2, y2] = edges(drag);
  paint.strokeRect(x1, y1, x2 - x1, y2 - y1);
  paint.setLineDash([]);
}

const rows = new Map(); // by id; changed in place, as one made anew under a finger would swallow the tap
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
  if (chosen && !ids.has(chosen)) choose(0);
}

function make(kind, name, text = "") {
  const element = document.createElement(kind);
  element.className = name;
  element.textContent = text;
  return element;
}

function makeRemove(label, body, done) {
  const remove = make("button", "remove", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", label);
  remove.addEventListener("click", async () => {
    remove.disabled = true;
    remove.disabled = await order("api/remove", body, () => done);
  });
  return remove;
}

function makeRow(id) {
  const row = make("li", "");
  const pick = make("button", "pick");
  pick.type = "button";
  pick.title = "correct this track";
  pick.append(make("span", "swatch"), make("span", "name"), make("span", "state"));
  pick.addEventListener("click", () => choose(chosen === id ? 0 : id));
  row.append(pick, makeRemove(`remove track ${id}`, { track_id: id }, `track ${id} is removed`));
  return row;
}

const texts = new Map(); // likewise, what is looked for
function showTexts(prompts) {
  const ids = new Set(prompts.map((prompt) => prompt.id));
  for (const [id, row] of texts) if (!ids.has(id)) { row.remove(); texts.delete(id); }
  for (const prompt of prompts) {
    if (texts.has(prompt.id)) continue;
    const row = make("li", "");
    const remove = makeRemove(`stop looking for ${prompt.text}`, { prompt_id: prompt.id }, "not looked for any longer");
    row.append(make("span", "text", prompt.text), remove);
    texts.set(prompt.id, row);
    find("texts").append(row);
  }
  find("looking").hidden = !prompts.length;
}

function choose(id) {
  chosen = id;
  find("off-row").hidden = !id;
  find("off").checked = false;
  find("hint").textContent = id
    ? `Tap or box to correct track ${id}; tap it in the list again to leave it.`
    : "Tap an object, or drag a box around it.";
  for (const [other, row] of rows) row.classList.toggle("chosen", other === id);
}

// Taps and boxes

const frame = () => {  // where the picture lies inside the canvas's box on the screen
  const outer = canvas.getBoundingClientRect();
  const size = Math.min(outer.width / canvas.width, outer.height / canvas.height);
  return { size, left: outer.left + (outer.width - size * canvas.width) / 2, top: outer.top + (outer.height - size * canvas.height) / 2 };
};
const scale = () => frame().size;

function place(event) {
  const { size, left, top } = frame();
  const clamp = (value, most) => Math.min(Math.max(value, 0), most);
  return [clamp((event.clientX - left) / size, canvas.width), clamp((event.clientY - top) / size, canvas.height)];
}

const isBox = ({ from, to }) => Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])) * scale() >= DRAG;
const edges = ({ from, to }) => [
  Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1]),
];

canvas.addEventListener("pointerdown", (event) => {
  if (!bitmap || event.button !== 0 || drag) return;
  canvas.setPointerCapture(event.pointerId);
  drag = { from: place(event), to: place(event), pointer: event.pointerId };
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  drag.to = place(event);
  draw();
});
canvas.addEventListener("pointerup", async (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  drag.to = place(event);
  const done = drag;
  drag = null;
  draw();
  const prompt = { label: find("label").value.trim() };
  if (chosen) prompt.track_id = chosen;
  if (isBox(done)) {
    prompt.box = edges(done);
  } else { // pixel centres are whole numbers, so the left edge of the picture is at -0.5
    prompt.point = [Math.min(done.to[0], canvas.width - 0.01) - 0.5, Math.min(done.to[1], canvas.height - 0.01) - 0.5];
    if (chosen && find("off").checked) prompt.off = true;
  }
  const told = (ids) => (prompt.track_id ? `track ${prompt.track_id} is corrected` : `tracking it as ${ids.join(", ")}`);
  find("label").value = "";
  if (!(await order("api/prompt", prompt, told)) && !find("label").value) find("label").value = prompt.label;
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
  order("api/prompt", { text }, (ids) => (ids.length ? `found ${ids.length}: ${ids.join(", ")}` : "looking for it"));
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
