"use strict";
// Keeps the page up to date: fetches it again and applies the differences, so that
// focus, scroll position and dialogs are preserved; and runs commands. Without this
// script the page is static, and search and sorting load it again.
const interval = 2000; // ms
let plotsDue = 0;

function credentials() {
  const token = sessionStorage.getItem("mcplb-token");
  return token ? { Authorization: "Bearer " + token } : { "X-Mcplb-Command": "1" };
}

// same reports whether old can become fresh by changing what is in it.
function same(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && old.id === fresh.id;
}

// update makes old equal to fresh and changes only what differs.
function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!same(old, fresh)) { old.replaceWith(fresh.cloneNode(true)); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  if (old.matches("input, select, dialog, [data-keep]")) return; // these belong to the user
  const opened = old.tagName === "DETAILS";
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !(opened && name === "open")) old.removeAttribute(name);
  updateChildren(old, fresh);
}

// updateChildren updates the children of old. A child with an id, such as a server's row,
// stays the same node wherever it moves to.
function updateChildren(old, fresh) {
  const known = new Map();
  for (const child of old.children) if (child.id) known.set(child.id, child);
  let next = old.firstChild;
  for (const wanted of fresh.childNodes) {
    let here = wanted.id ? known.get(wanted.id) : next;
    if (!wanted.id) while (here && here.id && fresh.querySelector(":scope > #" + CSS.escape(here.id))) here = here.nextSibling;
    if (!here || !same(here, wanted)) { old.insertBefore(wanted.cloneNode(true), next); continue; }
    if (here === next) next = next.nextSibling; else old.insertBefore(here, next);
    update(here, wanted);
  }
  while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
}

// address is that of the page with the present choice.
function address(plots) {
  const query = new URLSearchParams(location.search);
  if (!plots) query.set("plots", "no"); else query.delete("plots");
  return location.pathname + (query.size ? "?" + query : "");
}

async function refresh() {
  const plots = Date.now() >= plotsDue;
  const wanted = location.search;
  const answer = await fetch(address(plots), { headers: credentials(), signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(answer.status + " " + answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (location.search !== wanted) return; // the choice has changed: another answer is on its way
  if (plots) plotsDue = Date.now() + 10000;
  else {
    const old = document.querySelector(".plots"), place = fresh.querySelector(".plots");
    if (old && place) place.replaceChildren(...[...old.childNodes].map((node) => node.cloneNode(true)));
  }
  apply(fresh);
}

// apply shows a fresh page. The focus stays where it is.
function apply(fresh) {
  const level = document.getElementById("level").textContent, focused = document.activeElement;
  document.title = fresh.title;
  update(document.querySelector("header"), fresh.querySelector("header"));
  update(document.querySelector("main"), fresh.querySelector("main"));
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  const now = document.getElementById("level").textContent;
  if (now !== level) document.getElementById("news").textContent = "mcplb is " + now;
  const form = document.getElementById("token"), wanted = fresh.getElementById("token");
  if (form && !wanted) form.remove();
  if (!form && wanted) { document.querySelector("main").before(wanted); sessionStorage.removeItem("mcplb-token"); }
  if (read.at) read(read.at.plot, read.at.band);
}

async function keepUp() {
  const began = performance.now();
  try {
    if (!document.hidden) await refresh();
  } catch (error) {
    const live = document.getElementById("live");
    live.textContent = "no response since " + live.textContent.replace(/^(no response since )?(as of )?/, "");
    live.classList.add("stale");
  }
  setTimeout(keepUp, Math.max(interval, 5 * (performance.now() - began)));
}

function say(text, good) {
  const message = document.getElementById("message");
  message.textContent = text;
  message.className = good ? "done" : "";
  message.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { message.hidden = true; }, good ? 5000 : 20000);
}

// ask asks the user to confirm, and for the weight or a reason if field names one of them.
// It returns what was entered, or null.
function ask(question, field, value) {
  const dialog = document.getElementById("ask"), form = dialog.querySelector("form");
  document.getElementById("question").textContent = question;
  for (const input of dialog.querySelectorAll("input")) {
    input.parentElement.hidden = input.disabled = input.name !== field;
    input.value = input.name === field ? value : "";
  }
  dialog.returnValue = "no";
  dialog.showModal();
  const input = form.elements[field];
  if (input) input.select(); else dialog.querySelector("button[value=no]").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? (input ? input.value.trim() : "yes") : null), { once: true });
  });
}

