// Runs before anything is drawn, so that a page that was asked to be dark never flashes.
{
  const chosen = localStorage.getItem("warren-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
