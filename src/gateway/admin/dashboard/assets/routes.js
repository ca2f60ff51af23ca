// A model's routes with their holds, and how its attempts and requests ended.

import { el, keyed, mark, say, table } from './dom.js';
import { count, millis, short, words } from './format.js';
import { bar, chip, setBar, setChip } from './status.js';

const PHASES = {
  slow_start: 'growing until something refuses', climbing: 'climbing after a cut', holding: 'holding what it knows',
  probing: 'trying one step more', contrasting: 'comparing two levels', pinned: 'pinned',
};

export function routes() {
  const [frame, body] = table('Routes of this model', [
    { name: 'Route' }, { name: 'State' }, { name: 'In flight of window', class: 'num' }, { name: 'The window is', class: 'wide' }, { name: 'Hold' },
  ]);
  const card = el('section', { class: 'card', 'aria-label': 'Routes' }, el('h2', { text: 'Routes' }), frame);
  const make = () => {
    const parts = { name: el('th', { scope: 'row' }), state: chip(), bar: bar(), load: el('span', { class: 'value' }), phase: el('td', { class: 'wide' }), hold: el('td', { class: 'hold' }) };
    const row = el('tr', {}, parts.name, el('td', {}, parts.state), el('td', { class: 'num' }, parts.bar, parts.load), parts.phase, parts.hold);
    return Object.assign(row, { parts });
  };
  const update = ({ parts }, route) => {
    say(parts.name, route.provider === route.model ? route.provider : `${route.provider} / ${route.model}`);
    setChip(parts.state, route.state);
    setBar(parts.bar, route.window ? route.inFlight / route.window : 0);
    say(parts.load, `${count(route.inFlight)} / ${count(route.window)}`);
    say(parts.phase, PHASES[route.phase] ?? words(route.phase));
    const why = route.reason ?? (route.state === 'closed' ? 'keeps failing' : 'the provider’s rate');
    say(parts.hold, route.holdUntilMs > 0 ? `${millis(route.holdUntilMs)} more: ${why}` : 'none');
    mark(parts.hold, 'data-on', route.holdUntilMs > 0);
  };
  return { card, show: (list) => keyed(body, list, (route) => `${route.provider}\n${route.model}`, make, update) };
}

const ATTEMPTS = {
  success: 'Delivered', throttled: 'Refused: too many at once (429)', rate_limited: 'Refused: rate or quota (429)',
  overloaded: 'Overloaded or timed out (5xx)', failed: 'Failed at the provider', rejected: 'Rejected: the request itself (4xx)', cancelled: 'The caller went away',
};

// Rates are of the last ten seconds or so: what came since the page saw the number ten looks ago.
export function outcomes() {
  const seen = [];
  const make = () => {
    const parts = { name: el('th', { scope: 'row' }), rate: el('td', { class: 'num' }), total: el('td', { class: 'num' }) };
    return Object.assign(el('tr', {}, parts.name, parts.rate, parts.total), { parts });
  };
  const one = (title, caption) => {
    const [frame, body] = table(caption, [{ name: 'How they ended' }, { name: 'Per second', class: 'num' }, { name: 'In all', class: 'num' }]);
    return [el('div', {}, el('h3', { text: title }), frame), body];
  };
  const [attempts, attemptRows] = one('Attempts at the provider', 'Attempts at the provider by how they ended');
  const [requests, requestRows] = one('Requests of callers', 'Requests of callers by how they ended');
  const card = el('section', { class: 'card', 'aria-label': 'Outcomes' }, el('h2', { text: 'Outcomes' }), el('div', { class: 'halves' }, attempts, requests));
  const fill = (body, names, now, then, seconds) => {
    const list = Object.entries(now).filter(([name, total]) => total > 0 || name === 'success');
    keyed(body, list, ([name]) => name, make, ({ parts }, [name, total]) => {
      say(parts.name, names[name] ?? words(name));
      say(parts.rate, seconds > 0 ? short((total - (then[name] ?? 0)) / seconds) : '–');
      say(parts.total, count(total));
    });
  };
  return {
    card,
    show(detail) {
      seen.push(detail);
      if (seen.length > 11) seen.shift();
      const [first] = seen;
      fill(attemptRows, ATTEMPTS, detail.attempts, first.attempts, detail.now - first.now);
      fill(requestRows, detail.endings, detail.requests, first.requests, detail.now - first.now);
    },
  };
}
