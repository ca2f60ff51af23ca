// The `openai` package against a gateway whose provider is another gateway.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import OpenAI, { toFile } from 'openai'

import { inARow, KEY, QUEUED } from './gateway.mjs'

let far, near, client

before(async () => {
  ;[far, near] = await inARow()
  client = new OpenAI({ baseURL: near.url, apiKey: KEY, maxRetries: 0, timeout: 20_000 })
})

after(async () => {
  await near.stop()
  await far.stop()
})

const messages = [{ role: 'user', content: 'Tell me of foxes.' }]

test('chat, plain and streamed', async () => {
  const plain = await client.chat.completions.create({ model: 'sim:text@1', messages })
  assert.ok(plain.choices[0].message.content)
  const stream = await client.chat.completions.create({
    model: 'sim:text@1', messages, stream: true, stream_options: { include_usage: true },
  })
  let text = '', usage
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? ''
    usage = chunk.usage ?? usage
  }
  assert.ok(text.includes('simulated') && usage.completion_tokens > 0)
  const whole = await client.chat.completions.stream({ model: 'sim:text@1', messages }).finalChatCompletion()
  assert.equal(whole.choices[0].message.role, 'assistant')
})

test('images and models', async () => {
  const images = await client.images.generate({ model: 'sim:image@1', prompt: 'a red fox', n: 2, size: '512x512' })
  assert.equal(images.data.length, 2)
  const names = []
  for await (const model of client.models.list()) names.push(model.id)
  assert.ok(names.includes('sim:text@1'))
})

test('image edits', async () => {
  const pixel = () => toFile(Buffer.from('PNG'), 'fox.png', { type: 'image/png' })
  const edit = { model: 'sim:image@1', prompt: 'a hat', size: '512x512' }
  const edited = await client.images.edit({ ...edit, n: 2, image: await pixel(), mask: await pixel() })
  assert.equal(edited.data.length, 2)
  const several = await client.images.edit({ ...edit, image: [await pixel(), await pixel()] })
  assert.equal(several.data.length, 1)
  await assert.rejects(client.images.edit({ ...edit, size: 'huge', image: await pixel() }), OpenAI.BadRequestError)
})

test('responses are kept and continued', async () => {
  const first = await client.responses.create({ model: 'sim:text@1', input: 'Tell me of foxes.' })
  assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text)
  const second = await client.responses.create({ model: 'sim:text@1', input: 'More.', previous_response_id: first.id })
  assert.ok(second.usage.input_tokens > first.usage.input_tokens)
  await client.responses.delete(first.id)
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError)
})

test('videos', async () => {
  const ids = []
  for (let n = 0; n < 3; n++) ids.push((await client.videos.create({ model: 'sim:video@1', prompt: `fox ${n}` })).id)
  const done = await client.videos.createAndPoll?.({ model: 'sim:video@1', prompt: 'x' })
  if (done) assert.equal((await client.videos.delete(done.id)).deleted, true)
  const listed = []
  for await (const video of client.videos.list({ limit: 2 })) listed.push(video.id)
  assert.deepEqual(listed, ids.toReversed())
  assert.equal((await client.videos.delete(ids[0])).deleted, true)
  await assert.rejects(client.videos.retrieve(ids[0]), OpenAI.NotFoundError)
})

test('errors', async () => {
  const create = (more, options) => client.chat.completions.create({ model: 'sim:text@1', messages, ...more }, options)
  await assert.rejects(create({ model: 'nobody' }), OpenAI.NotFoundError)
  await assert.rejects(create({ messages: 'hello' }), OpenAI.BadRequestError)
  await assert.rejects(create({ model: 'sim:gone@1' }), (error) => [503, 504].includes(error.status))
  const stranger = client.withOptions({ apiKey: 'wrong' })
  await assert.rejects(stranger.chat.completions.create({ model: 'sim:text@1', messages }), OpenAI.AuthenticationError)
  // One in its slot, then one in the queue: at once, the second may come before the first has left the queue.
  const hanging = []
  for (const metric of ['fairflow_in_flight', QUEUED]) {
    const controller = new AbortController()
    create({ model: 'sim:full@1' }, { signal: controller.signal }).catch(() => {})
    hanging.push(controller)
    await near.until('sim:full@1', 1, metric)
  }
  await assert.rejects(create({ model: 'sim:full@1' }), OpenAI.RateLimitError)
  hanging.forEach((controller) => controller.abort())
})

