// The charts of a history: uPlot, in the page's colours, with a legend that says the latest numbers, or those pointed at.

import { el, mark, say } from './dom.js';
import { time } from './format.js';

/* global uPlot */

const probe = el('span', { hidden: true });
document.body.append(probe);

// Resolves a colour of the style sheet for a canvas.
function colour(name, alpha = 1) {
  probe.style.color = `var(--${name})`;
  const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

const all = new Set();
const repaint = () => all.forEach((chart) => chart.rebuild());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
addEventListener('theme', repaint);

// `series`: {key, label, colour, fill, dash, step}; `stacked` piles them up; `format` words a value; `wide` where that is long.
export function chart({ title, note, series, stacked, format, wide }) {
  const values = series.map(() => el('b'));
  const legend = el('ul', { class: 'legend' }, ...series.map((line, i) =>
    el('li', {}, el('span', { class: `swatch ${line.dash ? 'dashed' : ''}`, 'data-colour': line.colour, 'aria-hidden': 'true' }),
      el('span', { text: line.label }), values[i])));
  const at = el('span', { class: 'at' });
  const place = el('div', { class: 'plot', role: 'img', 'aria-label': title });
  const card = el('section', { class: 'card chart', 'aria-label': title },
    el('div', { class: 'row' }, el('h2', { text: title }), el('span', { class: 'note', text: note ?? '' }), el('span', { class: 'grow' }), at), legend, place);
  let plot = null;
  let raw = [[], ...series.map(() => [])];

  // The topmost of a pile is drawn first, so that those below lie over it.
  const order = stacked ? series.map((_, i) => series.length - 1 - i) : series.map((_, i) => i);
  function data() {
    if (!stacked) return raw;
    const sums = [];
    let below = raw[0].map(() => 0);
    for (let i = 0; i < series.length; i++) sums.push((below = raw[i + 1].map((value, n) => (value === null ? null : value + (below[n] ?? 0)))));
    return [raw[0], ...order.map((i) => sums[i])];
  }

  function tell(index) {
    const n = index ?? raw[0].length - 1;
    say(at, index === null || index === undefined ? '' : time(raw[0][n]));
    series.forEach((_, i) => say(values[i], format(raw[i + 1][n] ?? null)));
    if (index === null || index === undefined) {
      mark(place, 'aria-label', `${title}. Now: ${series.map((line, i) => `${line.label} ${values[i].textContent}`).join(', ')}`);
    }
  }

  function build() {
    plot?.destroy();
    const axis = { stroke: colour('muted'), grid: { stroke: colour('line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    plot = new uPlot({
      width: place.clientWidth || 300,
      height: 168,
      padding: [8, 26, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: 'history' } },
      scales: {
        x: { time: true, range: (_, least, most) => [Math.min(least ?? 0, (most ?? 60) - 60), most ?? 60] },
        y: { range: (_, __, most) => [0, Math.max(most * 1.12, 1)] },
      },
      axes: [
        { ...axis, space: 76, size: 26, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => time(tick).slice(0, ticks[1] - ticks[0] < 60 ? 8 : 5)) },
        { ...axis, size: wide ? 58 : 44, space: 34, values: (_, ticks) => ticks.map((tick) => format(tick)) },
      ],
      series: [{}, ...order.map((i) => {
        const { label, colour: name, fill, dash, step } = series[i];
        return {
          label,
          stroke: colour(name),
          width: dash ? 1.5 : 1.75,
          dash: dash ? [5, 4] : undefined,
          fill: fill || stacked ? colour(name, stacked ? 0.55 : 0.16) : undefined,
          paths: step ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
          points: { show: false },
          spanGaps: false,
        };
      })],
      // Of a pile, each is filled down to the one below it.
      bands: stacked ? order.slice(1).map((_, i) => ({ series: [i + 1, i + 2] })) : [],
      hooks: { setCursor: [(self) => tell(self.cursor.idx)] },
    }, data(), place);
    tell(null);
  }

  const self = {
    card,
    rebuild: build,
    show(history) {
      raw = [history.at, ...series.map(({ key }) => history[key])];
      if (!plot) build();
      else plot.setData(data());
      if (plot.cursor.idx === null || plot.cursor.idx === undefined) tell(null);
    },
    end() {
      all.delete(self);
      sizes.disconnect();
      plot?.destroy();
    },
  };
  const sizes = new ResizeObserver(() => plot?.setSize({ width: place.clientWidth, height: 168 }));
  sizes.observe(place);
  all.add(self);
  return self;
}

const SPAN = 600;

// A history that grows by what the gateway has new; `keys` are its columns. Where nothing was recorded is a gap.
export function history(keys) {
  const kept = Object.fromEntries(['at', ...keys].map((key) => [key, []]));
  let last = 0;
  return {
    kept,
    get since() { return last; },
    take(fresh, now) {
      fresh.at.forEach((at, n) => {
        if (last && at - last > 15) {
          kept.at.push(last + 1);
          for (const key of keys) kept[key].push(null);
        }
        kept.at.push(at);
        for (const key of keys) kept[key].push(fresh[key][n]);
        last = at;
      });
      const old = kept.at.findIndex((at) => at > now - SPAN);
      if (old > 0) for (const list of Object.values(kept)) list.splice(0, old);
      return kept;
    },
  };
}

// A line as small as a word: numbers that a row of a table has room for.
export function sketch(values) {
  const most = Math.max(...values);
  const step = 96 / (values.length - 1);
  return values.map((value, i) => `${i ? 'L' : 'M'}${(i * step).toFixed(1)} ${(21 - (value / most) * 19).toFixed(1)}`).join('');
}
