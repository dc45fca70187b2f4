/**
 * The board: choosing cells with mouse, touch and keyboard, sending the chosen ones with a button, and asking the server
 * what changed. Markup: templates/rendering/board.html. Cells are swapped out-of-band by htmx; what is chosen and what
 * has the focus is kept here by key, so a swap never loses it.
 */
import { toast } from "./dom.js";

const board = document.getElementById("board");
const toolbar = document.getElementById("toolbar");
const poll = document.getElementById("board-poll");
const chosen = new Set();
let anchor = null;
let current = null;

const cells = () => [...board.querySelectorAll(".cell")];
const rows = () => [...board.querySelectorAll(".board-row")].slice(1).map((row) => [...row.querySelectorAll(".cell")]);
const byKey = (key) => board.querySelector(`.cell[data-key="${CSS.escape(key)}"]`);
const keyOf = (cell) => cell.dataset.key;

function place(key) {
  const grid = rows();
  for (let row = 0; row < grid.length; row += 1) {
    const column = grid[row].findIndex((cell) => keyOf(cell) === key);
    if (column >= 0) return { row, column };
  }
  return null;
}

// What is chosen
function paint() {
  for (const cell of cells()) cell.setAttribute("aria-selected", String(chosen.has(keyOf(cell))));
  const picked = cells().filter((cell) => chosen.has(keyOf(cell)));
  const bar = toolbar.querySelector(".board-chosen");
  bar.hidden = !picked.length;
  toolbar.classList.toggle("choosing", picked.length > 0);
  const count = bar.querySelector("[data-chosen-count]");
  count.textContent = picked.length === 1 ? count.dataset.one : count.dataset.many.replace("#", picked.length);
  const can = {
    render: picked.some((cell) => "canRender" in cell.dataset),
    cancel: picked.some((cell) => "canCancel" in cell.dataset),
    version: picked.some((cell) => "hasVersion" in cell.dataset),
  };
  for (const button of bar.querySelectorAll("[data-needs]")) button.disabled = !can[button.dataset.needs];
}

function choose(keys, { add = false } = {}) {
  if (!add) chosen.clear();
  keys.forEach((key) => chosen.add(key));
  paint();
}

function toggle(keys) {
  const all = keys.length > 0 && keys.every((key) => chosen.has(key));
  keys.forEach((key) => (all ? chosen.delete(key) : chosen.add(key)));
  paint();
}

function range(from, to) {
  const [a, b] = [place(from), place(to)];
  if (!a || !b) return [to];
  const [top, bottom] = [Math.min(a.row, b.row), Math.max(a.row, b.row)];
  const [left, right] = [Math.min(a.column, b.column), Math.max(a.column, b.column)];
  return rows().slice(top, bottom + 1).flatMap((row) => row.slice(left, right + 1).map(keyOf));
}

