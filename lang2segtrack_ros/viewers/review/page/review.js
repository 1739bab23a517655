// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

const POLL_MS = 1000;
const JOB_POLL_MS = 250;
const STEP = 10; // images of an arrow key with Shift

let state = { revision: -1, images: 0, tracks: [], edits: [], job: null };
let image = 0;          // position of the shown image
let selected = 0;       // id of the selected track, 0 for none
let bitmap = null;      // the shown image
let correction = null;  // {track, image, points, box} while the user corrects; track is 0 for a new object
let drag = null;        // {from, to, pointer} in image pixels, while the pointer is down
let shownJob = 0;       // number of the latest correction whose outcome the page has shown
let isFirst = true;
let isLost = false;     // true while the server does not answer

// Images: only the latest requested one is fetched, so that a slow server does not fall behind the scrub bar.

let isFetching = false, isStale = false;

async function fetchImage() {
  if (isFetching) { isStale = true; return; }
  isFetching = true;
  do {
    isStale = false;
    try {
      const blob = await (await request(`api/image?number=${image}`)).blob();
      const next = await createImageBitmap(blob);
      if (bitmap) bitmap.close();
      bitmap = next;
      find("waiting").hidden = true;
    } catch (error) {
      showMessage(error instanceof TypeError ? "no connection to the " + peer : error.message, true);
    }
    draw();
  } while (isStale);
  isFetching = false;
}

function goTo(number) {
  const next = Math.min(Math.max(number, 0), Math.max(0, state.images - 1));
  if (next === image && bitmap) return;
  image = next;
  if (correction && correction.image !== image) openCorrection(correction.track);
  find("scrub").value = image;
  showPlace();
  fetchImage();
}

function showPlace() {
  drawTimeline(image, selected);
  const track = trackOf(selected);
  const span = track && spanAt(track, image);
  const about = track ? `, track ${track.id} is ${span ? span[2] : "absent"}` : "";
  showStatus("good", `image ${image} of 0 to ${state.images - 1}${about}`);
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
  context.drawImage(bitmap, 0, 0);
  canvas.classList.toggle("correcting", correction !== null);
  if (!correction) return;
  context.lineWidth = Math.max(1.5, 2 / scale());
  for (const [x, y, on] of correction.points) {
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 6 / scale(), 0, 7);
    context.fillStyle = on ? "#34a853" : "#ea4335";
    context.strokeStyle = "#fff";
    context.fill();
    context.stroke();
  }
  const box = drag && isBox(drag) ? edges(drag) : correction.box;
  if (!box) return;
  context.strokeStyle = "#fff";
  context.setLineDash([6 / scale(), 4 / scale()]);
  context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  context.setLineDash([]);
}

// State

const trackOf = (id) => state.tracks.find((track) => track.id === id) || null;

async function refresh() {
  const next = await (await request("api/state" + (state.revision >= 0 ? `?revision=${state.revision}` : ""))).json();
  const hasChanged = next.revision !== state.revision;
  state = { ...state, ...next };
  showJob();
  if (isLost) { isLost = false; showPlace(); fetchImage(); }
  if (!hasChanged) return;
  document.title = `${state.name} – review`;
  find("scrub").max = Math.max(0, state.images - 1);
  if (isFirst) image = state.start;
  find("scrub").value = image;
  if (!trackOf(selected)) selected = 0;
  showTimeline(state.tracks, state.images, (id, at) => { select(id, at); });
  showSelection();
  showEdits();
  showPlace();
  fetchImage();
  if (isFirst && !state.has_images) showMessage("the images are not at hand, so the masks are shown on black: start with --video", true);
  if (isFirst && state.torn) showMessage("the journal ended in a torn line: this edit does not count", true);
  if (isFirst) { showPlaces().catch(() => undefined); followLink(); } // `watch` shows a lost connection
  isFirst = false;
}

async function watch() {
  for (;;) {
    if (isActive()) {
      try {
        await refresh();
      } catch (error) {
        isLost = true;
        showStatus("bad", error instanceof TypeError ? "no connection to the " + peer : error.message);
      }
    }
    await sleep(state.job && state.job.is_running ? JOB_POLL_MS : POLL_MS);
  }
}

async function act(path, body) {
  const isDone = await send(path, body, () => "done");
  await refresh().catch(() => undefined); // `watch` shows a lost connection
  return isDone;
}

function select(id, at) {
  if (id !== selected && correction) closeCorrection();
  selected = id;
  showSelection();
  if (at !== null) fillSpan(at);
  if (at !== null && at !== image) goTo(at);
  else showPlace();
}

function fillSpan(at) { // a click on a bar prepares the deletion of the span under it
  const span = spanAt(trackOf(selected), at);
  if (!span) return;
  find("first").value = span[0];
  find("last").value = span[1];
}

function showSelection() {
  const track = trackOf(selected);
  find("actions").disabled = !track;
  find("chosen").textContent = track ? `Track ${track.id} ${track.label}` : "No track is selected";
  find("hint").hidden = Boolean(track);
  if (!track) return;
  if (document.activeElement !== find("label")) find("label").value = track.label;
  const before = find("into").value;
  const others = state.tracks.filter((other) => other.id !== selected);
  find("into").replaceChildren(...others.map((other) => {
    const option = make("option", "", `${other.id} ${other.label}`);
    option.value = other.id;
    return option;
  }));
  if (others.some((other) => String(other.id) === before)) find("into").value = before;
  for (const id of ["first", "last"]) find(id).max = state.images - 1;
  if (find("first").value === "") { find("first").value = image; find("last").value = image; }
}

function showEdits() {
  find("edits").replaceChildren(...[...state.edits].reverse().map((edit) => make("li", "", edit.text)));
  find("count").textContent = state.edits.length ? `(${state.edits.length})` : "";
  find("undo").disabled = !state.edits.length;
}

