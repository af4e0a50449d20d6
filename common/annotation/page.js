// The annotation page. Everything it shows comes from the JSON block `data`, and reaches the document as text
// (textContent) only, so no caption can become markup. Everything an annotator does changes `state`, which is
// saved in the browser at once.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const texts = data.texts;
// An item that comes a second time has a label of its own; others have the key that older pages kept.
const keyOf = (idx, repeat) => (repeat ? `${idx} again` : String(idx));
const byKey = new Map(data.items.map((item, position) => {
  item.key = keyOf(item.idx, item.repeat);
  return [item.key, { ...item, position }];
}));
const element = (id) => document.getElementById(id);
const IDLE = 60; // seconds without a key or a click after which the clock stands still
const SETTLE = 300; // milliseconds that an item is on screen before a key can label it
const FOLD_AFTER = 10; // labeled items after which the definitions fold by themselves

// ---- state: labels and seconds on screen by key, where we are, and a revision that only ever grows

const blankLabel = () => ({ category: "", ambiguous_subtype: "", note: "", skipped: false });
const state = { revision: 0, exported: 0, seconds: 0, position: 0, times: {}, labels: {} };
const past = [], future = []; // to undo and to redo: {position, labels: {key: label before}}
let lastActivity = Date.now();
let shows = 0, shownAt = Infinity; // when both pictures of the item were there to be seen
let waiting = null; // for a subtype: {moves: whether the page moves on then, since}

function labelOf(key) {
  return state.labels[key] ?? blankLabel();
}

function doneCount(part) {
  return data.items.filter((item) => (!part || item.part === part) && labelOf(item.key).category).length;
}

function change(changes, undoable = true) {
  if (undoable) {
    const labels = Object.fromEntries(Object.keys(changes).map((key) => [key, labelOf(key)]));
    past.push({ position: state.position, labels });
    future.length = 0;
  }
  for (const [key, label] of Object.entries(changes)) state.labels[key] = label;
  state.revision += 1;
  save();
}

// ---- the browser's storage

function save() {
  try {
    localStorage.setItem(data.storage_key, JSON.stringify(state));
    element("trouble").hidden = true;
  } catch {
    trouble(texts.trouble_storage);
  }
}

function trouble(text) {
  element("trouble").textContent = text;
  element("trouble").hidden = false;
}

function adopt(kept) {
  // Only what this page can show: another version of it may have had other items.
  const whole = (value) => (Number.isSafeInteger(value) && value >= 0 ? value : 0);
  for (const name of ["revision", "exported", "seconds"]) state[name] = whole(kept[name]);
  state.position = Math.min(whole(kept.position), data.items.length - 1);
  state.times = {}; // older pages kept none
  for (const [key, seconds] of Object.entries(kept.times ?? {})) {
    if (byKey.has(key)) state.times[key] = whole(seconds);
  }
  state.labels = {};
  for (const [key, label] of Object.entries(kept.labels)) {
    if (!byKey.has(key)) continue;
    const legal = (labels, value) => (labels.some(({ name }) => name === value) ? value : "");
    state.labels[key] = Object.assign(blankLabel(), {
      category: legal(data.categories, label.category),
      ambiguous_subtype: legal(data.subtypes, label.ambiguous_subtype),
      note: String(label.note ?? ""),
      skipped: Boolean(label.skipped),
    });
  }
}

function restore() {
  let kept = null;
  try {
    kept = localStorage.getItem(data.storage_key);
    localStorage.setItem(data.storage_key + ":probe", "1");
    localStorage.removeItem(data.storage_key + ":probe");
  } catch {
    trouble(texts.trouble_storage);
  }
  if (kept === null) return say(texts.said_fresh);
  try {
    adopt(JSON.parse(kept));
    say(texts.said_restored + foldByItself(), { done: doneCount() });
  } catch {
    try {
      localStorage.setItem(data.storage_key + ":damaged", kept);
    } catch {
      // The storage is full; the old text stays where it is until the next key.
    }
    trouble(texts.trouble_damaged);
  }
}

// ---- what is seen and said

