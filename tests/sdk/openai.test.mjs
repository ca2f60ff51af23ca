// The `openai` package against a gateway whose provider is another gateway.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import OpenAI, { toFile } from 'openai'

import { inARow, KEY } from './gateway.mjs'

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
  for (let n = 0; n < 2; n++) {
    const controller = new AbortController()
    create({ model: 'sim:full@1' }, { signal: controller.signal }).catch(() => {})
    hanging.push(controller)
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  await assert.rejects(create({ model: 'sim:full@1' }), OpenAI.RateLimitError)
  hanging.forEach((controller) => controller.abort())
})
