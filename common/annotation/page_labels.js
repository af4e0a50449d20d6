// ---- labeling

// A label in the reader's words.
function titled(label) {
  const title = (labels, name) => labels.find((each) => each.name === name)?.title;
  const shown = [title(data.categories, label.category), title(data.subtypes, label.ambiguous_subtype)];
  return shown.filter(Boolean).join(", ") || texts.no_label;
}

// Whether the item is too new on the screen for a key to mean it; says so.
function tooSoon() {
  if (!justNow(shownAt)) return false;
  warn(texts.said_too_soon, { n: state.position + 1 }, itemSpoken());
  return true;
}

function setCategory(name) {
  const before = labelOf(data.items[state.position].key);
  if (waiting) return name === data.ambiguous && justNow(waiting.since) ? askSubtype() : leaveWaiting(name);
  if (tooSoon()) return;
  if (before.category === name) return say(texts.said_same, { label: titled(before) });
  label({ ...before, category: name, ambiguous_subtype: "", skipped: false });
}

function setSubtype(name) {
  const before = labelOf(data.items[state.position].key);
  if (!waiting && tooSoon()) return;
  if (before.category !== data.ambiguous) return warn(texts.said_subtype_only);
  if (before.ambiguous_subtype === name) return say(texts.said_same, { label: titled(before) });
  label({ ...before, ambiguous_subtype: name });
}

// After the first label of an item the page moves on; one that is changed stays in view, and that is announced.
function label(after) {
  const { key } = data.items[state.position];
  const before = labelOf(key);
  const first = waiting ? waiting.first : !before.category;
  const asks = after.category === data.ambiguous && !after.ambiguous_subtype;
  change({ [key]: after });
  waiting = asks ? { first, since: performance.now() } : null;
  showState();
  if (!first) return warnOfChange(before, after, asks ? " " + texts.said_subtype_next : "");
  if (asks) return askSubtype();
  const said = fill(texts.said_label, { ...counts(), label: titled(after) }) + foldByItself();
  if (doneCount() === data.items.length) return say(said + " " + fill(texts.said_all_done, counts()));
  if (!element("advance").checked) return say(said);
  go(unlabelledAfter(state.position), false);
  say(said, {}, itemSpoken());
}

function warnOfChange(before, after, further = "") {
  const values = { n: state.position + 1, before: titled(before), after: titled(after) };
  warn(texts.said_changed + further, values);
}

function askSubtype() {
  say(texts.said_subtype_next, {}, "", "ask");
}

// A category key while a subtype is awaited is meant for the next item, which nobody has seen yet: the page
// moves on to it and labels nothing.
function leaveWaiting(name) {
  const n = state.position + 1;
  const { key } = data.categories.find((each) => each.name === name);
  const position = element("advance").checked ? unlabelledAfter(state.position) : undefined;
  if (position === undefined) {
    waiting = null;
    showState();
    return warn(texts.said_kept_here, { n, key });
  }
  go(position, false);
  warn(texts.said_kept, { n, key, at: position + 1 }, itemSpoken());
}

function clearLabel() {
  if (tooSoon()) return;
  const { key } = data.items[state.position];
  const before = labelOf(key);
  if (!before.category) return say(texts.said_nothing_to_clear);
  const after = { ...before, category: "", ambiguous_subtype: "" };
  change({ [key]: after });
  waiting = null;
  showState();
  warnOfChange(before, after);
}

function skip() {
  if (tooSoon()) return;
  const { key } = data.items[state.position];
  if (labelOf(key).category) return goUnlabelled();
  change({ [key]: { ...labelOf(key), skipped: true } });
  go(unlabelledAfter(state.position), false);
  say(texts.said_skipped, {}, itemSpoken());
}

// ---- undo and redo

let tookBackAt = -Infinity;

function undo() {
  takeBack(past, future, texts.said_undone, texts.said_nothing_to_undo);
}

function redo() {
  takeBack(future, past, texts.said_redone, texts.said_nothing_to_redo);
}

function takeBack(from, to, said, nothing) {
  if (justNow(tookBackAt)) return warn(texts.said_once);
  const last = from.pop();
  if (!last) return say(nothing);
  tookBackAt = performance.now();
  const now = Object.fromEntries(Object.keys(last.labels).map((key) => [key, labelOf(key)]));
  to.push({ position: last.position, labels: now });
  change(last.labels, false);
  go(last.position, false);
  const [key, ...others] = Object.keys(last.labels);
  const changed = others.length
    ? fill(texts.said_several, { n: others.length + 1 })
    : fill(titled(now[key]) === titled(last.labels[key]) ? texts.said_otherwise : texts.said_item_now, {
        n: byKey.get(key).position + 1,
        before: titled(now[key]),
        after: titled(last.labels[key]),
      });
  warn(said + " " + changed, {}, itemSpoken());
}

// ---- notes

let noteBefore = null;

function noteBegun() {
  const { key } = data.items[state.position];
  noteBefore = { key, label: labelOf(key) };
}

function noteTyped() {
  const { key } = data.items[state.position];
  change({ [key]: { ...labelOf(key), note: element("note").value } }, false);
}

function noteLeft() {
  if (noteBefore && noteBefore.label.note !== labelOf(noteBefore.key).note) {
    const before = { ...labelOf(noteBefore.key), note: noteBefore.label.note };
    past.push({ position: byKey.get(noteBefore.key).position, labels: { [noteBefore.key]: before } });
    future.length = 0;
  }
  noteBefore = null;
}

// ---- compact: the definitions fold away, and the pictures get their room

const FOLDED = data.storage_key + ":compact";
let folded = null; // true or false once it was chosen, by the person or after some items

function fold(on) {
  folded = on;
  document.body.classList.toggle("compact", on);
  element("compact").checked = on;
  try {
    localStorage.setItem(FOLDED, on ? "1" : "0");
  } catch {
    // A view alone: it is chosen again after the next reload.
  }
}

function restoreFolded() {
  try {
    const kept = localStorage.getItem(FOLDED);
    if (kept !== null) fold(kept === "1");
  } catch {
    // As above.
  }
}

// Once, after some items, unless the person has chosen; returns what to say of it.
function foldByItself() {
  if (folded !== null || doneCount() < FOLD_AFTER) return "";
  fold(true);
  return " " + texts.said_folded;
}

function toggleCompact() {
  fold(!folded);
  say(folded ? texts.said_folded : texts.said_unfolded);
}
