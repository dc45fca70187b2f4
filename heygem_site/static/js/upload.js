/**
 * Drop zones that send files resumably: one progress bar per file, three files at a time. Files go to the site (tus 1.0)
 * or, where the site says so, in parts straight to the object storage (projects/views/uploads.py).
 *
 * Markup: templates/components/dropzone.html. With `data-manual` files wait until `send(zone)` is called.
 * Events on the zone: `uploads:chosen` {files}, `uploads:done` {created, id, file} for each, `uploads:idle` when all
 * have ended. A page that lists what was made refreshes itself on `uploads:done` (htmx: hx-trigger="uploads:done from:body").
 */
import { csrfToken, element, icon } from "./dom.js";

const CHUNK = 8 * 1024 * 1024;
const AT_ONCE = 3;
const PAUSES = [500, 1000, 2000, 4000, 8000, 8000, 8000];
/** The server has no room: what is under way waits for ten minutes or so, in case somebody makes some. */
const FULL = 507;
const FULL_TRIES = 80;
const TUS = { "Tus-Resumable": "1.0.0" };

const base64 = (text) => btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

class Refused extends Error {
  constructor(sentence, remedy = "", status = 0) {
    super(sentence);
    this.remedy = remedy;
    this.status = status;
  }

  get words() {
    return this.remedy ? `${this.message} ${this.remedy}` : this.message;
  }
}

/**
 * One request; `progress` hears the bytes sent. Rejects with Refused when the server says no, else with Error. With
 * `headers: null` it goes to the storage: nothing of ours is told, and each refusal is worth another try.
 */
function send(method, url, { headers = {}, body = null, progress = null, signal = null } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    const ours = headers !== null;
    for (const [name, value] of Object.entries(ours ? { ...TUS, "X-CSRFToken": csrfToken(), ...headers } : {})) {
      request.setRequestHeader(name, value);
    }
    if (progress) request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      if (request.status < 300) return resolve(request);
      if (!ours || (request.status >= 500 && request.status !== FULL) || request.status === 409 || request.status === 423) return reject(new Error(`${request.status}`));
      try {
        const problem = JSON.parse(request.responseText);
        reject(new Refused(problem.title, problem.detail, request.status));
      } catch {
        reject(new Refused(""));
      }
    };
    request.onerror = () => reject(new Error("network"));
    signal?.addEventListener("abort", () => {
      request.abort();
      reject(new DOMException("", "AbortError"));
    });
    request.send(body);
  });
}

class Upload {
  constructor(zone, file) {
    this.zone = zone;
    this.file = file;
    this.stop = new AbortController();
    this.words = zone.dataset;
    this.bar = element("progress", { class: "bar", max: 100, value: 0, "aria-label": file.name });
    this.state = element("span", { class: "upload-state" }, this.words.wordWaiting);
    this.button = element("button", { type: "button", class: "btn quiet small icon-only", "aria-label": `${this.words.wordCancel}: ${file.name}` }, icon("cross"));
    this.button.addEventListener("click", () => this.cancel());
    this.row = element(
      "div",
      { class: "upload", "data-state": "waiting" },
      element("span", { class: "clip", title: file.name }, file.name),
      element("span", { class: "row" }, this.state, this.button),
      this.bar,
    );
    zone.querySelector(".uploads").append(this.row);
  }

  show(state, text) {
    this.row.dataset.state = state;
    this.bar.dataset.state = state;
    this.state.textContent = text;
  }

  get metadata() {
    const { purpose, team, presenter, script, project } = this.zone.dataset;
    const language = this.zone.dataset.language ?? this.zone.querySelector("[name=language]")?.value;
    const pairs = { filename: this.file.name, purpose, team, presenter, script, project, language };
    return Object.entries(pairs)
      .filter(([, value]) => value)
      .map(([name, value]) => `${name} ${base64(value)}`)
      .join(",");
  }

  async run() {
    try {
      const answer = await this.transfer();
      this.bar.value = 100;
      this.show("done", this.words.wordDone);
      this.button.remove();
      const detail = { created: answer.getResponseHeader("HeyGem-Created"), id: answer.getResponseHeader("HeyGem-Created-Id"), file: this.file };
      this.zone.dispatchEvent(new CustomEvent("uploads:done", { bubbles: true, detail }));
      return detail;
    } catch (error) {
      if (error.name === "AbortError") return null;
      this.show("failed", error instanceof Refused && error.message ? error.words : this.words.wordFailed);
      return null;
    }
  }

  async transfer() {
    this.show("running", this.words.wordSending);
    const started = await this.patiently(() =>
      send("POST", this.zone.dataset.endpoint, {
        headers: { "Upload-Length": this.file.size, "Upload-Metadata": this.metadata },
        signal: this.stop.signal,
      }),
    );
    this.url = started.getResponseHeader("Location");
    const parts = started.getResponseHeader("HeyGem-Parts");
    return parts ? this.toStorage(parts) : this.toSite();
  }

  async toSite() {
    let offset = 0;
    let answer = null;
    while (offset < this.file.size) {
      answer = await this.patiently(
        () => this.chunk(offset),
        async () => (offset = Number((await send("HEAD", this.url)).getResponseHeader("Upload-Offset"))),
      );
      offset = Number(answer.getResponseHeader("Upload-Offset"));
    }
    return answer.getResponseHeader("HeyGem-Created-Id") ? answer : send("HEAD", this.url);
  }

