// A model's tenants: their share beside what would be fair, their wait, their backlog. The gateway picks which of
// thousands are shown.

import { get } from './api.js';
import { el, keyed, mark, say, table } from './dom.js';
import { count, millis, percent, short } from './format.js';
import { announce } from './operate.js';
import { bar, setBar } from './status.js';

const STEP = 25;
const MOST = 200;

export function tenants(model, again) {
  let sort = 'backlog';
  let limit = STEP;
  const by = (name) => () => {
    sort = name;
    again();
  };
  const columns = [
    { name: 'Tenant', key: 'name', sort: by('name') }, { name: 'Class', class: 'wide' }, { name: 'Weight', class: 'num wide' },
    { name: 'Share', key: 'share', sort: by('share') }, { name: 'Beyond fair', class: 'num wide', key: 'excess', sort: by('excess') },
    { name: 'In flight', class: 'num wide' }, { name: 'Waiting', class: 'num', key: 'backlog', sort: by('backlog') },
    { name: 'Wait', class: 'num' },
  ];
  const [frame, body, heads] = table('Tenants with something waiting or in flight', columns);
  const search = el('input', { type: 'search', id: 'tenant-search', placeholder: 'Search tenants', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Search tenants', on: { input: () => again() } });
  const found = el('span', { class: 'note' });
  let told = '';
  const none = el('p', { class: 'none' });
  const more = el('button', { type: 'button', class: 'quiet', hidden: true, on: { click: () => { limit = Math.min(MOST, limit + STEP); again(); } } });
  const card = el('section', { class: 'card tenants', 'aria-label': 'Tenants' },
    el('div', { class: 'row wrap' }, el('h2', { text: 'Tenants' }), found, el('span', { class: 'grow' }), search),
    frame, none, more,
    el('p', { class: 'note key', text: 'Shares are of the slots held over the last ten seconds or so. The mark in a bar is the fair share: what the slots in use would give by weight, nobody getting more than it asks for.' }));

  const make = () => {
    const parts = {
      name: el('th', { scope: 'row', class: 'name' }), class: el('td', { class: 'wide' }), weight: el('td', { class: 'num wide' }), bar: bar(), share: el('span', { class: 'value' }),
      excess: el('td', { class: 'num wide' }), flying: el('td', { class: 'num wide' }), queued: el('td', { class: 'num' }), wait: el('td', { class: 'num' }),
    };
    return Object.assign(el('tr', {}, parts.name, parts.class, parts.weight, el('td', { class: 'share' }, parts.bar, parts.share), parts.excess, parts.flying, parts.queued, parts.wait), { parts });
  };
  const update = ({ parts }, row, scale) => {
    say(parts.name, row.tenant);
    mark(parts.name, 'title', row.tenant);
    say(parts.class, row.class);
    say(parts.weight, short(row.weight));
    setBar(parts.bar, row.share / scale, row.fair / scale);
    say(parts.share, `${percent(row.share)} · fair ${percent(row.fair)}`);
    const beyond = (row.share - row.fair) * 100;
    say(parts.excess, Math.abs(beyond) < 0.05 ? '0' : `${beyond > 0 ? '+' : '−'}${Math.abs(beyond).toFixed(1)} pt`);
    say(parts.flying, row.maxInFlight ? `${count(row.inFlight)} / ${count(row.maxInFlight)}` : count(row.inFlight));
    say(parts.queued, count(row.queued));
    say(parts.wait, row.waitMs ? millis(row.waitMs.p50) : '–');
    mark(parts.wait, 'title', row.waitMs ? `median ${millis(row.waitMs.p50)}, at the 90th percentile ${millis(row.waitMs.p90)}, for a request that comes now` : null);
  };

  return {
    card,
    load(signal) {
      const query = new URLSearchParams({ model, search: search.value, sort, limit });
      return get(`/admin/tenants?${query}`, signal);
    },
    show(answer) {
      // Bars are drawn against the largest of those shown, or with thousands of tenants there would be none to see.
      const scale = Math.max(0.01, ...answer.tenants.map((row) => Math.max(row.share, row.fair))) * 1.04;
      keyed(body, answer.tenants, (row) => row.tenant, make, (node, row) => update(node, row, scale));
      heads.forEach((head, i) => mark(head, 'aria-sort', columns[i].key === sort ? (sort === 'name' ? 'ascending' : 'descending') : null));
      const looked = search.value.trim();
      const searched = looked !== '';
      // Counts move every second; they are read out when somebody searches.
      if (looked !== told && looked) announce(`${count(answer.found)} tenants found.`);
      told = looked;
      say(found, searched ? `${count(answer.found)} of ${count(answer.known)}` : answer.known ? `${count(answer.known)} active` : '');
      frame.hidden = answer.found === 0;
      none.hidden = answer.found > 0;
      say(none, searched ? 'No active tenant has that in its name.' : 'Nobody has anything waiting or in flight.');
      const rest = Math.min(answer.found, MOST) - answer.tenants.length;
      more.hidden = rest <= 0;
      say(more, `Show ${count(Math.min(STEP, Math.max(rest, 0)))} more of ${count(answer.found)}`);
    },
  };
}
