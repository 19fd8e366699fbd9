"use strict";
// The labeling page. Answers go into an outbox first, which outlives a reload and a restart of the
// server at its old address, and from there to the server one by one, each with an id, so that
// sending one again counts once. The next item is shown at once, from the questions that the server
// has handed out before.

const BOUNCE = 120; // ms: nobody has seen an item by then, the key was pressed twice
const BOUNCE_GRID = 450; // ms: the same of a grid
const LONGEST = 120; // s: who takes longer was away
const MANY = 12; // classes, from which on they are looked for rather than seen
const KEYS = 10; // digits: with more classes some have none, and are found by their names
const GRID = { image: [112, 120], other: [280, 96] }; // px of a tile, gaps included

const $ = (id) => document.getElementById(id);

const store = {
  get(kind, name) {
    try { return window[kind].getItem(`skactivekd-${name}`); } catch { return null; }
  },
  set(kind, name, value) {
    try { window[kind].setItem(`skactivekd-${name}`, value); return true; } catch { return false; } // a private window
  },
  remove(kind, name) {
    try { window[kind].removeItem(`skactivekd-${name}`); } catch { /* there was none */ }
  },
  names(kind) {
    try { return Object.keys(window[kind]).filter((name) => name.startsWith("skactivekd-")).map((name) => name.slice(11)); } catch { return []; }
  },
};

const page = {
  start: null, mode: "ask", annotator: "", classes: [], state: null,
  current: null, queue: [], shownAt: 0, hiddenFor: 0, hiddenSince: null,
  answered: new Set(), editing: null, choices: [], found: 0, zoom: 1,
  grid: [], wrong: new Set(), gridAt: 0, confirming: null, gridBusy: false,
  review: [], reviewed: new Set(), looking: false,
  browser: store.get("sessionStorage", "browser") || newId(),
  outbox: [], shelf: "", over: false,
  posted: 0, sending: false, stuck: false, fixed: store.get("localStorage", "fixed") === "true",
  pictures: new Map(),
};
store.set("sessionStorage", "browser", page.browser);
window.labeling = { timings: [], saves: [] }; // for measuring: ms from key to item, and to disk

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null)); // strings become text, never HTML
  return made;
}

const key = (text) => el("kbd", { "aria-hidden": "true" }, text);
const same = (one, other) => one === other;
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
const media = (kind, item) => `/${kind}/${item.index}?k=${encodeURIComponent(item.key || "")}`;

// Talking to the server

async function call(path, fields, post = false) {
  const all = { annotator: page.annotator, browser: page.browser, ...fields };
  const options = post
    ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(all) }
    : {};
  const address = post ? `/api/${path}` : `/api/${path}?${new URLSearchParams(all)}`;
  let reply;
  try {
    reply = await fetch(address, { ...options, signal: AbortSignal.timeout(60000) });
  } catch {
    throw { text: "The server does not answer. Is it still running?", status: 0 };
  }
  let content = {};
  try { content = await reply.json(); } catch { /* said below */ }
  if (!reply.ok) throw { text: content.error || `The server says ${reply.status}.`, status: reply.status };
  return content;
}

function post(path, fields) {
  const entry = { path, fields: { id: newId(), annotator: page.annotator, ...fields }, at: performance.now() };
  page.outbox.push(entry);
  page.posted += 1;
  keepOutbox();
  send();
  return entry;
}

function keepOutbox() {
  if (!page.outbox.length) store.remove("localStorage", page.shelf);
  else store.set("localStorage", page.shelf, JSON.stringify(page.outbox.map(({ path, fields }) => ({ path, fields }))));
}

// Each page keeps its outbox under a name of its own. What others have left comes into this one;
// if one of them still lives, an answer is sent twice and counts once.
function takeOutboxes() {
  const shelf = `outbox-${page.start.journal}-`;
  page.shelf = shelf + newId();
  const left = store.names("localStorage").filter((name) => name.startsWith(shelf));
  for (const name of left) {
    try { page.outbox.push(...JSON.parse(store.get("localStorage", name) || "[]")); } catch { /* no outbox */ }
  }
  if (!page.outbox.length) return;
  const kept = store.set("localStorage", page.shelf, JSON.stringify(page.outbox));
  if (kept) for (const name of left) store.remove("localStorage", name);
  for (const entry of page.outbox) if (entry.fields.key) page.answered.add(entry.fields.key);
  send();
}

async function send() {
  if (page.sending) return;
  page.sending = true;
  clearTimeout(page.again);
  while (page.outbox.length) {
    const entry = page.outbox[0];
    try {
      const reply = await call(entry.path, entry.fields, true);
      if (entry.at) window.labeling.saves.push(performance.now() - entry.at);
      page.outbox.shift();
      keepOutbox();
      if (page.stuck) { page.stuck = false; hideProblem(); }
      takeReply(entry, reply);
    } catch (error) {
      if (error.status === undefined) console.error(error);
      const refused = [400, 404, 413, 415, 422].includes(error.status);
      if (refused) { // what was said cannot be kept as it is: the item is asked again
        page.outbox.shift();
        keepOutbox();
        page.answered.delete(entry.fields.key);
        for (const name of entry.fields.keys || []) page.answered.delete(name);
        if (page.mode === "confirm") loadGrid();
        problem(`Not kept: ${error.text}`);
        refresh();
        continue;
      }
      page.stuck = true;
      const n = page.outbox.length;
      const waiting = n === 1 ? "One answer waits here and is" : `${n} answers wait here and are`;
      problem(`${error.text || error} ${waiting} sent again.`, true);
      page.again = setTimeout(send, 4000);
      break;
    }
  }
  page.sending = false;
}

