// All models: the sum, a line each, and what was decided last.

import { get } from './api.js';
import { chart, history, sketch } from './charts.js';
import { decisions } from './decisions.js';
import { el, keyed, mark, say, svg, table, tile } from './dom.js';
import { count, millis, short } from './format.js';
import { announce } from './operate.js';
import { bar, chip, setBar, setChip, stateOf, urgency } from './status.js';

const STEP = 50;
const KEYS = ['window', 'inFlight', 'queued', 'done', 'pushedBack', 'failed', 'refused'];

// Where there was no request yet: what to do.
function first() {
  const code = el('code');
  const copy = el('button', { type: 'button', class: 'quiet', text: 'Copy', on: { click: async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      announce('Copied.');
      copy.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(code);
    }
  } } });
  const card = el('section', { class: 'card first', 'aria-label': 'No requests yet', hidden: true },
    el('h2', { text: 'No requests yet' }), el('p', { text: 'The gateway is up. Send it one, and this page comes alive:' }),
    el('div', { class: 'row code' }, code, copy));
  return {
    card,
    show(all) {
      card.hidden = all.requests > 0;
      if (card.hidden || code.textContent) return;
      const known = all.models.map(({ model }) => model);
      const model = known.includes('sim-text') ? 'sim-text' : known[0] ?? 'MODEL';
      // A gateway that listens everywhere is reached where this page was.
      const at = (all.public ?? '').replace(/^(0\.0\.0\.0|\[::\])(?=:)/, location.hostname);
      const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] });
      code.textContent = `curl http:${'//'}${at}/v1/chat/completions -H 'content-type: application/json'${all.keys ? " -H 'authorization: Bearer KEY'" : ''} -d '${body.replaceAll("'", "'\\''")}'`;
    },
  };
}

const ORDERS = {
  urgency: (a, b) => urgency(a) - urgency(b) || (b.perSecond ?? 0) - (a.perSecond ?? 0),
  model: () => 0,
  load: (a, b) => (b.inFlight ?? 0) - (a.inFlight ?? 0),
  queued: (a, b) => (b.queued ?? 0) - (a.queued ?? 0),
  perSecond: (a, b) => (b.perSecond ?? 0) - (a.perSecond ?? 0),
  p50: (a, b) => (b.p50 ?? 0) - (a.p50 ?? 0),
};

