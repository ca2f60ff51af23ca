// Where to, and once a second: ask, show. Nothing is asked while nobody sees the page.

import { Denied, useKey } from './api.js';
import { el, mark, say } from './dom.js';
import { model } from './model.js';
import { announce, ask } from './operate.js';
import { overview } from './overview.js';

const EVERY = 1000;
const $ = (id) => document.getElementById(id);
const main = $('main');
let view = null;
let asked = null;
let timer = null;
let asking = false;

// Says how the page is connected; only what changes is read out.
function link(state, text) {
  if ($('link').dataset.state !== state && state !== 'wait') announce(state === 'live' ? 'Live.' : text);
  mark($('link'), 'data-state', state);
  say($('link-text'), text);
}

// The model in the address, if it is one.
function wanted() {
  try {
    return decodeURIComponent(location.hash.match(/^#\/model\/(.+)$/)?.[1] ?? '');
  } catch {
    return '';
  }
}

function open() {
  view?.end();
  const name = wanted();
  view = name ? model(name, look) : overview();
  document.title = view.title;
  main.replaceChildren(view.node);
  look();
}

async function wantKey() {
  if (asking) return;
  asking = true;
  await ask({
    title: 'Admin key', text: 'This gateway asks for the key of [server] admin_key. It is kept in this tab only.', yes: 'Unlock', must: true,
    field: { label: 'Key', input: { type: 'password', required: '', autocomplete: 'off' } },
    act: async (key) => {
      useKey(key);
      const response = await fetch('/admin/overview', { headers: { authorization: `Bearer ${key}` }, cache: 'no-store' });
      if (!response.ok) throw new Error('That is not the key.');
    },
  });
  asking = false;
  look();
}

async function look() {
  clearTimeout(timer);
  asked?.abort();
  if (document.hidden) return;
  const mine = (asked = new AbortController());
  const shown = view;
  const limit = setTimeout(() => mine.abort(new Error('no answer')), 10_000);
  try {
    const answer = await view.load(mine.signal);
    if (mine.signal.aborted || shown !== view) return;
    performance.mark('show');
    const { version, draining } = view.show(answer);
    performance.measure('update', 'show');
    // Kept for whoever measures, and no more than a minute of it.
    if (performance.getEntriesByName('update').length > 60) performance.clearMeasures('update');
    performance.clearMarks('show');
    if (version) say($('version'), `v${version}`);
    main.dataset.ready = '';
    if (draining) link('drain', 'draining');
    else link('live', 'live');
  } catch (error) {
    if (mine !== asked || shown !== view) return;
    if (error instanceof Denied) {
      link('lost', 'locked');
      return wantKey();
    }
    if (error.status === 404) {
      link('live', 'live');
      main.replaceChildren(el('div', { class: 'blank' }, el('h1', { text: 'No such model' }), el('p', { text: error.message }), el('p', {}, el('a', { href: '#/', text: 'All models' }))));
    } else link('lost', error.status ? error.message : 'the gateway does not answer; trying again');
  } finally {
    clearTimeout(limit);
  }
  if (mine === asked) timer = setTimeout(look, EVERY);
}

const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
};
const showTheme = () => say($('theme'), dark() ? 'Light theme' : 'Dark theme');
$('theme').addEventListener('click', () => {
  document.documentElement.dataset.theme = dark() ? 'light' : 'dark';
  try { localStorage.setItem('fairflow-theme', document.documentElement.dataset.theme); } catch { /* for this visit */ }
  showTheme();
  dispatchEvent(new Event('theme'));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showTheme);
showTheme();

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', () => {
  open();
  scrollTo(0, 0);
  view.heading.focus({ preventScroll: true });
});
document.addEventListener('visibilitychange', look);
open();
