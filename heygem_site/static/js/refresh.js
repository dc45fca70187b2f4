/** A page that shows what uploads make loads itself again when the last of them has arrived. */
document.addEventListener("uploads:idle", (event) => {
  const busy = [...document.querySelectorAll("[data-upload]")].some((zone) => zone.running || zone.waiting?.length);
  const failed = event.target.querySelector('.upload[data-state="failed"]');
  if (!busy && !failed && document.querySelector("[data-refresh-on-upload]")) location.reload();
});
