// Orders to a model, each confirmed first; and the one dialog of the page.

import { modelPath, post } from './api.js';
import { count } from './format.js';

const $ = (id) => document.getElementById(id);
const dialog = $('ask');

export function announce(text) {
  $('said').textContent = text;
}

// Asks, and answers with what was entered ('' without a field), or null. `act` may fail: then the dialog says why and stays.
export function ask({ title, text, yes, danger, field, act, must }) {
  return new Promise((done) => {
    $('ask-title').textContent = title;
    $('ask-text').textContent = text;
    $('ask-yes').textContent = yes;
    $('ask-yes').className = danger ? 'danger' : 'primary';
    $('ask-no').hidden = Boolean(must);
    $('ask-wrong').textContent = '';
    $('ask-field').hidden = !field;
    const input = $('ask-input');
    // A field of an earlier question must not bind this one.
    for (const name of ['min', 'max', 'required']) input.removeAttribute(name);
    input.type = 'text';
    input.value = '';
    if (field) {
      $('ask-label').textContent = field.label;
      for (const [name, value] of Object.entries(field.input)) input.setAttribute(name, value);
      input.value = field.value ?? '';
    }
    const end = (answer) => {
      $('ask-no').onclick = dialog.oncancel = dialog.firstElementChild.onsubmit = null;
      dialog.close();
      done(answer);
    };
    $('ask-no').onclick = () => end(null);
    dialog.oncancel = (event) => {
      event.preventDefault();
      if (!must) end(null);
    };
    dialog.firstElementChild.onsubmit = async (event) => {
      event.preventDefault();
      $('ask-yes').disabled = true;
      try {
        await act?.(input.value);
        end(input.value);
      } catch (error) {
        $('ask-wrong').textContent = error.message;
      } finally {
        $('ask-yes').disabled = false;
      }
    };
    if (!dialog.open) dialog.showModal();
    (field ? input : danger ? $('ask-no') : $('ask-yes')).focus();
    if (field) input.select();
  });
}

export async function order(capacity, action) {
  const { model } = capacity;
  const send = (body) => post(modelPath(model), body);
  const questions = {
    pause: {
      title: `Pause ${model}?`,
      text: `Nothing more is dispatched. The ${count(capacity.inFlight)} in flight end as usual; what waits and what comes waits on, and is refused when it has waited as long as it may.`,
      yes: 'Pause', danger: true, said: `${model} is paused.`, act: () => send({ action: 'pause' }),
    },
    resume: {
      title: `Resume ${model}?`,
      text: `Dispatching goes on at once, with the ${count(capacity.queueDepth)} that wait.`,
      yes: 'Resume', said: `${model} goes on.`, act: () => send({ action: 'resume' }),
    },
    pin: {
      title: `Pin the window of ${model}?`,
      text: 'Each of its routes holds this many requests in flight at most, and learns no more, until you let it.',
      yes: 'Pin', said: `The window of ${model} is pinned.`,
      field: {
        label: 'Requests in flight per route',
        input: { type: 'number', min: 1, max: 100000, required: '', inputmode: 'numeric' },
        value: Math.max(1, capacity.pinnedWindow ?? Math.round(capacity.window / Math.max(1, capacity.routes.length))),
      },
      act: (window) => send({ action: 'pin', window: Number(window) }),
    },
    unpin: {
      title: `Let ${model} learn again?`,
      text: 'Its windows move by themselves again, from where they are.',
      yes: 'Unpin', said: `The window of ${model} learns again.`, act: () => send({ action: 'unpin' }),
    },
    release: {
      title: `Try ${model} again now?`,
      text: 'What holds its routes and their accounts is lifted: holds, suspensions, spent quotas, learned rates, closed breakers. One request goes first on each.',
      yes: 'Try again', said: `${model} is tried again.`, act: () => send({ action: 'release' }),
    },
  };
  const { said, ...question } = questions[action];
  if ((await ask(question)) !== null) announce(said);
}
