// ---- export

function cell(value) {
  const text = String(value);
  return /[",;\t\r\n]|^\s|\s$/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

// The same texts are guarded as in common/files.py: what a spreadsheet would take for a formula, no numbers.
const RUNS = /^'*[=+\-@\t]/;
const NUMBER = /^[+-]?(\p{Nd}+\.?\p{Nd}*|\.\p{Nd}+)([eE][+-]?\p{Nd}+)?$/u;

function guarded(text) {
  return RUNS.test(text) && !NUMBER.test(text) ? "'" + text : text;
}

function unguarded(text) {
  return text.startsWith("'") && RUNS.test(text) ? text.slice(1) : text;
}

function exported() {
  const columns = [...data.columns, "revision", "seconds"];
  // Step 4 must never take a second answer for a rating; a page without any looks as it always did.
  if (data.items.some((item) => item.repeat)) columns.push("repeat");
  const rows = [...data.items].sort((a, b) => a.idx - b.idx || a.repeat - b.repeat).map((item) => {
    const label = labelOf(item.key);
    const values = {
      idx: item.idx, caption: guarded(item.caption), gt_img_idx: item.gt, pred_img_idx: item.pred,
      category: label.category, ambiguous_subtype: label.ambiguous_subtype, note: guarded(label.note),
      revision: state.revision, seconds: state.times[item.key] ?? "", repeat: item.repeat ? 1 : "",
    };
    return columns.map((column) => cell(values[column])).join(",");
  });
  return "\ufeff" + [columns.join(","), ...rows].join("\n") + "\n";
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

// The same characters play no part here as in common/labels/spellings.py; a test compares the two.
const NO_PART = /[\s\-_/\\.'"`´‘’“”\u00ad\u200b-\u200f\u2010-\u2015\u2212\u2060\ufeff]+/g;

function squeezed(text) {
  return text.normalize("NFKC").replace(NO_PART, "").toLowerCase();
}

function plain(text) {
  return text.normalize("NFC").split(/\s+/).filter(Boolean).join(" ");
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
  const repeat = /^1([.,]0)?$/.test((row.repeat ?? "").trim());
  const number = /^\d+(\.0+)?$/.test(row.idx.trim()) ? parseInt(row.idx, 10) : -1;
  const item = byKey.get(keyOf(number, repeat));
  const refuse = (text, value = "") => ({ reason: fill(text, { idx: item?.idx ?? row.idx, value }) });
  if (!item) return refuse(texts.load_not_here);
  if (!sameCaption(row.caption, item.caption)) return refuse(texts.load_caption);
  if (!written.category && !written.subtype && !note.trim()) return {};
  const category = data.spellings.categories[squeezed(written.category)] ?? "";
  const subtype = data.spellings.subtypes[squeezed(written.subtype)] ?? "";
  if (written.category && !category) return refuse(texts.load_category, written.category);
  if (written.subtype && !subtype) return refuse(texts.load_subtype, written.subtype);
  if (subtype && category !== data.ambiguous) return refuse(texts.load_subtype_alone);
  const seconds = /^\d{1,9}([.,]0)?$/.test((row.seconds ?? "").trim()) ? parseInt(row.seconds, 10) : 0;
  return { item, seconds, label: { category, ambiguous_subtype: subtype, note } };
}

function readRows(rows) {
  const taken = {}, times = {}, refused = [];
  let blank = 0, revision = 0;
  rows.forEach((row, at) => {
    const { item, seconds, label, reason } = readRow(row);
    revision = Math.max(revision, parseInt(row.revision, 10) || 0);
    if (reason) refused.push({ row: at + 2, reason });
    else if (!label) blank += 1;
    else if (item.key in taken && JSON.stringify(taken[item.key]) !== JSON.stringify(label)) {
      refused.push({ row: at + 2, reason: fill(texts.load_twice, { idx: item.idx }) });
    } else {
      taken[item.key] = label;
      times[item.key] = seconds;
    }
  });
  return { taken, times, refused, blank, revision };
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

function take({ taken, times, refused, blank, revision }, name) {
  const changes = {};
  let replaced = 0;
  for (const [key, label] of Object.entries(taken)) {
    // The same export may be loaded twice, so its time is not added to what was spent here.
    if (times[key] > (state.times[key] ?? 0)) state.times[key] = times[key];
    const before = labelOf(key);
    // A blank cell never wipes out what is here.
    const after = { ...before, skipped: false, note: label.note.trim() ? label.note : before.note };
    if (label.category) {
      Object.assign(after, { category: label.category, ambiguous_subtype: label.ambiguous_subtype });
    }
    const fields = ["category", "ambiguous_subtype", "note"];
    const differs = fields.filter((field) => before[field] !== after[field]);
    if (!differs.length) continue;
    replaced += differs.some((field) => before[field]) ? 1 : 0;
    changes[key] = after;
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
  element("load_title").textContent = fill(texts.load_title, { loaded: name });
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

