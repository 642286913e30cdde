// Light or dark: as the system has it, until somebody decides otherwise. Runs before the page is drawn.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("windlass-theme");
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