function takeReply(entry, reply) {
  if (reply.classes) setClasses(reply.classes);
  if (entry.fields.annotator !== page.annotator) return refresh(); // the questions are not for who is here now
  if (entry.path === "undo") return takeUndone(reply);
  merge(reply.questions);
  if (entry.path === "accept" && page.mode === "confirm") loadGrid();
  refreshSoon();
}

function takeUndone(reply) {
  for (const question of reply.questions) page.answered.delete(question.key);
  const [first] = reply.questions;
  const rows = reply.undone;
  if (!rows.length) say("There is nothing to undo.", true);
  else if (rows.length > 1) say(`${rows.length} answers taken back.`, true);
  else say("Taken back.", true);
  page.queue = reply.questions;
  if (first && rows.includes(first.index)) {
    page.queue = reply.questions.slice(1);
    if (page.mode === "ask") show(first);
    else page.kept = first;
  }
  if (page.mode === "confirm") loadGrid();
  if (page.mode === "review") { page.reviewed.clear(); show(null); loadReview(); }
  refresh();
}

function merge(questions) {
  const waiting = questions.filter((question) => !page.answered.has(question.key));
  page.queue = waiting.filter((question) => !page.current || question.key !== page.current.key);
  for (const question of page.queue) preload(question);
  if (page.mode === "ask" && !page.editing && !page.current) next();
}

// Not by the outbox: what waits there is sent to the next server, which it would end.
async function finish() {
  const until = performance.now() + 5000;
  while (page.outbox.length && performance.now() < until) await new Promise((done) => { setTimeout(done, 50); });
  if (page.outbox.length) return problem("Some answers are not kept yet, see above. Finish once they are.");
  try {
    const reply = await call("finish", {}, true);
    page.over = true;
    clearTimeout(polling);
    hideProblem();
    for (const id of ["main", "mode-ask", "mode-confirm", "mode-review", "finish", "annotator"]) $(id).inert = true;
    $("main").hidden = true;
    $("over-text").textContent = reply.said || "";
    $("over").hidden = false;
    $("over").focus();
  } catch (error) { problem(error.text || String(error)); }
}

let polling = null;
async function refresh() {
  clearTimeout(polling);
  if (page.over) return;
  const asked = page.annotator;
  const posted = page.outbox.length ? -1 : page.posted;
  let wait = 3000;
  try {
    const state = await call("state", {});
    if (asked === page.annotator) {
      if (page.lost) { page.lost = false; hideProblem(); }
      page.state = state;
      if (posted === page.posted) page.answered.clear(); // the server knows all that was said
      setClasses(state.classes);
      merge(state.questions);
      showState();
      if (state.student === "fitting" || (!page.queue.length && !state.done)) wait = 600;
    }
  } catch (error) {
    if (error.status === undefined) console.error(error);
    if (!page.stuck) { page.lost = true; problem(error.text || String(error), false); }
  }
  clearTimeout(polling);
  if (!page.over) polling = setTimeout(refresh, document.hidden ? 10000 : wait);
}

function refreshSoon() {
  clearTimeout(polling);
  polling = setTimeout(refresh, 150);
}

function setClasses(classes) {
  if (classes.length === page.classes.length) return;
  page.classes = classes;
  fillClassMenu();
  fillGuideline();
  if (page.current) showOptions();
}

// The item

function preload(question) {
  if (page.start.kind !== "image" || page.pictures.has(question.key)) return;
  const picture = new Image();
  picture.src = media("media", question);
  picture.decode().catch(() => {});
  page.pictures.set(question.key, picture);
  if (page.pictures.size > 40) page.pictures.delete(page.pictures.keys().next().value);
}

function next() {
  show(draw());
}

function draw() {
  while (page.queue.length && page.answered.has(page.queue[0].key)) page.queue.shift();
  return page.queue.shift() || null;
}

function show(question) {
  page.current = question;
  page.shownAt = performance.now();
  page.hiddenFor = 0;
  page.hiddenSince = document.hidden ? page.shownAt : null;
  page.zoom = 1;
  showItem(question);
  showOptions();
  if (question) $("said").textContent = `${page.spoken || ""} ${describe(question)}`;
  page.spoken = "";
  document.body.dataset.row = question ? question.index : "";
  document.body.dataset.source = question ? question.source : "";
}

function describe(question) { // to who hears the page
  const [best] = question.suggestions;
  const text = `Next: ${words(question.show).slice(0, 300)}.`;
  return best ? `${text} Suggested: ${best[0]}, ${percent(best[1])}.` : text;
}