function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// What happened, seen and spoken; `heard` follows it for screen readers alone, since the eye sees the item.
// `kind`: "ask" and "warn" stand out.
function say(text, values = {}, heard = "", kind = "") {
  element("said").dataset.kind = kind;
  element("said_text").textContent = fill(text, values);
  element("said_item").textContent = heard;
}

function warn(text, values = {}, heard = "") {
  say(text, values, heard, "warn");
}

function itemSpoken() {
  const { caption } = data.items[state.position];
  return fill(texts.said_item, { n: state.position + 1, total: data.items.length, caption });
}

function counts() {
  return { done: doneCount(), total: data.items.length, file: data.export_name };
}

function clock(seconds) {
  const two = (value) => String(value).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function showPhoto(image, row) {
  image.src = "data:image/jpeg;base64," + data.photos[row];
  // Small pictures are enlarged without smoothing, so that they stay sharp.
  image.onload = () => {
    image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) <= 240);
  };
}

function language(caption) {
  if (/[\u3400-\u9fff]/.test(caption)) return "zh-CN";
  return /^[\x00-\x7f]*$/.test(caption) ? "en" : "";
}

function showItem() {
  const item = data.items[state.position];
  const heading = element("caption");
  heading.textContent = item.caption;
  heading.lang = language(item.caption);
  heading.classList.toggle("long", item.caption.length > 160 && item.caption.length <= 500);
  heading.classList.toggle("longest", item.caption.length > 500);
  showPhoto(element("gt"), item.gt);
  showPhoto(element("pred"), item.pred);
  element("note").value = labelOf(item.key).note;
  waiting = null;
  // A key that comes before anybody can have seen the item must not label it.
  const serial = (shows += 1);
  shownAt = Infinity;
  Promise.allSettled(["gt", "pred"].map((side) => element(side).decode())).then(() => {
    if (serial === shows) shownAt = performance.now();
  });
  showState();
}

function justNow(time) {
  return performance.now() - time < SETTLE;
}

function showState() {
  const item = data.items[state.position];
  const label = labelOf(item.key);
  for (const button of document.querySelectorAll("[data-category]")) {
    button.setAttribute("aria-pressed", String(button.dataset.category === label.category));
  }
  const barred = label.category !== data.ambiguous;
  for (const button of document.querySelectorAll("[data-subtype]")) {
    button.setAttribute("aria-pressed", String(button.dataset.subtype === label.ambiguous_subtype));
    button.setAttribute("aria-disabled", String(barred));
  }
  element("subtypes").classList.toggle("waiting", waiting !== null);
  const part = (name) => data.items.filter((other) => other.part === name).length;
  element("position").textContent = fill(texts.position, { n: state.position + 1, total: data.items.length });
  element("done").textContent = fill(texts.done_count, counts());
  element("bar").value = doneCount();
  element("parts").textContent = fill(texts.parts_count, {
    overlap: doneCount("overlap"),
    overlap_total: part("overlap"),
    own: doneCount("own"),
    own_total: part("own"),
  });
  showTime();
}

function showTime() {
  element("time").textContent = fill(texts.time, { time: clock(state.seconds) });
}

// ---- moving

function go(position, spoken = true) {
  element("note").blur(); // its text belongs to the item that is left
  state.position = position;
  save();
  showItem();
  if (spoken) say("", {}, itemSpoken());
}

function step(by) {
  const position = state.position + by;
  if (position < 0) say(texts.said_first);
  else if (position >= data.items.length) say(texts.said_last);
  else go(position);
}

// The next item without a label, from here on and then from the start; skipped ones when no other is left.
function unlabelledAfter(start) {
  const n = data.items.length;
  const order = Array.from({ length: n }, (_, by) => (start + 1 + by) % n);
  const open = order.filter((position) => !labelOf(data.items[position].key).category);
  return open.find((position) => !labelOf(data.items[position].key).skipped) ?? open[0];
}

function goUnlabelled() {
  const position = unlabelledAfter(state.position);
  if (position === undefined) say(texts.said_all_done, counts());
  else go(position);
}

