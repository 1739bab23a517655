// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

// The list of remembered objects. It is hidden while no object map is in the graph.

const OBJECTS_MS = 2000;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function age(seconds) {
  if (seconds < 2) return "now";
  const [size, unit] = UNITS.find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

function describeObject({ state, age_s, near }) {
  const words = state === "missing" ? `missing, last seen ${age(age_s)}` : `last seen ${age(age_s)}`;
  return [state === "moved" ? `moved, ${words}` : words, near].filter(Boolean).join(", ");
}

const objectRows = new Map(); // rows by id of the map, updated in place
function makeObjectRow() {
  const row = make("li", "");
  const place = make("div", "place");
  const picture = make("img", "thumbnail");
  picture.alt = "";
  place.append(make("span", "name"), make("span", "state"));
  row.append(picture, place);
  return row;
}

function showObjects(objects, total) {
  find("remembered").hidden = !objects;
  const ids = new Set((objects || []).map((item) => item.id));
  for (const [id, row] of objectRows) if (!ids.has(id)) { row.remove(); objectRows.delete(id); }
  for (const item of objects || []) {
    if (!objectRows.has(item.id)) objectRows.set(item.id, makeObjectRow());
    const row = objectRows.get(item.id);
    find("objects").append(row); // the latest seen first
    const picture = row.querySelector(".thumbnail");
    picture.classList.toggle("none", !item.thumbnail);
    if (item.thumbnail && picture.src !== item.thumbnail) picture.src = item.thumbnail;
    row.classList.toggle("missing", item.state === "missing");
    row.querySelector(".name").textContent = item.name ? `${item.id} ${item.name} (${item.label})` : `${item.id} ${item.label}`;
    row.querySelector(".state").textContent = describeObject(item);
  }
  find("objects-count").textContent = objects ? `(${total})` : "";
}

async function watchObjects() {
  for (;;) {
    if (isActive()) {
      try {
        const { objects, total } = await (await request("api/objects")).json();
        showObjects(objects, total);
      } catch {
        // the state, requested more often, reports a lost connection
      }
    }
    await sleep(OBJECTS_MS);
  }
}
watchObjects();
