// The annotation page. Everything it shows comes from the JSON block `data`, and reaches the document as text
// (textContent) only, so no caption can become markup. Everything an annotator does changes `state`, which is
// saved in the browser at once.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const texts = data.texts;
const byIdx = new Map(data.items.map((item, position) => [item.idx, { ...item, position }]));
const element = (id) => document.getElementById(id);
const RUNS = /^'*[=+\-@\t]/; // what a spreadsheet would take for a formula, as in the sheets
const IDLE = 60; // seconds without a key or a click after which the clock stands still

// ---- state: labels by idx, where we are, and a revision that only ever grows

const blankLabel = () => ({ category: "", ambiguous_subtype: "", note: "", skipped: false });
const state = { revision: 0, exported: 0, seconds: 0, position: 0, labels: {} };
const past = []; // for undo: {position, labels: {idx: label before}}
let lastActivity = Date.now();

function labelOf(idx) {
  return state.labels[idx] ?? blankLabel();
}

function doneCount(part) {
  return data.items.filter((item) => (!part || item.part === part) && labelOf(item.idx).category).length;
}

function change(changes, undoable = true) {
  if (undoable) {
    const labels = Object.fromEntries(Object.keys(changes).map((idx) => [idx, labelOf(idx)]));
    past.push({ position: state.position, labels });
  }
  for (const [idx, label] of Object.entries(changes)) state.labels[idx] = label;
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
  state.labels = {};
  for (const [idx, label] of Object.entries(kept.labels)) {
    if (!byIdx.has(Number(idx))) continue;
    const legal = (labels, value) => (labels.some(({ name }) => name === value) ? value : "");
    state.labels[idx] = Object.assign(blankLabel(), {
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
    say(texts.said_restored, { done: doneCount() });
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
function say(text, values = {}, heard = "") {
  element("said_text").textContent = fill(text, values);
  element("said_item").textContent = heard;
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
  element("note").value = labelOf(item.idx).note;
  showState();
}

function showState() {
  const item = data.items[state.position];
  const label = labelOf(item.idx);
  for (const button of document.querySelectorAll("[data-category]")) {
    button.setAttribute("aria-pressed", String(button.dataset.category === label.category));
  }
  const barred = label.category !== "" && label.category !== data.ambiguous;
  for (const button of document.querySelectorAll("[data-subtype]")) {
    button.setAttribute("aria-pressed", String(button.dataset.subtype === label.ambiguous_subtype));
    button.setAttribute("aria-disabled", String(barred));
  }
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
  const open = order.filter((position) => !labelOf(data.items[position].idx).category);
  return open.find((position) => !labelOf(data.items[position].idx).skipped) ?? open[0];
}

function goUnlabelled() {
  const position = unlabelledAfter(state.position);
  if (position === undefined) say(texts.said_all_done, counts());
  else go(position);
}

// ---- labelling

function setCategory(name) {
  const { idx } = data.items[state.position];
  const before = labelOf(idx);
  if (before.category === name) return afterLabel(before, name !== data.ambiguous);
  const subtype = name === data.ambiguous ? before.ambiguous_subtype : "";
  change({ [idx]: { ...before, category: name, ambiguous_subtype: subtype, skipped: false } });
  showState();
  afterLabel(before, name !== data.ambiguous);
}

function setSubtype(name) {
  const { idx } = data.items[state.position];
  const before = labelOf(idx);
  if (before.category && before.category !== data.ambiguous) {
    const { key } = data.categories.find((label) => label.name === data.ambiguous);
    return say(texts.said_subtype_only, { key });
  }
  change({ [idx]: { ...before, category: data.ambiguous, ambiguous_subtype: name, skipped: false } });
  showState();
  afterLabel(before.ambiguous_subtype ? before : blankLabel(), true);
}

// After the first label of an item the page moves on; a label that is changed later stays in view.
function afterLabel(before, complete) {
  const label = labelOf(data.items[state.position].idx);
  const title = (labels, name) => labels.find((each) => each.name === name)?.title;
  const shown = [title(data.categories, label.category), title(data.subtypes, label.ambiguous_subtype)];
  const said = fill(texts.said_label, { ...counts(), label: shown.filter(Boolean).join(", ") });
  if (!complete && !label.ambiguous_subtype) {
    return say(texts.said_subtype_next, { keys: data.subtypes.map(({ key }) => key).join(" / ") });
  }
  if (doneCount() === data.items.length) return say(said + " " + fill(texts.said_all_done, counts()));
  if (before.category || !complete || !element("advance").checked) return say(said);
  go(unlabelledAfter(state.position), false);
  say(said, {}, itemSpoken());
}

function clearLabel() {
  const { idx } = data.items[state.position];
  change({ [idx]: { ...labelOf(idx), category: "", ambiguous_subtype: "" } });
  showState();
  say(texts.said_cleared);
}

function skip() {
  const { idx } = data.items[state.position];
  if (!labelOf(idx).category) change({ [idx]: { ...labelOf(idx), skipped: true } });
  const position = unlabelledAfter(state.position);
  if (position === undefined) return say(texts.said_all_done, counts());
  go(position, false);
  say(texts.said_skipped, {}, itemSpoken());
}

function undo() {
  const last = past.pop();
  if (!last) return say(texts.said_nothing_to_undo);
  change(last.labels, false);
  go(last.position, false);
  say(texts.said_undone, {}, itemSpoken());
}

let noteBefore = null;

function noteBegun() {
  const { idx } = data.items[state.position];
  noteBefore = { idx, label: labelOf(idx) };
}

function noteTyped() {
  const { idx } = data.items[state.position];
  change({ [idx]: { ...labelOf(idx), note: element("note").value } }, false);
}

function noteLeft() {
  if (noteBefore && noteBefore.label.note !== labelOf(noteBefore.idx).note) {
    const before = { ...labelOf(noteBefore.idx), note: noteBefore.label.note };
    past.push({ position: byIdx.get(noteBefore.idx).position, labels: { [noteBefore.idx]: before } });
  }
  noteBefore = null;
}

// ---- export

function cell(value) {
  const text = String(value);
  return /[",;\t\r\n]|^\s|\s$/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function guarded(text) {
  return RUNS.test(text) ? "'" + text : text;
}

function unguarded(text) {
  return text.startsWith("'") && RUNS.test(text) ? text.slice(1) : text;
}

function exported() {
  const rows = [...data.items].sort((a, b) => a.idx - b.idx).map((item) => {
    const label = labelOf(item.idx);
    const values = {
      idx: item.idx, caption: guarded(item.caption), gt_img_idx: item.gt, pred_img_idx: item.pred,
      category: label.category, ambiguous_subtype: label.ambiguous_subtype, note: guarded(label.note),
      revision: state.revision,
    };
    return [...data.columns, "revision"].map((column) => cell(values[column])).join(",");
  });
  return "\ufeff" + [[...data.columns, "revision"].join(","), ...rows].join("\n") + "\n";
}

function exportFile() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([exported()], { type: "text/csv;charset=utf-8" }));
  link.download = data.export_name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  state.exported = state.revision;
  save();
  say(texts.said_exported, { ...counts(), revision: state.revision });
}

// ---- loading a sheet: an export, or one that was filled in a spreadsheet and saved as CSV

// The same characters play no part here as in common/spellings.py; a test compares the two.
const NO_PART = /[\s\-_/\\.'"`´‘’“”\u00ad\u200b-\u200f\u2010-\u2015\u2212\u2060\ufeff]+/g;

function squeezed(text) {
  return text.normalize("NFKC").replace(NO_PART, "").toLowerCase();
}

function plain(text) {
  return text.split(/\s+/).filter(Boolean).join(" ");
}

function sameCaption(written, caption) {
  const readings = [written, unguarded(written), unguarded(written.trimStart())];
  return readings.some((text) => plain(text) === plain(caption));
}

// The texts that the bytes could stand for; the one in which most captions match is taken.
function decodings(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return [new TextDecoder("utf-16le").decode(bytes)];
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return [new TextDecoder("utf-16be").decode(bytes)];
  const found = [];
  for (const name of ["utf-8", "gb18030", "windows-1252"]) {
    try {
      found.push(new TextDecoder(name, { fatal: true }).decode(bytes));
    } catch {
      // Not this encoding.
    }
  }
  return found;
}

function parseCsv(text) {
  const header = text.slice(0, (text + "\n").indexOf("\n")).replace(/"[^"]*"/g, "");
  const count = (mark) => header.split(mark).length;
  const delimiter = [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
  const rows = [];
  let row = [], value = "", quoted = false, begun = false;
  const endCell = () => { row.push(value); value = ""; begun = false; };
  const endRow = () => { endCell(); if (row.some((each) => each.trim())) rows.push(row); row = []; };
  for (let at = 0; at < text.length; at += 1) {
    const mark = text[at];
    if (quoted) {
      if (mark !== '"') value += mark;
      else if (text[at + 1] === '"') { value += '"'; at += 1; }
      else quoted = false;
    } else if (mark === '"' && !begun) { quoted = true; begun = true; }
    else if (mark === delimiter) endCell();
    else if (mark === "\n" || mark === "\r") {
      if (mark === "\r" && text[at + 1] === "\n") at += 1;
      endRow();
    } else { value += mark; begun = true; }
  }
  if (value || row.length) endRow();
  return rows;
}

function records(text) {
  const [header = [], ...rows] = parseCsv(text);
  const names = header.map((name) => data.spellings.columns[squeezed(name)] ?? name.trim());
  const named = (row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? ""]));
  return { names, rows: rows.map(named) };
}

// What one row asks for: {label} where it can be taken, {reason} where it is refused, {} where it is blank.
function readRow(row) {
  const written = { category: (row.category ?? "").trim(), subtype: (row.ambiguous_subtype ?? "").trim() };
  const note = unguarded(row.note ?? "");
  const item = /^\d+(\.0+)?$/.test(row.idx.trim()) ? byIdx.get(parseInt(row.idx, 10)) : undefined;
  const refuse = (text, value = "") => ({ reason: fill(text, { idx: item?.idx ?? row.idx, value }) });
  if (!item) return refuse(texts.load_not_here);
  if (!sameCaption(row.caption, item.caption)) return refuse(texts.load_caption);
  if (!written.category && !written.subtype && !note.trim()) return {};
  const category = data.spellings.categories[squeezed(written.category)] ?? "";
  const subtype = data.spellings.subtypes[squeezed(written.subtype)] ?? "";
  if (written.category && !category) return refuse(texts.load_category, written.category);
  if (written.subtype && !subtype) return refuse(texts.load_subtype, written.subtype);
  if (subtype && category !== data.ambiguous) return refuse(texts.load_subtype_alone);
  return { item, label: { category, ambiguous_subtype: subtype, note } };
}

function readRows(rows) {
  const taken = {}, refused = [];
  let blank = 0, revision = 0;
  rows.forEach((row, at) => {
    const { item, label, reason } = readRow(row);
    revision = Math.max(revision, parseInt(row.revision, 10) || 0);
    if (reason) refused.push({ row: at + 2, reason });
    else if (!label) blank += 1;
    else if (item.idx in taken && JSON.stringify(taken[item.idx]) !== JSON.stringify(label)) {
      refused.push({ row: at + 2, reason: fill(texts.load_twice, { idx: item.idx }) });
    } else taken[item.idx] = label;
  });
  return { taken, refused, blank, revision };
}

function load(bytes, name) {
  const person = /^assign_(?:overlap_|page_)?([A-Za-z0-9]+)\s*(?:\(\d+\))?\.\w+$/.exec(name)?.[1];
  if (person && ![data.annotator, "overlap", "backup"].includes(person)) {
    return report(name, fill(texts.load_other_person, { other: person, name: data.annotator }));
  }
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return report(name, texts.load_not_csv);
  const readings = decodings(bytes).map((text) => records(text.replace(/^\ufeff/, "")));
  const needed = ["idx", "caption", "category"];
  const usable = readings.filter(({ names }) => needed.every((column) => names.includes(column)));
  if (!usable.length) return report(name, fill(texts.load_no_columns, { columns: needed.join(", ") }));
  const results = usable.map(({ rows }) => readRows(rows));
  const best = results.reduce((a, b) => (b.refused.length < a.refused.length ? b : a));
  take(best, name);
}

function take({ taken, refused, blank, revision }, name) {
  const changes = {};
  let replaced = 0;
  for (const [idx, label] of Object.entries(taken)) {
    const before = labelOf(idx);
    // A blank cell never wipes out what is here.
    const after = { ...before, skipped: false, note: label.note.trim() ? label.note : before.note };
    if (label.category) {
      Object.assign(after, { category: label.category, ambiguous_subtype: label.ambiguous_subtype });
    }
    const fields = ["category", "ambiguous_subtype", "note"];
    const differs = fields.filter((field) => before[field] !== after[field]);
    if (!differs.length) continue;
    replaced += differs.some((field) => before[field]) ? 1 : 0;
    changes[idx] = after;
  }
  state.revision = Math.max(state.revision, revision);
  if (Object.keys(changes).length) change(changes);
  showItem();
  const summary = [fill(texts.load_taken, { n: Object.keys(changes).length, replaced })];
  if (blank) summary.push(fill(texts.load_blank, { n: blank }));
  if (refused.length) summary.push(fill(texts.load_refused, { n: refused.length }));
  report(name, summary.join(" "), refused.map(({ row, reason }) => fill(texts.load_row, { row, reason })));
}

function report(name, summary, rows = []) {
  element("load_title").textContent = fill(texts.load_title, { file: name });
  element("load_summary").textContent = summary;
  const shown = rows.slice(0, 20);
  if (rows.length > 20) shown.push(fill(texts.load_more, { n: rows.length - 20 }));
  element("load_rows").replaceChildren(...shown.map((text) => {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }));
  element("load_dialog").showModal();
  say(summary);
}

// ---- enlarging

function enlarge(side) {
  const dialog = element("large_dialog");
  if (dialog.open && dialog.dataset.side === side) return dialog.close();
  dialog.dataset.side = side;
  const item = data.items[state.position];
  element("large_title").textContent = texts[side + "_title"];
  element("large").alt = texts[side + "_alt"];
  showPhoto(element("large"), item[side]);
  if (!dialog.open) dialog.showModal();
}

// ---- keys and clicks

const actions = {
  previous: () => step(-1), next: () => step(1), skip, next_unlabelled: goUnlabelled, clear: clearLabel, undo,
  load: () => element("file").click(), export: exportFile, help: () => element("help_dialog").showModal(),
};
const keys = {
  arrowleft: actions.previous, arrowright: actions.next, s: skip, n: goUnlabelled, x: clearLabel, z: undo,
  l: actions.load, e: exportFile, "?": actions.help, h: actions.help,
  home: () => go(0), end: () => go(data.items.length - 1),
  m: () => element("note").focus(), g: () => enlarge("gt"), r: () => enlarge("pred"),
};
for (const { key, name } of data.categories) keys[key] = () => setCategory(name);
for (const { key, name } of data.subtypes) keys[key] = () => setSubtype(name);

// The key's own letter; on a keyboard whose letters are not Latin, the letter that stands there on others.
function pressed(event) {
  const name = event.key.toLowerCase();
  if (name in keys || /^[a-z]$/.test(name)) return name;
  return event.code.replace(/^(Key|Digit|Numpad)/, "").toLowerCase();
}

document.addEventListener("keydown", (event) => {
  lastActivity = Date.now();
  if (event.target === element("note")) {
    if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      element("note").blur();
    }
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.repeat && !event.key.startsWith("Arrow")) return; // a key held down labels one item, not ten
  if (!element("shortcuts").checked) return;
  const name = pressed(event);
  const dialog = document.querySelector("dialog[open]");
  if (dialog && !(dialog.id === "large_dialog" && ["g", "r"].includes(name))) return;
  if (!Object.hasOwn(keys, name)) return;
  event.preventDefault();
  keys[name]();
});
document.addEventListener("pointerdown", () => { lastActivity = Date.now(); });

for (const [id, action] of Object.entries(actions)) element(id).addEventListener("click", action);
for (const button of document.querySelectorAll("[data-category]")) {
  button.addEventListener("click", () => setCategory(button.dataset.category));
}
for (const button of document.querySelectorAll("[data-subtype]")) {
  button.addEventListener("click", () => setSubtype(button.dataset.subtype));
}
for (const button of document.querySelectorAll(".close")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
element("gt_photo").addEventListener("click", () => enlarge("gt"));
element("pred_photo").addEventListener("click", () => enlarge("pred"));
element("large").addEventListener("click", () => element("large_dialog").close());
element("note").addEventListener("focus", noteBegun);
element("note").addEventListener("input", noteTyped);
element("note").addEventListener("blur", noteLeft);
element("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file can be loaded again
  if (file) load(new Uint8Array(await file.arrayBuffer()), file.name);
});

// Two windows of one page share the storage: the one that is written to last is what both show.
window.addEventListener("storage", (event) => {
  if (event.key !== data.storage_key || event.newValue === null) return;
  const { position } = state;
  adopt(JSON.parse(event.newValue));
  state.position = position;
  showItem();
  say(texts.said_other_tab);
});
window.addEventListener("beforeunload", (event) => {
  if (state.revision <= state.exported) return;
  event.preventDefault();
  event.returnValue = texts.leave; // what older browsers ask for
});
window.addEventListener("pagehide", save);
setInterval(() => {
  if (document.visibilityState !== "visible" || (Date.now() - lastActivity) / 1000 > IDLE) return;
  state.seconds += 1;
  showTime();
}, 1000);

restore();
showItem();