function showItem(question) {
  const box = $("item");
  const kind = page.start.kind;
  $("view-tools").hidden = kind !== "image" || !question;
  $("caption").textContent = question && question.show.name ? question.show.name : "";
  if (question && question.copies && question.copies.length) {
    $("caption").textContent += ` (and ${question.copies.length} of the same content)`;
  }
  box.classList.toggle("backdrop", store.get("localStorage", "backdrop") === "true" && kind === "image");
  if (!question) return box.replaceChildren(el("p", { className: "note" }, nothing()));
  if (question.show.error) return box.replaceChildren(broken(question.show.error));
  if (kind === "image") showPicture(box, question);
  else if (kind === "text") {
    const text = question.show.text;
    box.replaceChildren(el("div", { className: text.length > 700 ? "text long" : "text" }, ...marked(text, question)));
  } else if (kind === "row") {
    const cells = question.show.columns.flatMap((name, at) => [
      el("dt", {}, name), el("dd", {}, question.show.values[at] || "–"),
    ]);
    box.replaceChildren(el("dl", {}, ...cells));
  } else showSound(box, question);
  box.scrollTop = 0;
}

// A text in parts, the words of which suggested classes are made marked.
function marked(text, question) {
  const stem = (word) => fold(word).replace(/s$/, "");
  const names = question.suggestions.flatMap(([label]) => fold(label).split(" "));
  const wanted = new Set(names.filter((word) => word.length > 2).map(stem));
  return text.split(/(\p{L}+)/u).map((part, at) => (at % 2 && wanted.has(stem(part)) ? el("mark", {}, part) : part));
}

function nothing() {
  if (page.mode === "review") {
    return page.looking
      ? "Looking for labels that the student contradicts…"
      : "Nothing needs a second look. Come back after some more labels.";
  }
  if (page.state && page.state.done) {
    return "All items are answered or await somebody else's answer. Confirm and Review are still there.";
  }
  if (page.state && page.state.student === "fitting") return "The student is getting ready; the first items come in a moment…";
  return "Choosing the next items…";
}

function showPicture(box, question) {
  preload(question);
  const picture = page.pictures.get(question.key);
  picture.alt = `Item ${question.index}`;
  picture.className = "";
  const fit = () => {
    const small = Math.max(picture.naturalWidth, picture.naturalHeight) <= 330;
    picture.classList.toggle("tiny", small);
  };
  if (picture.complete && picture.naturalWidth) fit();
  else {
    picture.onload = fit;
    picture.onerror = async () => { // the server says why
      page.pictures.delete(question.key);
      const said = await fetch(picture.src).then((reply) => reply.json()).catch(() => ({}));
      if (page.current === question) {
        box.replaceChildren(broken(said.error || "This picture cannot be read."));
      }
    };
    if (picture.complete && !picture.naturalWidth) picture.onerror();
  }
  picture.style.filter = Number($("brightness").value) === 1 ? "" : `brightness(${$("brightness").value})`;
  picture.style.width = "";
  box.replaceChildren(picture);
  $("zoom-value").textContent = "1×";
}

function broken(text) {
  return el("p", { className: "note bad" }, `${text} Press X if nobody can tell what it is.`);
}

function showSound(box, question) {
  const player = el("audio", { controls: true, preload: "auto", src: media("media", question) });
  player.setAttribute("aria-label", question.show.name);
  player.onerror = async () => {
    const said = await fetch(player.src).then((reply) => reply.json()).catch(() => ({}));
    if (page.current === question) box.replaceChildren(broken(said.error || "This sound cannot be played."));
  };
  box.replaceChildren(player);
  player.play().catch(() => {}); // browsers want a key press before the first one
}

function zoom() {
  const picture = $("item").querySelector("img");
  if (!picture) return;
  const before = picture.getBoundingClientRect().width / page.zoom;
  page.zoom = page.zoom >= 4 ? 1 : page.zoom * 2;
  picture.classList.toggle("zoomed", page.zoom > 1);
  picture.style.width = page.zoom > 1 ? `${before * page.zoom}px` : "";
  $("zoom-value").textContent = `${page.zoom}×`;
  const box = $("item");
  box.scrollTo((box.scrollWidth - box.clientWidth) / 2, (box.scrollHeight - box.clientHeight) / 2);
}

function brighten(change) {
  const range = $("brightness");
  range.value = Number(range.value) + change;
  const picture = $("item").querySelector("img");
  if (picture) picture.style.filter = `brightness(${range.value})`;
}

function toggleBackdrop() {
  const dark = $("item").classList.toggle("backdrop");
  store.set("localStorage", "backdrop", dark);
  $("backdrop").setAttribute("aria-pressed", dark);
}

// The answers

function ordered(question) {
  const suggested = question.suggestions.map(([label]) => label);
  let first = [];
  if (page.mode === "review") first = [question.label, ...Object.values(question.said || {})];
  else if (!page.editing && !page.fixed) first = suggested;
  if (page.mode === "review") first.push(...suggested);
  return [...new Set([...first.filter((label) => page.classes.includes(label)), ...page.classes])];
}

