// What controllers and operators decided, in words, the latest first.

import { el } from './dom.js';
import { stamp, time } from './format.js';

const TONES = { up: ['↑', 'more'], down: ['↓', 'less'], probe: ['◇', 'trying'], hold: ['‖', 'holding back'], operator: ['●', 'operator'] };

export function decisions(title) {
  const list = el('ol', { class: 'decisions', tabindex: '0', 'aria-label': `${title}, the latest first` });
  const none = el('p', { class: 'none', text: 'Nothing was decided yet. Windows move when requests come.' });
  const card = el('section', { class: 'card', 'aria-label': title }, el('h2', { text: title }), none, list);
  let shown = '';
  return {
    card,
    show(items) {
      // Most seconds bring nothing new.
      const now = JSON.stringify(items);
      if (now === shown) return;
      shown = now;
      none.hidden = items.length > 0;
      list.replaceChildren(...items.map((item) => {
        const [sign, meaning] = TONES[item.tone] ?? ['·', ''];
        const where = [];
        if (item.model) where.push(el('a', { href: `#/model/${encodeURIComponent(item.model)}`, text: item.model }));
        if (item.route) where.push(el('span', { text: item.route }));
        return el('li', { 'data-tone': item.tone },
          el('span', { class: 'sign', 'aria-hidden': 'true', text: sign }),
          el('span', { class: 'sr', text: `${meaning}: ` }),
          el('div', {},
            el('p', { text: item.text }),
            el('p', { class: 'meta' }, el('time', { datetime: stamp(item.at), text: time(item.at) }), ...where)));
      }));
    },
  };
}