// One cell at a time can be reached with Tab; arrow keys move from there.
function focus(key, { move = true } = {}) {
  const cell = key && byKey(key);
  if (!cell) return;
  board.querySelectorAll('.cell[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
  cell.tabIndex = 0;
  current = key;
  if (move) {
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

/** Tell the whole reason of a cell that did not work, and what to do. */
function explain(cell) {
  const why = cell.querySelector("[data-why]");
  if (!why) return;
  document.querySelectorAll("#toasts .toast").forEach((old) => old.remove());
  toast(why.textContent, { level: why.dataset.level, remedy: why.dataset.remedy });
}

board.addEventListener("click", (event) => {
  const cell = event.target.closest(".cell");
  if (!cell) return;
  if (event.target.closest("[data-why]")) return explain(cell);
  const key = keyOf(cell);
  const many = event.ctrlKey || event.metaKey;
  if (event.target.closest("a") && !event.shiftKey && !many) return;
  event.preventDefault();
  if (event.shiftKey && anchor) choose(range(anchor, key), { add: many });
  else if (many || event.target.closest("[data-tick]") || matchMedia("(pointer: coarse)").matches) toggle([key]);
  else if (chosen.size === 1 && chosen.has(key)) choose([]);
  else choose([key]);
  if (!event.shiftKey) anchor = key;
  focus(key);
});
board.addEventListener("dblclick", (event) => {
  const cell = event.target.closest(".cell");
  if (cell?.dataset.href) location.assign(cell.dataset.href);
});
board.addEventListener("mousedown", (event) => {
  if (event.shiftKey && event.target.closest(".cell")) event.preventDefault();
});
board.addEventListener("focusin", (event) => {
  const cell = event.target.closest(".cell");
  if (cell) focus(keyOf(cell), { move: false });
});

/** The nearest cell on the screen in a direction: the same keys work for a table, a gallery and a list. */
function neighbour(cell, down, right) {
  const middle = (box) => [box.top + box.height / 2, box.left + box.width / 2];
  const box = cell.getBoundingClientRect();
  const [y, x] = middle(box);
  let best = null;
  let least = Infinity;
  for (const other of cells()) {
    const [oy, ox] = middle(other.getBoundingClientRect());
    const along = (oy - y) * down + (ox - x) * right;
    const aside = Math.abs((oy - y) * right) + Math.abs((ox - x) * down);
    if (along < Math.min(box.height, box.width) / 3) continue;
    const cost = along + 4 * aside;
    if (cost < least) [best, least] = [other, cost];
  }
  return best;
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
board.addEventListener("keydown", (event) => {
  const cell = event.target.closest(".cell");
  if (!cell) return;
  const key = keyOf(cell);
  const at = place(key);
  const grid = rows();
  let next = null;
  if (event.key in STEPS) next = neighbour(cell, ...STEPS[event.key]);
  else if (event.key === "Home") next = event.ctrlKey ? grid[0][0] : grid[at.row][0];
  else if (event.key === "End") next = event.ctrlKey ? grid.at(-1).at(-1) : grid[at.row].at(-1);
  else if (event.key === " " && event.shiftKey) toggle(grid[at.row].map(keyOf));
  else if (event.key === " " && event.ctrlKey) toggle(grid.map((row) => keyOf(row[at.column])));
  else if (event.key === " ") toggle([(anchor = key)]);
  else if (event.key === "Enter") cell.dataset.href ? location.assign(cell.dataset.href) : explain(cell);
  else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) choose(cells().map(keyOf));
  else if (event.key === "Escape") choose([]);
  else return;
  event.preventDefault();
  if (!next) return;
  if (event.shiftKey) {
    anchor ??= key;
    choose(range(anchor, keyOf(next)));
  } else if (!event.ctrlKey) anchor = keyOf(next);
  focus(keyOf(next));
});

// Whole rows, columns, states, everything, nothing
document.addEventListener("click", (event) => {
  const { pickRow, pickColumn, pickState } = event.target.closest("[data-pick-row], [data-pick-column], [data-pick-state]")?.dataset ?? {};
  if (pickRow !== undefined) toggle(rows()[pickRow].map(keyOf));
  if (pickColumn !== undefined) toggle(rows().map((row) => keyOf(row[pickColumn])));
  if (pickState !== undefined) {
    const states = pickState.split(" ");
    const found = cells().filter((cell) => states.includes(cell.dataset.state));
    choose(found.map(keyOf));
    found[0]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  if (event.target.closest("[data-pick-everything]")) toggle(cells().map(keyOf));
  if (event.target.closest("[data-choose-none]")) choose([]);
});

// Buttons: every request says which revision the page shows; those about cells say which.
const status = () => document.getElementById("board-status");
document.addEventListener("htmx:configRequest", (event) => {
  const { elt, formData } = event.detail;
  if (!elt.hasAttribute("data-board-action")) return;
  formData.set("since", status().dataset.revision);
  formData.set("layout", status().dataset.layout);
  const preset = toolbar.querySelector("[data-preset]");
  if (preset) formData.set("preset", preset.value);
  if ("all" in elt.dataset) formData.set("all", "1");
  let keys = [];
  if ("chosen" in elt.dataset) keys = cells().map(keyOf).filter((key) => chosen.has(key));
  if (elt.dataset.cellsOf) keys = cells().filter((cell) => cell.dataset.state === elt.dataset.cellsOf).map(keyOf);
  keys.forEach((key) => formData.append("cell", key));
});

// A swapped cell is a new element: give it back what it had.
let hadFocus = false;
document.addEventListener("focusin", (event) => (hadFocus = Boolean(event.target.closest(".cell"))));
let repaint = 0;
document.addEventListener("htmx:oobAfterSwap", () => {
  cancelAnimationFrame(repaint);
  repaint = requestAnimationFrame(() => {
    const lost = document.activeElement === document.body && hadFocus;
    paint();
    focus(current ?? keyOf(cells()[0]), { move: lost });
  });
});

// What changed? Often while something moves, seldom when nothing does, never in a hidden tab.
const BUSY = 1200;
const IDLE = 8000;
let timer = 0;
let asking = false;
async function look() {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  const { revision, layout } = status().dataset;
  const query = new URLSearchParams({ since: revision, layout });
  try {
    await htmx.ajax("GET", `${poll.dataset.changes}?${query}`, { source: poll, swap: "none" });
  } catch {
    // The page says by itself that the server cannot be reached; the next look may find it again.
  } finally {
    asking = false;
    schedule();
  }
}
function schedule() {
  clearTimeout(timer);
  timer = setTimeout(look, "moving" in status().dataset ? BUSY : IDLE);
}
document.addEventListener("visibilitychange", () => !document.hidden && look());
document.addEventListener("htmx:afterRequest", (event) => event.detail.elt.hasAttribute("data-board-action") && schedule());

// The head of the board stays below the toolbar, however many lines that takes.
new ResizeObserver(() => board.style.setProperty("--toolbar-h", `${toolbar.offsetHeight}px`)).observe(toolbar);

function begin() {
  focus(keyOf(cells()[0]), { move: false });
  paint();
  schedule();
  toolbar.inert = false;
}
// Until htmx has looked at the page its buttons would do nothing, so they cannot be pressed.
if (document.readyState === "complete") begin();
else document.addEventListener("DOMContentLoaded", begin, { once: true });