function showOptions() {
  const question = page.current;
  const box = $("options");
  const many = page.classes.length > MANY;
  $("search-box").hidden = page.classes.length <= KEYS || !question;
  $("order").hidden = page.mode === "review" || !!page.editing;
  $("order").setAttribute("aria-pressed", page.fixed);
  $("actions").hidden = false;
  $("reject").hidden = page.mode === "review";
  $("new-class").hidden = page.mode === "review";
  if (!question) { page.choices = []; $("ask-note").hidden = true; return box.replaceChildren(); }
  titleOptions(question);
  const shares = new Map(question.suggestions);
  const wanted = fold($("search").value);
  let labels = ordered(question);
  if (wanted) labels = matches(labels, wanted);
  page.choices = labels;
  page.found = 0;
  const likeliest = question.suggestions.length ? question.suggestions[0][0] : undefined;
  const keys = wanted ? new Map() : keysOf(labels);
  page.keyOf = new Map([...keys].map(([label, shown]) => [shown, label]));
  const made = labels.map((label, at) => {
    const shown = keys.get(label);
    const bar = el("span", { className: "bar" });
    const share = shares.get(label);
    if (share !== undefined) bar.style.width = percent(share, 1).replace(" ", "");
    const notes = holders(question, label);
    const option = el("button", { type: "button", className: "option" }, bar,
      shown ? key(shown) : null,
      el("span", { className: "name" }, String(label)),
      notes ? el("span", { className: "share" }, notes) : null,
      share !== undefined ? el("span", { className: "share" }, percent(share)) : null);
    option.classList.toggle("first", same(label, likeliest));
    option.classList.toggle("wide", share !== undefined || !!notes);
    option.classList.toggle("rest", many && share === undefined && !notes);
    option.classList.toggle("held", !!notes);
    option.classList.toggle("found", !!wanted && at === 0);
    if (shown) option.setAttribute("aria-keyshortcuts", shown);
    option.onclick = (event) => answer(label, event);
    return option;
  });
  box.classList.toggle("single", labels.length <= 5 || page.classes.some((label) => String(label).length > 16));
  if (!made.length) made.push(el("p", { className: "note" }, "No class has that in its name. N makes a new one."));
  box.replaceChildren(...made);
  box.scrollTop = 0;
}

// Keys in the order shown; but who sees a 4, and a class of that name, presses 4.
function keysOf(labels) {
  const own = new Set(page.classes.map(String).filter((name) => /^\d$/.test(name)));
  const free = [..."1234567890"].filter((digit) => !own.has(digit));
  const keys = new Map();
  for (const label of labels) {
    const shown = own.has(String(label)) ? String(label) : free.shift();
    if (shown) keys.set(label, shown);
  }
  return keys;
}

function titleOptions(question) {
  const note = $("ask-note");
  let text = "";
  $("ask-title").textContent = page.mode === "review" ? "Is the label right?" : "What is it?";
  if (page.editing) $("ask-title").textContent = "What is it really?";
  else if (page.mode === "review") {
    text = Object.keys(question.said || {}).length > 1
      ? "People differ here. What is said now counts."
      : "The student, which has not seen this label, disagrees. What is said now counts.";
  } else if (question.source === "audit") {
    text = "Part of the random sample that measures the student, so without suggestions.";
  } else if (!question.suggestions.length) text = "No suggestions yet.";
  note.textContent = text;
  note.hidden = !text;
}

function holders(question, label) {
  if (page.editing) return same(page.editing.label, label) ? "your answer" : "";
  if (page.mode !== "review") return "";
  const names = Object.entries(question.said || {}).filter(([, said]) => same(said, label)).map(([name]) => name);
  if (names.length) return names.join(", ");
  return same(question.label, label) ? "labeled so" : "";
}

const fold = (text) => String(text).normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[_\-\s]+/g, " ").trim();

const looks = (text) => text.normalize("NFC").replace(/\p{Cf}/gu, "").replace(/\s+/g, " ").trim();

function matches(labels, wanted) {
  const rank = (label) => {
    const name = fold(label);
    if (name === wanted) return 0;
    if (name.startsWith(wanted)) return 1;
    if (name.split(" ").some((word) => word.startsWith(wanted))) return 2;
    if (wanted.split(" ").every((word) => name.includes(word))) return 3;
    return 9;
  };
  return labels.map((label) => [rank(label), label]).filter(([at]) => at < 9)
    .sort(([one], [other]) => one - other).map(([, label]) => label);
}

function seconds() {
  const now = performance.now();
  const away = page.hiddenFor + (page.hiddenSince === null ? 0 : now - page.hiddenSince);
  const spent = (now - page.shownAt - away) / 1000;
  return spent > LONGEST ? null : Math.round(spent * 1000) / 1000;
}

function bounced(event) {
  return event && (event.repeat || performance.now() - page.shownAt < BOUNCE);
}

function answer(label, event) {
  const kind = page.mode === "review" ? "relabel" : "tell";
  give(kind, label, event);
}

function give(kind, label, event) {
  const question = page.current;
  if (!question || bounced(event)) return;
  const pressed = event ? event.timeStamp : performance.now();
  const said = { skip: "Skipped.", reject: "Bad item." };
  page.spoken = said[kind] || `${label}.`;
  if (kind === "skip" && page.mode === "review") { // later, it says nothing about the item
    page.reviewed.add(question.key);
    return nextReview();
  }
  post("answer", { kind, key: question.key, label, seconds: seconds() });
  page.answered.add(question.key);
  $("search").value = "";
  if (page.editing) return stopEditing();
  if (page.mode === "review") { page.reviewed.add(question.key); nextReview(); }
  else next();
  measure(pressed);
}

function measure(pressed) {
  const picture = $("item").querySelector("img");
  const ready = picture && page.current ? picture.decode().catch(() => {}) : Promise.resolve();
  if (!page.current) return;
  ready.then(() => requestAnimationFrame(() => setTimeout(() => {
    window.labeling.timings.push(performance.now() - pressed);
  })));
}

