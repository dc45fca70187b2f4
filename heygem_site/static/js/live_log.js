/** A log that grows while it is read. It asks for what is new, and follows the end unless the reader has scrolled up. */
const EVERY = 2000;
const NEAR = 24;

for (const pre of document.querySelectorAll("[data-live-log]")) {
  const head = document.querySelector("[data-log-number]");
  const empty = document.querySelector("[data-log-empty]");
  let over = "over" in pre.dataset;
  const toEnd = () => (pre.scrollTop = pre.scrollHeight);
  const follows = () => pre.scrollHeight - pre.scrollTop - pre.clientHeight < NEAR;
  toEnd();

  const show = (part) => {
    const following = follows();
    if (part.cut) pre.textContent = part.text;
    else if (part.text) pre.append(part.text);
    pre.dataset.from = part.end;
    pre.dataset.seen = part.number;
    if (part.number) head.textContent = pre.dataset.number.replace("{n}", part.number);
    if (empty) empty.hidden = pre.textContent !== "";
    if (following) toEnd();
    over = !part.running;
  };
  const ask = async () => {
    const query = new URLSearchParams({ seen: pre.dataset.seen, from: pre.dataset.from });
    if (pre.dataset.try) query.set("try", pre.dataset.try);
    const answer = await fetch(`${pre.dataset.liveLog}${pre.dataset.liveLog.includes("?") ? "&" : "?"}${query}`, { headers: { Accept: "application/json" } });
    if (answer.ok && !answer.redirected) show(await answer.json());
  };
  const turn = async () => {
    if (!document.hidden) await ask().catch(() => {}); // away for a moment: the next turn asks again
    if (!over) setTimeout(turn, EVERY);
  };
  if (!over) setTimeout(turn, EVERY);
}
