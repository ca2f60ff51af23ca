// Asks the gateway. The key, where one is needed, is kept for this tab only and goes nowhere else.

let key = null;
try { key = sessionStorage.getItem('fairflow-key'); } catch { /* asked for anew on each visit */ }

export class Denied extends Error {}

export function useKey(given) {
  key = given;
  try { sessionStorage.setItem('fairflow-key', given); } catch { /* see above */ }
}

async function ask(path, options) {
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'omit' });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const message = body.error?.message ?? `${response.status} ${response.statusText}`;
  if (response.status === 401) throw new Denied(message);
  throw Object.assign(new Error(message), { status: response.status });
}

export const get = (path, signal) => ask(path, { signal });

export const post = (path, body) =>
  ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

export const modelPath = (model) => `/admin/models/${encodeURIComponent(model)}`;