function undo(event) {
  if (event && event.repeat) return;
  if (page.editing) stopEditing();
  post("undo", {});
}

function startNaming() {
  if (!page.current || page.mode !== "ask") return;
  $("naming-name").value = $("search").value;
  $("naming").showModal();
  $("naming-name").focus();
}

function addClass() {
  let name = $("naming-name").value.trim();
  if (!name) return $("naming-name").focus();
  if (typeof page.classes[0] === "number" && /^-?\d+$/.test(name)) name = Number(name);
  $("naming").close();
  const known = page.classes.find((label) => typeof label === "string" && looks(label) === looks(String(name)));
  if (known !== undefined) name = known;
  if (!page.classes.includes(name)) post("class", { name });
  give("tell", name);
}

// Change what was said

function edit(entry) {
  if (page.mode !== "ask") setMode("ask");
  if (!page.editing) page.before = page.current;
  page.editing = entry;
  $("banner-text").textContent = entry.kind === "answered"
    ? `You said “${entry.label}”. Choose again to change it.`
    : `You ${entry.kind} this. Choose a class to change that.`;
  $("banner").hidden = false;
  call("item", { index: entry.index, key: entry.key }).then((reply) => {
    if (page.editing !== entry) return;
    show({ ...entry, show: reply.show, suggestions: [], copies: [], source: "history" });
    $("item").focus({ preventScroll: true });
  }).catch((error) => { problem(error.text || String(error)); stopEditing(); });
}

function stopEditing() {
  page.editing = null;
  $("banner").hidden = true;
  show(page.before || draw());
  page.before = null;
}

// Confirm

function fillClassMenu() {
  const menu = $("confirm-class");
  const chosen = menu.value;
  const sure = (page.state && page.state.sure) || [];
  const made = page.classes.map((label, at) => {
    const counts = sure[at];
    const text = counts ? `${label} (${counts.sure} sure)` : String(label);
    return el("option", { value: String(at) }, text);
  });
  menu.replaceChildren(...made);
  if (chosen) menu.value = chosen;
}

function bestClass(except) {
  const sure = (page.state && page.state.sure) || [];
  let best = null;
  sure.forEach((counts, at) => {
    if (at !== except && counts.rows && (best === null || counts.sure > sure[best].sure)) best = at;
  });
  return best;
}

async function loadGrid(at) {
  const menu = $("confirm-class");
  if (at === undefined) at = page.confirming === null ? bestClass() ?? 0 : page.confirming;
  page.confirming = at;
  menu.value = String(at);
  $("confirm-name").textContent = `“${page.classes[at]}”`;
  const ticket = (page.ticket = (page.ticket || 0) + 1);
  page.gridBusy = true;
  try {
    const reply = await call("confirm", { class: at, n: gridSize() });
    if (ticket !== page.ticket) return;
    page.grid = reply.questions;
    showGrid(reply.note);
  } catch (error) {
    if (ticket !== page.ticket) return;
    page.grid = [];
    showGrid(error.text || String(error));
  }
  page.gridBusy = false;
}

function gridSize() { // as many as are seen at once: nobody should accept what is below the fold
  const [width, height] = GRID[page.start.kind === "image" ? "image" : "other"];
  const box = $("grid").getBoundingClientRect();
  const phone = window.innerWidth <= 760;
  const columns = phone ? (page.start.kind === "image" ? 3 : 1) : Math.floor(box.width / (width + 8));
  const whole = phone ? 0.62 * window.innerHeight : box.height;
  const rows = Math.max(1, Math.round((whole - 8) / height));
  $("grid").style.setProperty("--tile", `${Math.floor((whole - 8) / rows) - 20}px`);
  return Math.max(3, Math.min(60, columns * rows));
}

function showGrid(text) {
  page.wrong.clear();
  page.gridAt = 0;
  page.shownAt = performance.now();
  const box = $("grid");
  box.classList.toggle("wide", page.start.kind !== "image");
  const tiles = page.grid.map((question, at) => {
    const share = question.suggestions.length ? percent(question.suggestions[0][1]) : "";
    const tile = el("button", { type: "button", className: "tile", tabIndex: at ? -1 : 0 }, thumb(question));
    tile.setAttribute("aria-pressed", "false");
    tile.setAttribute("aria-label", `Item ${question.index}, ${share}: ${words(question.show)}`);
    tile.onclick = () => { moveTo(at); mark(at); };
    return tile;
  });
  if (!tiles.length) {
    tiles.push(el("p", { className: "note" }, text ||
      `Nothing is left that looks like “${page.classes[page.confirming]}”. Press C for the next class.`));
  }
  box.replaceChildren(...tiles);
  box.scrollTop = 0;
  if (page.grid.length) box.firstChild.focus({ preventScroll: true });
  countGrid();
}

function mark(at) {
  const question = page.grid[at];
  if (!page.wrong.delete(question.key)) page.wrong.add(question.key);
  $("grid").children[at].setAttribute("aria-pressed", page.wrong.has(question.key));
  countGrid();
}

function countGrid() {
  const right = page.grid.length - page.wrong.size;
  $("accept").disabled = !page.grid.length;
  $("accept").firstChild.textContent = `Accept ${right} `;
  $("confirm-count").textContent = page.wrong.size ? `${page.wrong.size} marked as wrong` : "";
}

