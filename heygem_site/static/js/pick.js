/** "All" above a list of boxes, how many are ticked, and buttons that need some. */
for (const list of document.querySelectorAll("[data-pick]")) {
  const all = list.querySelector("[data-pick-all]");
  if (!all) continue;
  const boxes = [...list.querySelectorAll("input[type=checkbox]:not([data-pick-all])")];
  const count = list.querySelector("[data-pick-count]");
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    if (count) count.textContent = ticked;
    for (const button of list.querySelectorAll("[data-pick-needs]")) button.disabled = !ticked;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  boxes.forEach((box) => box.addEventListener("change", show));
  show();
}
