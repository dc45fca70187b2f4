/** Small helpers that every module may import. */

export const words = () => document.getElementById("words")?.dataset ?? {};

export function csrfToken() {
  const headers = document.body.getAttribute("hx-headers");
  return headers ? JSON.parse(headers)["X-CSRFToken"] : "";
}

/** An element with text and attributes; strings become text nodes, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function icon(name) {
  const known = document.querySelector("svg.icon use");
  const sheet = known ? known.getAttribute("href").split("#")[0] : "/static/icons.svg";
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `${sheet}#${name}`);
  svg.append(use);
  return svg;
}

/** Show a passing message. `level`: info, success, warning or error (an error stays until it is closed). */
export function toast(sentence, { level = "info", remedy = "" } = {}) {
  const text = element("p", {}, sentence);
  if (remedy) text.append(element("br"), element("span", { class: "remedy" }, remedy));
  const close = element("button", { type: "button", "data-dismiss": true, "aria-label": words().close }, icon("cross"));
  const marks = { error: "error", warning: "warning", success: "check" };
  document
    .getElementById("toasts")
    ?.append(element("div", { class: "toast", "data-level": level }, icon(marks[level] ?? "info"), text, close));
}

/** Ask before doing what cannot be taken back. Resolves to true when the person agrees. */
export function ask(sentence, { title = "", action = "" } = {}) {
  const dialog = document.getElementById("confirm");
  const heading = dialog.querySelector("#confirm-title");
  const yes = dialog.querySelector("#confirm-yes");
  heading.textContent = title || heading.dataset.default;
  dialog.querySelector("#confirm-text").textContent = sentence;
  yes.textContent = action || yes.dataset.default;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export const isTyping = (target) =>
  target instanceof Element && Boolean(target.closest("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]"));