function moveTo(at) {
  const tiles = $("grid").children;
  if (!page.grid.length) return;
  tiles[page.gridAt].tabIndex = -1;
  page.gridAt = Math.max(0, Math.min(page.grid.length - 1, at));
  tiles[page.gridAt].tabIndex = 0;
  tiles[page.gridAt].focus();
}

function accept(event) {
  if (!page.grid.length || page.gridBusy) return;
  if (event && (event.repeat || performance.now() - page.shownAt < BOUNCE_GRID)) return;
  page.gridBusy = true;
  post("accept", {
    class: page.classes[page.confirming],
    keys: page.grid.map((question) => question.key),
    wrong: [...page.wrong],
    seconds: seconds(),
  });
  for (const question of page.grid) page.answered.add(question.key);
  say(`${page.grid.length - page.wrong.size} labels.`, true);
}

function nextClass() {
  const n = page.classes.length;
  const sure = (page.state && page.state.sure) || [];
  let at = (page.confirming + 1) % n;
  for (let tries = 0; tries < n && sure.length === n && !sure[at].rows; tries++) at = (at + 1) % n;
  loadGrid(at);
}

// Review

async function loadReview() {
  try {
    const reply = await call("review", {});
    if (page.mode !== "review") return;
    page.review = reply.questions;
    page.looking = reply.looking;
    if (!page.current) nextReview();
    if (page.looking && !page.current) {
      clearTimeout(page.lookAgain);
      page.lookAgain = setTimeout(loadReview, 800);
    }
  } catch (error) { problem(error.text || String(error)); }
}

function nextReview() {
  const left = page.review.filter((question) => !page.reviewed.has(question.key));
  for (const question of left.slice(0, 4)) preload(question);
  show(left[0] || null);
}

// What is beside

function thumb(item) {
  if (page.start.kind === "image" && !item.show.error) {
    return el("img", { className: "thumb", src: media("thumbnail", item), alt: "", loading: "lazy" });
  }
  const text = words(item.show);
  return el("span", { className: "thumb words", title: text.slice(0, 1000) }, text);
}

function words(shown) {
  if (shown.error) return shown.error;
  if (shown.text !== undefined) return shown.text;
  if (shown.values) return shown.values.map((value, at) => `${shown.columns[at]}: ${value}`).join(", ");
  return shown.name;
}

function showState() {
  const { progress, student, first, errors, review, history } = page.state;
  const names = { fitting: "The student is learning…", ready: "The student is up to date", waiting: "The student waits for labels of two classes", failed: "The student could not be fitted" };
  $("student-text").textContent = first && progress.labels
    ? "The first student is learning. Until it is there, items come by chance." : names[student];
  if (page.first && !first && page.mode === "confirm" && !page.grid.length && !page.gridBusy) loadGrid();
  page.first = first;
  $("student").querySelector(".dot").className = `dot ${student}`;
  document.body.dataset.student = student;
  $("figure-labels").textContent = progress.labels;
  $("figure-minutes").textContent = progress.minutes < 10 ? progress.minutes.toFixed(1) : Math.round(progress.minutes);
  $("figure-seconds").textContent = progress.seconds_per_label === null ? "–" : progress.seconds_per_label.toFixed(1);
  const accuracy = progress.accuracy;
  $("figure-accuracy").textContent = accuracy ? percent(accuracy.accuracy) : "–";
  $("interval").textContent = accuracy
    ? `Between ${percent(accuracy.low)} and ${percent(accuracy.high)}, by ${accuracy.n} random ${accuracy.n === 1 ? "item" : "items"}.`
    : progress.by_source.audit ? "The accuracy is being measured." : "Accuracy comes with the first answers of the random sample.";
  showCurve(progress.curve);
  const worth = progress.next_50;
  $("worth").hidden = worth === null || /another 50/i.test(progress.advice);
  if (worth !== null) $("worth").textContent = `Another 50 labels are worth about ${(100 * worth).toFixed(1)} points.`;
  $("advice").textContent = progress.advice;
  $("advice").classList.toggle("stop", progress.stop);
  $("review-count").hidden = !review;
  $("review-count").textContent = review;
  $("review-count").setAttribute("aria-label", `${review} to look at`);
  if (errors.length && !page.stuck && errors.join(" ") !== page.dismissed) problem(errors.join(" "));
  else if (page.fromState && !errors.length && !page.stuck) hideProblem();
  page.fromState = errors.length > 0;
  showHistory(history);
  fillClassMenu();
  if (page.mode === "ask" && !page.current) showItem(null);
}

