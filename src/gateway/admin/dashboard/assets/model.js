// One model: what it does now, its last ten minutes, its routes, its tenants, and what was decided.

import { get, modelPath } from './api.js';
import { chart, history } from './charts.js';
import { decisions } from './decisions.js';
import { el, mark, say, tile } from './dom.js';
import { count, millis, short } from './format.js';
import { order } from './operate.js';
import { outcomes, routes } from './routes.js';
import { chip, setChip, stateOf } from './status.js';
import { tenants } from './tenants.js';

const KEYS = ['window', 'inFlight', 'queued', 'done', 'pushedBack', 'failed', 'refused', 'wait', 'p50', 'p90', 'p99'];

export function model(name, again) {
  let capacity = null;
  const button = (text, action, names = 'quiet') => el('button', { type: 'button', class: names, text, disabled: true, on: { click: async () => {
    await order(capacity, action());
    again();
  } } });
  const pause = button('Pause', () => (capacity.paused ? 'resume' : 'pause'));
  const pin = button('Pin window', () => 'pin');
  const unpin = button('Unpin', () => 'unpin');
  unpin.hidden = true;
  const release = button('Try again now', () => 'release');
  release.hidden = true;
  const state = chip();
  const pinned = el('span', { class: 'note' });
  const heading = el('h1', { tabindex: '-1', text: name });
  const tiles = { flying: tile('In flight'), queued: tile('Waiting'), done: tile('Delivered per second'), service: tile('Service time', ''), wait: tile('Wait', 'of a request that comes now') };
  const past = history(KEYS);
  const charts = [
    chart({ title: 'In flight and window', format: short, series: [
      { key: 'inFlight', label: 'In flight', colour: 'c1', fill: true }, { key: 'window', label: 'Window', colour: 'c0', dash: true, step: true }] }),
    chart({ title: 'Waiting', format: short, series: [{ key: 'queued', label: 'Requests in the queue', colour: 'c5', fill: true }] }),
    chart({ title: 'Attempts per second', stacked: true, format: short, series: [
      { key: 'done', label: 'Delivered', colour: 'c2' }, { key: 'pushedBack', label: 'Pushed back', colour: 'c3' }, { key: 'failed', label: 'Failed', colour: 'c4' }, { key: 'refused', label: 'Refused by us', colour: 'c5' }] }),
    chart({ title: 'Service time and wait', format: millis, wide: true, series: [
      { key: 'p50', label: 'p50', colour: 'c1' }, { key: 'p90', label: 'p90', colour: 'c5' }, { key: 'p99', label: 'p99', colour: 'c3' }, { key: 'wait', label: 'Mean wait', colour: 'c0', dash: true }] }),
  ];
  const ways = routes();
  const people = tenants(name, again);
  const ends = outcomes();
  const log = decisions('Decisions');
  const node = el('div', { class: 'view' },
    el('div', { class: 'row wrap head' },
      el('nav', { 'aria-label': 'Breadcrumb' }, el('a', { href: '#/', text: 'Models' }), el('span', { 'aria-hidden': 'true', text: ' / ' })),
      heading, state, pinned, el('span', { class: 'grow' }), el('div', { class: 'row', role: 'group', 'aria-label': 'Operate' }, pause, pin, unpin, release)),
    el('div', { class: 'tiles' }, ...Object.values(tiles).map((one) => one.node)),
    el('div', { class: 'pair' }, ...charts.map((one) => one.card)),
    el('div', { class: 'beside' }, el('div', { class: 'stack' }, ways.card, people.card, ends.card), log.card));

  return {
    node,
    heading,
    title: `${name} · fairflow`,
    load: (signal) => Promise.all([get(`${modelPath(name)}?since=${past.since}`, signal), people.load(signal)]),
    show([detail, tenantList]) {
      capacity = detail.capacity;
      setChip(state, stateOf(capacity));
      say(pinned, capacity.pinnedWindow ? `window pinned at ${count(capacity.pinnedWindow)}` : '');
      for (const one of [pause, pin, unpin, release]) one.disabled = false;
      say(pause, capacity.paused ? 'Resume' : 'Pause');
      mark(pause, 'class', capacity.paused ? 'primary' : 'quiet');
      unpin.hidden = !capacity.pinnedWindow;
      release.hidden = !capacity.routes.some((route) => route.holdUntilMs > 0);
      say(tiles.flying.value, count(capacity.inFlight));
      say(tiles.flying.under, `of a window of ${count(capacity.window)}`);
      say(tiles.queued.value, count(capacity.queueDepth));
      say(tiles.queued.under, `room for ${count(capacity.queueCapacity)}, ${count(capacity.activeTenants)} tenants`);
      say(tiles.done.value, short(capacity.throughputPerSecond));
      say(tiles.done.under, `${count(detail.attempts.success)} so far`);
      say(tiles.service.value, millis(capacity.processingMs.p50));
      say(tiles.service.under, `p90 ${millis(capacity.processingMs.p90)}, ${capacity.processingMs.trend}`);
      say(tiles.wait.value, millis(capacity.estimatedWaitMs.p50));
      const kept = past.take(detail.history, detail.now);
      for (const one of charts) one.show(kept);
      ways.show(capacity.routes);
      people.show(tenantList);
      ends.show(detail);
      log.show(detail.decisions);
      return {};
    },
    end: () => charts.forEach((one) => one.end()),
  };
}
