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
  arrowleft: actions.previous, arrowright: actions.next, s: skip, n: goUnlabelled, x: clearLabel, z: undo, y: redo,
  l: actions.load, e: exportFile, "?": actions.help, h: actions.help, c: toggleCompact,
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
element("compact").addEventListener("change", toggleCompact);
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
setInterval(tick, 1000);
function tick() {
  if (document.visibilityState !== "visible" || (Date.now() - lastActivity) / 1000 > IDLE) return;
  const { key } = data.items[state.position];
  state.seconds += 1;
  state.times[key] = (state.times[key] ?? 0) + 1;
  showTime();
}

restoreFolded();
restore();
showItem();
