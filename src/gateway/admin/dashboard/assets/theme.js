// Runs before the first paint, so that the page never flashes in the other theme. What is chosen is kept in this browser.
(() => {
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem('fairflow-theme'); } catch { /* kept for this visit only */ }
  if (chosen === 'dark' || chosen === 'light') root.dataset.theme = chosen;
})();
