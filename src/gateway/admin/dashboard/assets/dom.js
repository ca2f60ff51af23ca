// Elements. Text is always set as text: names of tenants and models come from outside.

export function el(tag, { class: names, text, on, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (names) node.className = names;
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== undefined && value !== false && value !== null) node.setAttribute(name, value);
  }
  for (const [event, act] of Object.entries(on ?? {})) node.addEventListener(event, act);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = 'http:' + '//www.w3.org/2000/svg';

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// These touch the page only where something has changed: most of it stands still from second to second.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Makes the children of `parent` those of `items`, in order: a node per key is made once, and updated.
export function keyed(parent, items, key, make, update) {
  const nodes = (parent.keyed ??= new Map());
  const wanted = new Set();
  let next = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    let node = nodes.get(name);
    if (!node) nodes.set(name, (node = make(item)));
    update(node, item);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
  for (const [name, node] of nodes) {
    if (!wanted.has(name)) {
      node.remove();
      nodes.delete(name);
    }
  }
}

// A table with a caption for those who do not see it; `columns` are {name, class, sort}. Returns [frame, body, heads].
export function table(caption, columns) {
  const heads = columns.map(({ name, class: names, sort }) =>
    el('th', { scope: 'col', class: names },
      sort ? el('button', { type: 'button', class: 'sort', text: name, on: { click: sort } }) : name));
  const body = el('tbody');
  const whole = el('table', {}, el('caption', { class: 'sr', text: caption }), el('thead', {}, el('tr', {}, ...heads)), body);
  return [el('div', { class: 'frame' }, whole), body, heads];
}

// One number with its name, and a note under it.
export function tile(label, note) {
  const value = el('strong', { text: '–' });
  const under = el('small', { text: note ?? '' });
  return { node: el('div', { class: 'tile' }, el('span', { text: label }), value, under), value, under };
}
