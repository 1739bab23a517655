// SPDX-FileCopyrightText: 2026 The lang2segtrack authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

// The parts that the pages of this package have in common: token, requests, messages, and positions on the image.

const MIN_DRAG = 8; // movement in CSS pixels that makes a box; a shorter movement is a tap
const MESSAGE_MS = 6000;
const peer = document.body.dataset.peer; // what the page talks to, for messages

const find = (id) => document.getElementById(id);
const canvas = find("picture");
const context = canvas.getContext("2d");
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

// Requests

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
    throw new Error(content.error || `the ${peer} responded with status ${response.status}`);
  }
  return response;
}

function askForToken() {
  if (token && find("login").hidden) showMessage("the token is wrong", true);
  find("login").hidden = false;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const isActive = () => !document.hidden && find("login").hidden;

async function send(path, body, describe) {
  try {
    const response = await (await request(path, body)).json();
    showMessage(response.message || describe(response.track_ids), false);
    return true;
  } catch (error) {
    showMessage(error instanceof TypeError ? "no connection to the " + peer : error.message, true);
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

function make(kind, name, text = "") {
  const element = document.createElement(kind);
  element.className = name;
  element.textContent = text;
  return element;
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

find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  sessionStorage.setItem("token", token);
  find("token").value = "";
  find("login").hidden = true;
});
