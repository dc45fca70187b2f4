/** "All" above a list of boxes. */
for (const list of document.querySelectorAll("[data-pick]")) {
  const all = list.querySelector("[data-pick-all]");
  if (!all) continue;
  const boxes = [...list.querySelectorAll("input[type=checkbox]:not([data-pick-all])")];
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  };
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
  boxes.forEach((box) => box.addEventListener("change", show));
  show();
}
