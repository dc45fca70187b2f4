/** Try it: a video and a voice are chosen, one button sends both and opens the page where the result appears. */
import { enhance, sendAll } from "./upload.js";

for (const form of document.querySelectorAll("[data-try]")) {
  const words = form.dataset;
  const zones = Object.fromEntries([...form.querySelectorAll("[data-upload]")].map((zone) => [zone.dataset.purpose, zone]));
  const go = form.querySelector("[data-try-go]");
  const label = go.querySelector("span");
  const hint = form.querySelector("[data-try-hint]");
  const language = form.querySelector("[data-language]");
  const made = {};
  Object.values(zones).forEach(enhance);

  const show = () => {
    const both = Object.entries(zones).every(([purpose, zone]) => made[purpose] || zone.waiting.length);
    go.disabled = !both;
    hint.hidden = both;
    if (!both) hint.textContent = words.wordBoth;
  };
  for (const [purpose, zone] of Object.entries(zones)) {
    zone.addEventListener("uploads:chosen", () => {
      delete made[purpose];
      show();
      if (!go.disabled) go.focus();
    });
    zone.addEventListener("click", () => setTimeout(show));
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    zones.take.dataset.language = language.value;
    go.disabled = true;
    label.textContent = words.wordBusy;
    await Promise.all(
      Object.entries(zones).map(async ([purpose, zone]) => {
        const [result] = await sendAll(zone);
        if (result) made[purpose] = result.id;
      }),
    );
    if (made.footage && made.take) {
      form.elements.footage.value = made.footage;
      form.elements.take.value = made.take;
      form.submit();
      return;
    }
    label.textContent = words.wordReady;
    show();
    hint.hidden = false;
    hint.textContent = words.wordFailed;
  });
  show();
}
