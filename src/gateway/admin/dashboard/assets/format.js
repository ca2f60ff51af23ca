// Numbers and times for people.

const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export const count = (n) => whole.format(n ?? 0);

// Three digits that matter: 0.42, 5.1, 58, 1.2k.
export function short(n) {
  if (!Number.isFinite(n) || n === 0) return '0';
  if (Math.abs(n) >= 1e6) return `${(n / 1e6).toFixed(1)}M`;
  if (Math.abs(n) >= 1e4) return `${(n / 1e3).toFixed(1)}k`;
  if (Math.abs(n) >= 100) return whole.format(Math.round(n));
  return n >= 10 ? n.toFixed(n % 1 < 0.05 ? 0 : 1) : String(Number(n.toFixed(2)));
}

export function millis(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–';
  if (ms < 1) return ms > 0 ? '< 1 ms' : '0 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 2 : 1))} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`;
}

export const percent = (share) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
export const time = (unix) => clock.format(new Date(unix * 1000));
export const stamp = (unix) => new Date(unix * 1000).toISOString();
export const words = (name) => name.replaceAll('_', ' ');
