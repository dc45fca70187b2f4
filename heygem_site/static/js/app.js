/** What every page does: theme, menus, dialogs, toasts, questions before dangerous buttons, times in words. */
import { ask, toast, words } from "./dom.js";
import "./theme.js";

// Menus close when something else is pressed, and with Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  }
});

// Dialogs, copying, forms that send themselves.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog")?.close();
  if (event.target instanceof HTMLDialogElement && event.target.id !== "confirm") event.target.close();
  const copier = event.target.closest("[data-copy]");
  if (copier) {
    const source = document.querySelector(copier.dataset.copy);
    navigator.clipboard?.writeText(source.value ?? source.textContent.trim()).then(
      () => toast(words().copied, { level: "success" }),
      () => source.select?.(),
    );
  }
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-autosubmit]")) event.target.form.requestSubmit();
});

// Questions before what cannot be taken back.
const agreed = new WeakSet();
document.addEventListener(
  "submit",
  async (event) => {
    const form = event.target;
    const sentence = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (!sentence || agreed.delete(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const source = event.submitter?.dataset.confirm ? event.submitter.dataset : form.dataset;
    if (await ask(sentence, { title: source.confirmTitle, action: source.confirmAction })) {
      agreed.add(form);
      form.requestSubmit(event.submitter);
    }
  },
  true,
);
// One press, one change: what is pressed again while the answer is on its way would be done twice, or be refused.
const LOCKED = 10000;
const sent = new Map();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  const now = performance.now();
  if (now - (sent.get(form) ?? -Infinity) < LOCKED) event.preventDefault();
  else sent.set(form, now);
});
window.addEventListener("pageshow", () => sent.clear());
document.addEventListener("htmx:confirm", async (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const source = event.detail.elt.dataset;
  const yes = await ask(event.detail.question, { title: source.confirmTitle, action: source.confirmAction });
  if (yes) event.detail.issueRequest(true);
});

// Toasts go by themselves, unless they tell of an error, offer an undo, or are being read.
const LASTS = 6000;
function watchToast(node) {
  node.querySelector("[data-dismiss]")?.addEventListener("click", () => node.remove());
  if (node.dataset.level === "error") return;
  const stays = node.querySelector(".toast-action") ? LASTS * 2 : LASTS;
  let timer = setTimeout(() => node.remove(), stays);
  for (const name of ["pointerenter", "focusin"]) node.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) {
    node.addEventListener(name, () => {
      clearTimeout(timer);
      timer = setTimeout(() => node.remove(), stays);
    });
  }
}
const toasts = document.getElementById("toasts");
if (toasts) {
  toasts.querySelectorAll(".toast").forEach(watchToast);
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) if (node.matches?.(".toast")) watchToast(node);
  }).observe(toasts, { childList: true });
}
document.addEventListener("toast", (event) => toast(event.detail.sentence, event.detail));

// Errors of fragments: the server's own sentence arrives as a toast; anything else gets a general one.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status >= 400 && xhr.getResponseHeader("HX-Retarget") !== "#toasts") {
    event.detail.shouldSwap = false;
    if (!event.detail.elt.closest("[data-poll]")) toast(words().failed, { level: "error" });
  }
});
let offline = false;
document.addEventListener("htmx:sendError", () => {
  if (!offline) toast(words().offline, { level: "warning" });
  offline = true;
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (offline && event.detail.successful) {
    offline = false;
    toast(words().online, { level: "success" });
  }
});
// A hidden tab asks for nothing; it catches up when it is looked at again. While a question is open nothing is swapped
// either: the button that the answer belongs to would be gone, and the answer with it.
const asking = () => document.querySelector("#confirm[open]") !== null;
document.addEventListener("htmx:beforeRequest", (event) => {
  if ((document.hidden || asking()) && event.detail.elt.closest("[data-poll]")) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (asking() && event.detail.elt.closest("[data-poll]")) event.detail.shouldSwap = false;
});

// "5 minutes ago", in the page's language; the exact time is the tooltip.
const SPANS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
function relativeTimes(root) {
  const format = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  for (const time of root.querySelectorAll("time[data-relative]")) {
    const then = new Date(time.dateTime);
    const seconds = (then - Date.now()) / 1000;
    const [unit, size] = SPANS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
    time.textContent = format.format(unit === "second" ? 0 : Math.round(seconds / size), unit === "second" ? "minute" : unit);
    time.title = then.toLocaleString(document.documentElement.lang);
  }
}
relativeTimes(document);
document.addEventListener("htmx:afterSettle", () => relativeTimes(document));
setInterval(() => document.hidden || relativeTimes(document), 30000);