async function command(button) {
  const { path, name, weight, connections } = button.closest(".commands").dataset;
  const what = button.dataset.do;
  const questions = {
    drain: ["Drain " + name + "? It gets no new clients; its " + connections + " connections stay.", "reason", ""],
    maint: ["Take " + name + " out of service now? Its " + connections + " connections end, unless on_down is \"keep\".", "reason", ""],
    weight: ["Weight of " + name + "; 0 means no new clients.", "weight", weight],
    unban: ["Lift the ban of " + name + "?"],
  };
  let value = "";
  if (questions[what]) value = await ask(...questions[what]);
  if (value === null) return;
  const init = { method: what === "unban" ? "DELETE" : "PATCH", headers: credentials() };
  if (init.method === "PATCH") {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(what === "weight" ? { weight: Number(value) } : { admin: what, reason: value || "from the stats page" });
  }
  try {
    const answer = await fetch(path, init);
    const text = await answer.json();
    if (!answer.ok) throw new Error(text.error);
    say(name + ": " + (text.changes.map((c) => c.what + " " + c.old + " → " + (c.new || "none")).join(", ") || "no change"), true);
    await refresh();
  } catch (error) {
    say("Failed: " + error.message, false);
  }
}

// choose shows the servers that the form asks for, and makes the address say so.
function choose() {
  const form = document.getElementById("choice"), query = new URLSearchParams(new FormData(form));
  if (!query.get("q").trim()) query.delete("q");
  if (query.get("sort") === form.elements.sort.options[0].value) query.delete("sort");
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? "?" + text : ""));
  refresh().catch((error) => say("Failed: " + error.message, false));
}

// read shows the values of a part of a plot, and marks that part.
function read(plot, number) {
  const bands = plot.querySelectorAll(".band");
  if (read.at) for (const old of read.at.plot.querySelectorAll(".band.at")) old.classList.remove("at");
  read.at = null;
  const out = plot.parentElement.querySelector(".readout");
  if (number === null || !bands.length) { out.textContent = ""; return; }
  number = Math.max(0, Math.min(bands.length - 1, number));
  bands[number].classList.add("at");
  out.textContent = bands[number].querySelector("title").textContent.split("\n").join("   ");
  read.at = { plot, band: number };
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) command(button);
});
document.addEventListener("submit", (event) => {
  if (event.target.id === "choice") { event.preventDefault(); choose(); return; }
  if (event.target.id !== "token") return;
  event.preventDefault();
  sessionStorage.setItem("mcplb-token", event.target.elements.token.value.trim());
  refresh().then(() => { if (document.getElementById("token")) say("The balancer does not accept this token.", false); });
});
document.addEventListener("input", (event) => {
  if (event.target.name === "reason") {
    const long = new TextEncoder().encode(event.target.value).length > 200;
    event.target.setCustomValidity(long ? "At most 200 bytes, please." : "");
  }
  if (!event.target.closest("#choice")) return;
  clearTimeout(choose.timer);
  choose.timer = setTimeout(choose, event.target.name === "q" ? 250 : 0);
});
document.addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter" && event.target.closest("dialog")) event.preventDefault(); // the key that opened it
  if (!event.target.classList.contains("plot")) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const last = event.target.querySelectorAll(".band").length - 1;
  read(event.target, read.at && read.at.plot === event.target ? read.at.band + step : last);
});
document.addEventListener("pointerover", (event) => {
  const band = event.target.closest(".band"), plot = event.target.closest(".plot");
  if (band) read(plot, [...plot.querySelectorAll(".band")].indexOf(band));
  else if (read.at && !plot && document.activeElement !== read.at.plot) read(read.at.plot, null);
});
document.addEventListener("focusout", (event) => { if (event.target.classList.contains("plot")) read(event.target, null); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
if (sessionStorage.getItem("mcplb-token")) refresh().catch(() => {});
setTimeout(keepUp, interval);