export function overview() {
  let order = 'urgency';
  let limit = STEP;
  let last = null;
  const by = (name) => () => {
    order = name;
    if (last) list(last);
  };
  const columns = [
    { name: 'Model', key: 'model', sort: by('model') }, { name: 'Status', key: 'urgency', sort: by('urgency') },
    { name: 'In flight of window', class: 'num', key: 'load', sort: by('load') }, { name: 'Waiting', class: 'num', key: 'queued', sort: by('queued') },
    { name: 'Per second', class: 'num wide', key: 'perSecond', sort: by('perSecond') }, { name: 'Two minutes', class: 'wide' },
    { name: 'Service p50', class: 'num wide', key: 'p50', sort: by('p50') }, { name: 'p90', class: 'num wide' }, { name: 'Tenants', class: 'num wide' },
  ];
  const [frame, body, heads] = table('Models', columns);
  const search = el('input', { type: 'search', id: 'model-search', placeholder: 'Search models', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Search models', on: { input: () => {
    if (!last) return;
    list(last);
    announce(`${found.textContent} models.`);
  } } });
  const found = el('span', { class: 'note' });
  const none = el('p', { class: 'none', text: 'No model has that in its name.' });
  const more = el('button', { type: 'button', class: 'quiet', hidden: true, on: { click: () => { limit += STEP; list(last); } } });
  const models = el('section', { class: 'card', 'aria-label': 'Models' },
    el('div', { class: 'row wrap' }, el('h2', { text: 'Models' }), found, el('span', { class: 'grow' }), search), frame, none, more);

  const make = ({ model }) => {
    const parts = {
      state: chip(), bar: bar(), load: el('span', { class: 'value' }), queued: el('td', { class: 'num' }), rate: el('td', { class: 'num wide' }),
      line: svg('path'), p50: el('td', { class: 'num wide' }), p90: el('td', { class: 'num wide' }), tenants: el('td', { class: 'num wide' }),
    };
    const link = el('a', { href: `#/model/${encodeURIComponent(model)}`, text: model, title: model });
    const row = el('tr', {}, el('th', { scope: 'row', class: 'name' }, link), el('td', {}, parts.state), el('td', { class: 'num' }, parts.bar, parts.load), parts.queued, parts.rate,
      el('td', { class: 'wide' }, svg('svg', { viewBox: '0 0 96 22', class: 'sketch', 'aria-hidden': 'true' }, parts.line)), parts.p50, parts.p90, parts.tenants);
    return Object.assign(row, { parts });
  };
  const update = ({ parts }, model) => {
    setChip(parts.state, stateOf(model));
    setBar(parts.bar, model.window ? (model.inFlight ?? 0) / model.window : 0);
    say(parts.load, `${count(model.inFlight)} / ${count(model.window)}${model.pinned ? ' pinned' : ''}`);
    say(parts.queued, count(model.queued));
    say(parts.rate, short(model.perSecond ?? 0));
    mark(parts.line, 'd', model.sketch ? sketch(model.sketch) : null);
    say(parts.p50, millis(model.p50));
    say(parts.p90, millis(model.p90));
    say(parts.tenants, count(model.tenants));
  };
  function list(all) {
    const wanted = search.value.trim().toLowerCase();
    const fit = wanted ? all.models.filter(({ model }) => model.toLowerCase().includes(wanted)) : [...all.models];
    fit.sort(ORDERS[order]);
    keyed(body, fit.slice(0, limit), ({ model }) => model, make, update);
    heads.forEach((head, i) => mark(head, 'aria-sort', columns[i].key === order ? (order === 'model' ? 'ascending' : 'descending') : null));
    say(found, wanted ? `${count(fit.length)} of ${count(all.models.length)}` : count(all.models.length));
    none.hidden = fit.length > 0;
    frame.hidden = fit.length === 0;
    more.hidden = fit.length <= limit;
    say(more, `Show ${count(Math.min(STEP, fit.length - limit))} more of ${count(fit.length)}`);
  }

  const tiles = { flying: tile('In flight'), queued: tile('Waiting'), done: tile('Delivered per second'), back: tile('Pushed back per second', '429 of providers, retried inside'), refused: tile('Refused per second', 'told to callers') };
  const past = history(KEYS);
  const charts = [
    chart({ title: 'In flight and window', note: 'all models', format: short, series: [
      { key: 'inFlight', label: 'In flight', colour: 'c1', fill: true }, { key: 'window', label: 'Window', colour: 'c0', dash: true, step: true }] }),
    chart({ title: 'Attempts per second', note: 'all models', stacked: true, format: short, series: [
      { key: 'done', label: 'Delivered', colour: 'c2' }, { key: 'pushedBack', label: 'Pushed back', colour: 'c3' }, { key: 'failed', label: 'Failed', colour: 'c4' }] }),
  ];
  const start = first();
  const log = decisions('Decisions');
  const heading = el('h1', { class: 'sr', tabindex: '-1', text: 'All models' });
  const node = el('div', { class: 'view' }, heading, start.card,
    el('div', { class: 'tiles' }, ...Object.values(tiles).map((one) => one.node)),
    el('div', { class: 'pair' }, ...charts.map((one) => one.card)),
    el('div', { class: 'beside' }, models, log.card));

  return {
    node,
    heading,
    title: 'fairflow',
    load: (signal) => get(`/admin/overview?since=${past.since}`, signal),
    show(all) {
      last = all;
      const kept = past.take(all.history, all.now);
      const latest = (key) => kept[key].at(-1) ?? 0;
      start.show(all);
      const sum = (key) => all.models.reduce((total, model) => total + (model[key] ?? 0), 0);
      say(tiles.flying.value, count(sum('inFlight')));
      say(tiles.flying.under, `of ${count(sum('window'))} in all windows`);
      say(tiles.queued.value, count(sum('queued')));
      const busy = all.models.filter((model) => model.queued).length;
      say(tiles.queued.under, `${count(busy)} of ${count(all.models.length)} models have a queue`);
      say(tiles.done.value, short(sum('perSecond')));
      say(tiles.done.under, `${count(all.requests)} requests so far`);
      say(tiles.back.value, short(latest('pushedBack')));
      say(tiles.refused.value, short(latest('refused')));
      for (const one of charts) one.show(kept);
      list(all);
      log.show(all.decisions);
      return { version: all.version, draining: all.draining };
    },
    end: () => charts.forEach((one) => one.end()),
  };
}
