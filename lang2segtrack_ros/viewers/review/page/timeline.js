// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

// The timeline: one row for each track, with a bar of its states over all images.

const BAR_HEIGHT = 32;

// Rows by track id; updated in place, because a new element under a finger would lose the tap.
const trackRows = new Map();

function showTimeline(tracks, images, onPick) {
  const ids = new Set(tracks.map((track) => track.id));
  for (const [id, row] of trackRows) if (!ids.has(id)) { row.element.remove(); trackRows.delete(id); }
  for (const track of tracks) {
    if (!trackRows.has(track.id)) trackRows.set(track.id, makeTrackRow(track.id, onPick));
    const row = trackRows.get(track.id);
    row.track = track;
    row.images = images;
    row.element.dataset.track = track.id;
    row.element.querySelector(".swatch").style.background = track.color;
    row.element.querySelector(".name").textContent = `${track.id} ${track.label}`;
    find("timeline").append(row.element); // in the order of the ids
  }
}

function makeTrackRow(id, onPick) {
  const element = make("div", "track");
  const pick = make("button", "pick");
  pick.type = "button";
  pick.append(make("span", "swatch"), make("span", "name"));
  const bar = document.createElement("canvas");
  bar.setAttribute("role", "img");
  element.append(pick, bar);
  const row = { element, bar, track: null, images: 0 };
  pick.addEventListener("click", () => onPick(id, null));
  bar.addEventListener("click", (event) => {
    const box = bar.getBoundingClientRect();
    const image = Math.floor((event.clientX - box.left) / box.width * row.images);
    onPick(id, Math.min(Math.max(image, 0), row.images - 1));
  });
  return row;
}

function drawTimeline(image, chosen) {
  for (const [id, row] of trackRows) {
    row.element.classList.toggle("chosen", id === chosen);
    drawBar(row, image);
  }
}

function drawBar({ bar, track, images }, image) {
  const density = devicePixelRatio || 1;
  const width = Math.max(1, Math.round(bar.clientWidth * density)), height = Math.round(BAR_HEIGHT * density);
  if (bar.width !== width || bar.height !== height) { bar.width = width; bar.height = height; }
  const pen = bar.getContext("2d");
  pen.clearRect(0, 0, width, height);
  for (const [first, last, state, visible] of track.spans) {
    const left = first / images * width, length = Math.max(density, (last + 1 - first) / images * width);
    pen.fillStyle = track.color;
    if (state === "tracked" || state === "tentative") pen.fillRect(left, 0, length, height);
    else if (state === "occluded") drawHatched(pen, left, length, height, density, visible);
    else if (state === "lost") pen.fillRect(left, height * 0.42, length, height * 0.16);
    else pen.fillRect(left, 0, Math.min(length, 2 * density), height); // removed: the end of the track
  }
  pen.fillStyle = "#fff";
  pen.fillRect((image + 0.5) / images * width - density, 0, 2 * density, height);
}

function drawHatched(pen, left, length, height, density, visible) {
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, length, height);
  pen.clip();
  pen.globalAlpha = visible ? 0.7 : 0.25;
  pen.fillRect(left, 0, length, height);
  pen.globalAlpha = 1;
  pen.lineWidth = 2 * density;
  pen.strokeStyle = pen.fillStyle;
  for (let x = Math.floor(left / (8 * density)) * 8 * density - height; x < left + length; x += 8 * density) {
    pen.beginPath();
    pen.moveTo(x, height);
    pen.lineTo(x + height, 0);
    pen.stroke();
  }
  pen.restore();
}

function spanAt(track, image) { // the span of the track that holds an image
  return track.spans.find(([first, last]) => first <= image && image <= last) || null;
}