  chunk(offset) {
    const last = offset + CHUNK >= this.file.size;
    return send("PATCH", this.url, {
      headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": offset },
      body: this.file.slice(offset, offset + CHUNK),
      signal: this.stop.signal,
      progress: (sent) => {
        const percent = Math.floor((100 * (offset + sent)) / this.file.size);
        this.bar.value = percent;
        this.show("running", last && percent >= 100 ? this.words.wordStoring : `${percent} %`);
      },
    });
  }

  /** `url` tells which parts are missing and where each is to be put, as often as it is asked. */
  async toStorage(url) {
    const missing = async () => JSON.parse((await send("GET", url, { signal: this.stop.signal })).responseText);
    for (;;) {
      const asked = await this.patiently(missing);
      if (!asked.parts.length) break;
      let arrived = this.file.size - asked.missing;
      for (const part of asked.parts) {
        await this.patiently(
          () => this.part(part, arrived),
          async () => (part.url = (await missing()).parts.find((other) => other.number === part.number)?.url ?? part.url),
        );
        arrived += part.size;
      }
    }
    this.show("running", this.words.wordStoring);
    return this.patiently(() => send("POST", url, { signal: this.stop.signal }));
  }

  part({ url, offset, size }, arrived) {
    return send("PUT", url, {
      headers: null,
      body: this.file.slice(offset, offset + size),
      signal: this.stop.signal,
      progress: (sent) => {
        const percent = Math.floor((100 * (arrived + sent)) / this.file.size);
        this.bar.value = percent;
        this.show("running", `${percent} %`);
      },
    });
  }

  /** Try again when the line breaks; `resume` finds out where the server stands before the next try. */
  async patiently(step, resume = null) {
    for (let tries = 0; ; tries += 1) {
      try {
        return await step();
      } catch (error) {
        const full = resume && error.status === FULL;
        const mostTries = full ? FULL_TRIES : PAUSES.length;
        if ((error instanceof Refused && !full) || error.name === "AbortError" || tries >= mostTries) throw error;
        this.show("running", full ? error.words : this.words.wordAgain);
        await pause(PAUSES[tries] ?? PAUSES.at(-1));
        if (this.stop.signal.aborted) throw new DOMException("", "AbortError");
        if (resume) await resume().catch(() => null);
      }
    }
  }

  cancel() {
    this.stop.abort();
    if (this.url) send("DELETE", this.url).catch(() => null);
    this.zone.waiting = this.zone.waiting.filter((other) => other !== this);
    this.row.remove();
    if (!this.zone.querySelector(".upload")) delete this.zone.querySelector(".dropzone").dataset.chosen;
  }
}

function choose(zone, files) {
  const input = zone.querySelector("input[type=file]");
  const endings = input.accept.split(",");
  const kept = input.multiple ? [...files] : [...files].slice(0, 1);
  if (!input.multiple && zone.dataset.manual !== undefined) {
    zone.waiting = [];
    zone.querySelector(".uploads").replaceChildren();
  }
  for (const file of kept) {
    const upload = new Upload(zone, file);
    if (!endings.some((ending) => file.name.toLowerCase().endsWith(ending))) upload.show("failed", zone.dataset.wordType);
    else if (!file.size) upload.show("failed", zone.dataset.wordEmpty);
    else zone.waiting.push(upload);
  }
  if (zone.waiting.length) zone.querySelector(".dropzone").dataset.chosen = "";
  zone.dispatchEvent(new CustomEvent("uploads:chosen", { bubbles: true, detail: { files: kept } }));
  if (zone.dataset.manual === undefined) sendAll(zone);
}

/** Send what waits in the zone; resolves to what was made of the files, in their order (null for one that failed). */
export async function sendAll(zone) {
  const queue = zone.waiting.splice(0);
  zone.running = (zone.running ?? 0) + queue.length;
  const results = new Array(queue.length).fill(null);
  let next = 0;
  const lane = async () => {
    while (next < queue.length) {
      const index = next++;
      if (!queue[index].stop.signal.aborted) results[index] = await queue[index].run();
      zone.running -= 1;
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, queue.length) }, lane));
  if (queue.length && !zone.running) zone.dispatchEvent(new CustomEvent("uploads:idle", { bubbles: true, detail: { results } }));
  return results;
}

export function enhance(zone) {
  if (zone.waiting) return;
  zone.waiting = [];
  const target = zone.querySelector(".dropzone");
  const input = zone.querySelector("input[type=file]");
  input.addEventListener("change", () => {
    choose(zone, input.files);
    input.value = "";
  });
  target.addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  target.addEventListener("dragleave", () => target.classList.remove("over"));
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("over");
    if (event.dataTransfer.files.length) choose(zone, event.dataTransfer.files);
  });
  // Somebody may have been quicker than this script.
  if (input.files.length) {
    choose(zone, input.files);
    input.value = "";
  }
}

const enhanceAll = () => document.querySelectorAll("[data-upload]").forEach(enhance);
enhanceAll();
document.addEventListener("htmx:afterSettle", enhanceAll);
// A file dropped beside a zone must not replace the page.
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
addEventListener("beforeunload", (event) => {
  if ([...document.querySelectorAll("[data-upload]")].some((zone) => zone.running)) event.preventDefault();
});