/** Expects a refusal as the package words it. */
async function refused(promise, kind, status, code, says) {
  const error = await promise.then(() => assert.fail('served'), (error) => error)
  assert.deepEqual([error.constructor.name, error.status, error.code], [kind.name, status, code], String(error))
  assert.match(error.message, says)
  assert.ok(error.requestID)
  return error.headers
}

test('each status says what to do', async () => {
  const create = (more, options) => client.chat.completions.create({ model: 'sim:text@1', messages, ...more }, options)
  const stranger = client.withOptions({ apiKey: 'wrong' }).chat.completions.create({ model: 'sim:text@1', messages })
  await refused(stranger, OpenAI.AuthenticationError, 401, 'invalid_api_key', /authorization: Bearer KEY/)
  const unclassed = create({}, { headers: { 'x-fairflow-class': 'gold' } })
  await refused(unclassed, OpenAI.BadRequestError, 400, 'invalid_request', /x-fairflow-class.*must be interactive/)
  const model = 'sim:paused-text@1'
  await near.order(`models/${model}`, { action: 'pause' })
  for (const stream of [false, true]) {
    const late = await refused(create({ model: 'sim:hang@1', stream }), OpenAI.InternalServerError, 504, 'upstream_timeout', /ask for less/)
    assert.equal(late.get('retry-after'), null)
    const waited = create({ model, stream }, { headers: { 'x-fairflow-max-wait': '300' } })
    const headers = await refused(waited, OpenAI.InternalServerError, 504, 'queue_timeout', /retry in/)
    assert.ok(Number(headers.get('retry-after')) >= 1)
  }
  await near.order(`models/${model}`, { action: 'resume' })
})

test('its own retry waits as long as it is told', async () => {
  const model = 'sim:paused-text@1'
  await near.order(`models/${model}`, { action: 'pause' })
  const waiting = client.chat.completions.create({ model, messages })
  await near.until(model, 1, QUEUED)
  const sent = [], told = []
  const watched = async (...call) => {
    sent.push(performance.now())
    const answer = await fetch(...call)
    told.push(Number(answer.headers.get('retry-after-ms')))
    return answer
  }
  const patient = client.withOptions({ maxRetries: 1, fetch: watched })
  await refused(patient.chat.completions.create({ model, messages }), OpenAI.RateLimitError, 429, 'queue_full', /retry in/)
  await near.order(`models/${model}`, { action: 'resume' })
  assert.ok((await waiting).choices)
  assert.equal(sent.length, 2)
  // By itself it would wait half a second at most.
  assert.ok(told[0] > 600 && sent[1] - sent[0] >= told[0] - 1, `${told} ${sent}`)
})

test('a drain under load loses nothing in silence', async () => {
  const [farther, nearer] = await inARow()
  const draining = client.withOptions({ baseURL: nearer.url })
  const image = () => draining.images.generate({ model: 'sim:slow@1', prompt: 'a red fox' }).catch((error) => error)
  const answers = Promise.all(Array.from({ length: 80 }, image))
  await nearer.until('sim:slow@1', 8, QUEUED)
  const stopped = nearer.stop()
  const refusals = (await answers).filter((answer) => !answer.data)
  // What its five seconds do not suffice for is sent away.
  assert.ok(refusals.length > 0 && refusals.length < 72, String(refusals.length))
  for (const error of refusals) assert.deepEqual([error.constructor.name, error.status, error.code], ['InternalServerError', 503, 'no_capacity'])
  assert.equal(await stopped, 0)
  await farther.stop()
})
