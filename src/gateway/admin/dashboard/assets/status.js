// A model's and a route's state in one word, never by colour alone.

import { el, mark, say } from './dom.js';

const WORDS = {
  healthy: 'Healthy', approaching: 'Approaching', saturated: 'Saturated', unavailable: 'Unavailable', paused: 'Paused',
  open: 'Open', held: 'Held', closed: 'Closed', probing: 'Probing', suspended: 'Suspended',
};
const TONES = {
  healthy: 'good', open: 'good', approaching: 'warn', held: 'warn', probing: 'warn', paused: 'info',
  saturated: 'bad', unavailable: 'bad', closed: 'bad', suspended: 'bad',
};
const URGENCY = ['unavailable', 'saturated', 'paused', 'approaching', 'healthy'];

// What an operator did goes before what it led to.
export const stateOf = (model) => (model.paused ? 'paused' : model.status);
export const urgency = (model) => URGENCY.indexOf(stateOf(model));

export function chip() {
  return el('span', { class: 'chip' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), el('span'));
}

export function setChip(node, state) {
  mark(node, 'data-tone', TONES[state] ?? 'info');
  say(node.lastChild, WORDS[state] ?? state);
}

// How full something is: a bar beside its numbers, which say the same.
export function bar() {
  return el('span', { class: 'bar', 'aria-hidden': 'true' }, el('span', { class: 'fill' }), el('span', { class: 'fair' }));
}

export function setBar(node, share, fair = null) {
  const width = `${Math.round(Math.min(1, share) * 1000) / 10}%`;
  if (node.firstChild.style.width !== width) node.firstChild.style.width = width;
  node.lastChild.hidden = fair === null;
  if (fair !== null) node.lastChild.style.left = `${Math.round(Math.min(1, fair) * 1000) / 10}%`;
}