function showHistory(history) {
  const mark = JSON.stringify(history.map((entry) => [entry.key, entry.kind, entry.label]));
  if (mark === page.historyMark) return;
  page.historyMark = mark;
  const wide = page.start.kind !== "image";
  const active = document.activeElement && document.activeElement.dataset.key;
  const made = history.map((entry) => {
    const label = entry.kind === "answered" ? String(entry.label) : entry.kind === "skipped" ? "skipped" : "bad item";
    const button = el("button", { type: "button", className: `past ${entry.kind}${wide ? " wide" : ""}` },
      thumb(entry), el("span", { className: "name" }, label));
    button.setAttribute("aria-label", `${label}: change the answer on item ${entry.index}, ${words(entry.show)}`);
    button.dataset.key = entry.key;
    button.onclick = () => edit(entry);
    return el("span", { role: "listitem" }, button);
  });
  $("history").replaceChildren(...made);
  if (active) {
    const again = $("history").querySelector(`[data-key="${CSS.escape(active)}"]`);
    if (again) again.focus({ preventScroll: true });
  }
}

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function showCurve(points) {
  const mark = JSON.stringify(points);
  if (mark === page.curveMark) return;
  page.curveMark = mark;
  $("curve-box").hidden = points.length < 2;
  if (points.length < 2) return;
  const [width, height, left, bottom] = [240, 110, 26, 16];
  const most = points[points.length - 1].labels;
  const x = (labels) => left + (width - left - 6) * (labels / most);
  const y = (share) => 6 + (height - bottom - 6) * (1 - share);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  drawn.setAttribute("aria-label", points.map((point) => `${point.labels} labels: ${percent(point.accuracy)}`).join("; "));
  for (const share of [0, 0.5, 1]) {
    drawn.append(svg("line", { class: "axis", x1: left, x2: width, y1: y(share), y2: y(share) }));
    drawn.append(svg("text", { x: left - 5, y: y(share) + 3, "text-anchor": "end" }, String(100 * share)));
  }
  const high = points.map((point) => `${x(point.labels)},${y(point.high)}`);
  const low = points.map((point) => `${x(point.labels)},${y(point.low)}`).reverse();
  drawn.append(svg("polygon", { class: "band", points: [...high, ...low].join(" ") }));
  drawn.append(svg("polyline", { class: "line", points: points.map((point) => `${x(point.labels)},${y(point.accuracy)}`).join(" ") }));
  for (const point of points) drawn.append(svg("circle", { class: "point", r: 2.6, cx: x(point.labels), cy: y(point.accuracy) }));
  drawn.append(svg("text", { x: width - 2, y: height - 3, "text-anchor": "end" }, `${most} labels`));
  $("curve").replaceChildren(drawn);
}

function fillGuideline() {
  $("guideline-text").textContent = page.start.guideline || "";
  const texts = new Map(page.start.guidelines);
  const made = page.classes.map((label, at) => {
    const examples = el("div", { className: "examples" });
    const part = el("details", {}, el("summary", {}, String(label)),
      texts.has(label) ? el("p", {}, texts.get(label)) : null, examples);
    part.ontoggle = async () => {
      if (!part.open) return;
      try {
        const reply = await call("examples", { class: at });
        const shown = reply.examples.map((item) => thumb(item));
        examples.replaceChildren(...(shown.length ? shown : ["No item is labeled so yet."]));
      } catch (error) { examples.replaceChildren(error.text || String(error)); }
    };
    return part;
  });
  $("guideline-classes").replaceChildren(...made);
}

function say(text, loud = false) {
  $("said").textContent = text;
  if (!loud) return;
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(page.toasting);
  page.toasting = setTimeout(() => { $("toast").hidden = true; }, 2200);
}

function problem(text, retry = false) {
  if (page.over) return; // what was under way fails, as the server has ended
  if ($("problem-text").textContent !== text) $("problem-text").textContent = text;
  $("problem-retry").hidden = !retry;
  $("problem").hidden = false;
}

function hideProblem() {
  $("problem").hidden = true;
  $("problem-text").textContent = "";
}

function setMode(mode) {
  if (page.editing) stopEditing();
  if (page.mode === "ask" && mode !== "ask") page.kept = page.current;
  const before = page.mode;
  page.mode = mode;
  for (const name of ["ask", "confirm", "review"]) {
    $(`mode-${name}`).setAttribute("aria-pressed", name === mode);
  }
  $("confirm").hidden = mode !== "confirm";
  $("stage").hidden = $("answers").hidden = mode === "confirm";
  $("search").value = "";
  document.body.dataset.mode = mode;
  if (mode === "confirm") { page.confirming = null; loadGrid(); }
  if (mode === "review") {
    page.reviewed.clear();
    page.looking = true;
    show(null);
    loadReview();
  }
  if (mode === "ask" && before !== "ask") {
    const kept = page.kept && !page.answered.has(page.kept.key) ? page.kept : null;
    show(kept || draw());
    refresh();
  }
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

// Keys

function searchKey(event) {
  const options = [...$("options").querySelectorAll(".option")];
  if (event.key === "Escape") {
    $("search").value = "";
    $("search").blur();
    showOptions();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    options[page.found]?.classList.remove("found");
    page.found = Math.max(0, Math.min(options.length - 1, page.found + (event.key === "ArrowDown" ? 1 : -1)));
    options[page.found]?.classList.add("found");
    options[page.found]?.scrollIntoView({ block: "nearest" });
    if (options[page.found]) $("said").textContent = options[page.found].querySelector(".name").textContent;
  } else if (event.key === "Enter") {
    if (fold($("search").value) && page.choices.length) {
      const label = page.choices[page.found];
      $("search").blur();
      answer(label, event);
    }
  } else return;
  event.preventDefault();
}

function gridKey(event) {
  const columns = () => {
    const tiles = [...$("grid").children];
    const top = tiles[0] ? tiles[0].offsetTop : 0;
    return Math.max(1, tiles.filter((tile) => tile.offsetTop === top).length);
  };
  const steps = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: () => columns() };
  if (steps[event.key]) moveTo(page.gridAt + steps[event.key]());
  else if (event.key === "Home") moveTo(0);
  else if (event.key === "End") moveTo(page.grid.length - 1);
  else if (event.key === " ") { if (page.grid.length && !event.repeat) mark(page.gridAt); }
  else if (event.key === "Enter") accept(event);
  else if (event.key.toLowerCase() === "c") nextClass();
  else return false;
  return true;
}

