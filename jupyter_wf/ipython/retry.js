/* Runs in the page for as long as the kernel's model lives; see RetryOffer in run_view.py. */
function initialize({ model }) {
  const marker = model.get('marker');
  const runId = model.get('run_id');
  const added = new Set();
  let waiting = false;

  const attach = () => {
    waiting = false;
    for (const table of document.getElementsByClassName(marker)) {
      if (table.querySelector('button') !== null) {
        continue;
      }
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = 'Retry';
      button.setAttribute('aria-label', 'Retry this run');
      Object.assign(button.style, {
        marginInlineStart: '12px',
        padding: '2px 10px',
        border: '1px solid var(--jp-border-color1, #8c959f)',
        borderRadius: '3px',
        background: 'transparent',
        color: 'inherit',
        font: 'inherit',
        fontSize: '12px',
        cursor: 'pointer'
      });
      button.addEventListener('click', () => {
        button.disabled = true;
        button.textContent = 'Retrying…';
        model.send({ type: 'retry', run_id: runId });
      });
      added.add(button);
      table.querySelector('th').append(button);
    }
  };
  // Notebooks take cells off the page while they are out of sight: the form may come back at any time.
  const observer = new MutationObserver(() => {
    if (!waiting) {
      waiting = true;
      window.requestAnimationFrame(attach);
    }
  });
  observer.observe(document.body, { childList: true, subtree: true });
  attach();
  return () => {
    observer.disconnect();
    added.forEach(button => button.remove());
  };
}

export default { initialize };