function showJob() {
  const job = state.job;
  find("job").hidden = !job || !job.is_running;
  if (!job) return;
  if (job.is_running) {
    find("job-text").textContent = job.total
      ? `Tracking object ${job.track} again: ${job.done} images, at most ${job.total}` : `Tracking object ${job.track} again: loading the network`;
    find("job-progress").value = job.total ? job.done / job.total : 0;
  } else if (job.number !== shownJob) {
    if (!isFirst) showMessage(job.message, job.has_failed);
    shownJob = job.number;
    if (!job.has_failed && trackOf(job.track)) select(job.track, null);
  }
}

// Places to check, from the report

async function showPlaces() {
  const { places } = await (await request("api/places")).json();
  find("check").hidden = !places.length;
  find("place-count").textContent = `(${places.length})`;
  find("places").replaceChildren(...places.map((place) => {
    const item = make("li", place.severity), button = make("button", "place");
    button.type = "button";
    button.append(make("b", "", `image ${place.image}: ${place.kind}, track ${place.track}${place.other === null ? "" : ` and ${place.other}`}`), make("span", "", place.reason));
    button.addEventListener("click", () => {
      item.classList.add("seen");
      if (trackOf(place.track)) select(place.track, place.image);
      else goTo(place.image); // an edit has merged the track into another one, or deleted it
    });
    item.append(button);
    return item;
  }));
}

async function followLink() { // #image=N of a link in the report; N is the number in the recording
  const number = /^#image=(\d+)$/.exec(location.hash);
  if (!number) return;
  try {
    const { position } = await (await request(`api/position?number=${number[1]}`)).json();
    goTo(position);
  } catch (error) {
    showMessage(error.message, true);
  }
  history.replaceState(null, "", location.pathname); // a second click on the same link is a change again
}
addEventListener("hashchange", followLink);

// Corrections

function openCorrection(track) {
  correction = { track, image, points: [], box: null };
  find("correction").hidden = false;
  find("new-label").hidden = Boolean(track);
  find("off").checked = false;
  find("correction-hint").textContent = track
    ? `Click on track ${track} in the image, or drag a box around it. Then track it again.`
    : "Click on the new object in the image, or drag a box around it. Then track it.";
  showCorrection();
}

function closeCorrection() {
  correction = null;
  find("correction").hidden = true;
  draw();
}

function showCorrection() {
  find("run").disabled = !correction.box && !correction.points.some(([, , on]) => on);
  draw();
}

canvas.addEventListener("pointerdown", (event) => {
  if (!correction || !bitmap || event.button !== 0 || drag) return;
  canvas.setPointerCapture(event.pointerId);
  drag = { from: toImage(event), to: toImage(event), pointer: event.pointerId };
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  drag.to = toImage(event);
  draw();
});
canvas.addEventListener("pointerup", (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  drag.to = toImage(event);
  const gesture = drag;
  drag = null;
  if (!correction) return;
  if (isBox(gesture)) {
    const [x1, y1, x2, y2] = edges(gesture);
    if (x1 < x2 && y1 < y2) { correction.box = [x1, y1, x2, y2]; correction.points = []; }
  } else if (isInside(gesture.to)) {
    correction.box = null;
    correction.points.push([gesture.to[0] - 0.5, gesture.to[1] - 0.5, find("off").checked ? 0 : 1]); // pixel centers are whole numbers
  }
  showCorrection();
});
canvas.addEventListener("pointercancel", () => { drag = null; draw(); });

find("correct").addEventListener("click", () => openCorrection(selected));
find("add").addEventListener("click", () => openCorrection(0));
find("leave").addEventListener("click", closeCorrection);
find("run").addEventListener("click", async () => {
  const { track, points, box } = correction;
  const body = track ? { track, image: correction.image } : { label: find("new-label").value.trim(), image: correction.image };
  if (box) body.box = box;
  else body.points = points;
  find("run").disabled = true;
  if (await act("api/correct", body)) closeCorrection();
  else if (correction) showCorrection();
});
find("cancel").addEventListener("click", () => act("api/cancel", {}));

// Edits

const onSubmit = (id, body) => find(id).addEventListener("submit", async (event) => {
  event.preventDefault();
  await act("api/edit", body());
});
onSubmit("rename", () => ({ edit: "rename", track: selected, label: find("label").value.trim() }));
onSubmit("delete", () => ({ edit: "delete", track: selected, first: Number(find("first").value), last: Number(find("last").value) }));
find("merge").addEventListener("submit", async (event) => {
  event.preventDefault();
  const into = Number(find("into").value);
  if (await act("api/edit", { edit: "merge", track: selected, into })) select(into, null);
});
find("split").addEventListener("click", () => act("api/edit", { edit: "split", track: selected, at: image }));
find("undo").addEventListener("click", async () => {
  const latest = state.edits.at(-1);
  if (latest) await act("api/undo", { number: latest.number });
});

// Scrubbing

find("scrub").addEventListener("input", () => goTo(Number(find("scrub").value)));
find("previous").addEventListener("click", (event) => goTo(image - (event.shiftKey ? STEP : 1)));
find("next").addEventListener("click", (event) => goTo(image + (event.shiftKey ? STEP : 1)));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && correction) { closeCorrection(); return; }
  const isField = event.target.closest("input, select") && event.target !== find("scrub");
  if (isField || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = event.shiftKey ? STEP : 1;
  const target = { ArrowLeft: image - step, ArrowRight: image + step, Home: 0, End: state.images - 1 }[event.key];
  if (target === undefined) return;
  event.preventDefault();
  goTo(target);
});
addEventListener("resize", () => drawTimeline(image, selected));

watch();