const COMMANDS = {
  u: undo, s: (event) => give("skip", null, event), x: (event) => page.mode === "ask" && give("reject", null, event),
  n: startNaming, "+": startNaming, z: zoom, b: toggleBackdrop,
  "[": () => brighten(-0.2), "]": () => brighten(0.2), p: playOrPause,
  a: () => setMode("ask"), c: () => setMode("confirm"), r: () => setMode("review"),
  h: () => $("history").querySelector("button")?.focus(), "?": () => $("help").showModal(),
  "/": () => { if (!$("search-box").hidden) $("search").focus(); },
};

function playOrPause() {
  const player = $("item").querySelector("audio");
  if (player) { if (player.paused) player.play(); else player.pause(); }
}

function onKey(event) {
  if (page.over || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target === $("search")) return searchKey(event);
  if (event.target.matches("input:not([type=range]), select, textarea")) return;
  const onControl = event.target.matches("button, summary, audio, input");
  const onTile = event.target.matches(".tile");
  if (page.mode === "confirm" && (!onControl || onTile || !["Enter", " "].includes(event.key)) && gridKey(event)) {
    return event.preventDefault();
  }
  if (event.key === "Escape" && page.editing) return stopEditing();
  if (onControl && ["Enter", " "].includes(event.key)) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (page.mode !== "confirm" && page.keyOf && page.keyOf.has(name)) {
    event.preventDefault();
    return answer(page.keyOf.get(name), event);
  }
  const confirming = page.mode === "confirm" && ["s", "x", "n", "+"].includes(name);
  if (COMMANDS[name] && !confirming && !event.repeat) {
    event.preventDefault();
    return COMMANDS[name](event);
  }
  if (!$("search-box").hidden && /^\p{L}$/u.test(event.key) && page.mode !== "confirm") {
    $("search").focus(); // the letter itself arrives there
  }
}

function arrange() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => {
    const now = performance.now();
    if (document.hidden) page.hiddenSince = now;
    else {
      if (page.hiddenSince !== null) page.hiddenFor += now - page.hiddenSince;
      page.hiddenSince = null;
      refresh();
    }
  });
  for (const mode of ["ask", "confirm", "review"]) $(`mode-${mode}`).onclick = () => setMode(mode);
  $("undo").onclick = $("confirm-undo").onclick = () => undo();
  $("skip").onclick = (event) => give("skip", null, event);
  $("reject").onclick = (event) => give("reject", null, event);
  $("new-class").onclick = startNaming;
  $("naming-form").onsubmit = (event) => { event.preventDefault(); addClass(); };
  $("naming-cancel").onclick = () => $("naming").close();
  $("search").oninput = showOptions;
  $("zoom").onclick = zoom;
  $("brightness").oninput = () => brighten(0);
  $("backdrop").onclick = toggleBackdrop;
  $("banner-close").onclick = stopEditing;
  $("accept").onclick = () => accept();
  $("confirm-class").onchange = () => loadGrid(Number($("confirm-class").value));
  $("problem-retry").onclick = send;
  $("problem-close").onclick = () => { page.dismissed = $("problem-text").textContent; hideProblem(); };
  $("help-open").onclick = () => $("help").showModal();
  $("finish").onclick = () => $("finishing").showModal();
  $("finishing").onclose = () => { if ($("finishing").returnValue === "yes") finish(); $("finishing").returnValue = ""; };
  $("order").onclick = () => {
    page.fixed = !page.fixed;
    store.set("localStorage", "fixed", page.fixed);
    showOptions();
  };
  $("theme").onclick = () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    setTheme(dark ? "light" : "dark");
    store.set("localStorage", "theme", dark ? "light" : "dark");
  };
  $("annotator").onchange = () => {
    page.annotator = $("annotator").value.trim() || page.start.annotator;
    $("annotator").value = page.annotator;
    store.set("sessionStorage", "annotator", page.annotator);
    page.answered.clear();
    page.queue = [];
    show(null);
    $("annotator").blur();
    refresh();
  };
}

async function begin() {
  setTheme(store.get("localStorage", "theme"));
  document.body.dataset.mode = "ask";
  arrange();
  for (;;) {
    try { page.start = await call("start", {}); break; } catch (error) {
      problem(error.text || String(error));
      await new Promise((done) => { setTimeout(done, 2000); });
    }
  }
  hideProblem();
  document.title = page.start.title;
  $("title").textContent = page.start.title;
  $("finish").hidden = !page.start.finish;
  const asked = new URLSearchParams(location.search).get("annotator");
  page.annotator = asked || store.get("sessionStorage", "annotator") || page.start.annotator;
  $("annotator").value = page.annotator;
  takeOutboxes();
  showItem(null);
  refresh();
}

begin();
