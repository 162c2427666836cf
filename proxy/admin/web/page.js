"use strict";
// Keeps the page up to date: fetches it again and applies the differences, so that
// focus, scroll position and dialogs are preserved. Without this script the page
// is static.
const interval = 2000; // ms
let plotsDue = 0;

function credentials() {
  const token = sessionStorage.getItem("mcplb-token");
  return token ? { Authorization: "Bearer " + token } : { "X-Mcplb-Command": "1" };
}

// update makes old equal to fresh and changes only what differs.
function update(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const same = old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && old.id === fresh.id;
  if (!same) { old.replaceWith(fresh.cloneNode(true)); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  if (old.tagName === "INPUT" || old.tagName === "DIALOG") return;
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  const before = [...old.childNodes], after = [...fresh.childNodes];
  for (let i = 0; i < after.length; i++) {
    if (i < before.length) update(before[i], after[i]); else old.append(after[i].cloneNode(true));
  }
  for (const node of before.slice(after.length)) node.remove();
}

async function refresh() {
  const plots = Date.now() >= plotsDue;
  const answer = await fetch(location.pathname + (plots ? "" : "?plots=no"), { headers: credentials(), signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(answer.status + " " + answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (plots) plotsDue = Date.now() + 10000;
  else {
    const old = document.querySelector(".plots"), place = fresh.querySelector(".tiles");
    if (old && place) place.after("\n", old.cloneNode(true));
  }
  document.title = fresh.title;
  update(document.querySelector("header"), fresh.querySelector("header"));
  update(document.querySelector("main"), fresh.querySelector("main"));
  const form = document.getElementById("token"), wanted = fresh.getElementById("token");
  if (form && !wanted) form.remove();
  if (!form && wanted) { document.querySelector("main").before(wanted); sessionStorage.removeItem("mcplb-token"); }
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

// ask asks the user to confirm, and returns the weight if one is entered.
function ask(question, weight) {
  const dialog = document.getElementById("ask"), label = dialog.querySelector("label"), input = dialog.querySelector("input");
  dialog.querySelector("p").textContent = question;
  label.hidden = weight === undefined;
  input.value = weight ?? "";
  dialog.returnValue = "no";
  dialog.showModal();
  if (label.hidden) dialog.querySelector("button[value=no]").focus(); else input.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? input.value || "yes" : null), { once: true });
  });
}

async function command(button) {
  const { path, name, weight, connections } = button.closest(".commands").dataset;
  const what = button.dataset.do;
  const questions = {
    drain: "Drain " + name + "? It gets no new clients; its " + connections + " connections stay.",
    maint: "Take " + name + " out of service now? Its " + connections + " connections end, unless on_down is \"keep\".",
    weight: "Weight of " + name + "; 0 means no new clients.",
    unban: "Lift the ban of " + name + "?",
  };
  let value = "yes";
  if (questions[what]) value = await ask(questions[what], what === "weight" ? weight : undefined);
  if (value === null) return;
  const init = { method: what === "unban" ? "DELETE" : "PATCH", headers: credentials() };
  if (init.method === "PATCH") {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(what === "weight" ? { weight: Number(value) } : { admin: what, reason: "from the stats page" });
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

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) command(button);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "token") return;
  event.preventDefault();
  sessionStorage.setItem("mcplb-token", event.target.elements.token.value.trim());
  refresh().then(() => { if (document.getElementById("token")) say("The balancer does not accept this token.", false); });
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
if (sessionStorage.getItem("mcplb-token")) refresh().catch(() => {});
setTimeout(keepUp, interval);
