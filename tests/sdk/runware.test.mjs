// `@runware/sdk-js`, over its WebSocket, against a gateway whose provider is another gateway.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { RunwareServer } from '@runware/sdk-js'

import { Cable, inARow, KEY, QUEUED } from './gateway.mjs'

let far, near, clients

beforeEach(async () => {
  ;[far, near] = await inARow()
  clients = []
})

afterEach(async () => {
  await Promise.all(clients.map((client) => client.disconnect().catch(() => {})))
  await near.stop()
  await far.stop()
})

function connect({ key = KEY, url = near.url.replace('http', 'ws') } = {}) {
  const client = new RunwareServer({ apiKey: key, url, globalMaxRetries: 1, timeoutDuration: 20_000 })
  clients.push(client)
  return client
}

const image = (model = 'sim:image@1', more = {}) => ({ model, positivePrompt: 'a red fox', width: 512, height: 512, ...more })

test('every kind of task', async () => {
  const client = connect()
  const images = await client.imageInference(image('sim:image@1', { numberResults: 2, includeCost: true }))
  assert.equal(new Set(images.map((one) => one.imageUUID)).size, 2)
  assert.ok(images.every((one) => one.imageURL && one.cost))
  const text = await client.textInference({ model: 'sim:text@1', messages: [{ role: 'user', content: 'Tell me of foxes.' }] })
  assert.ok([text].flat()[0].text)
  const video = await client.videoInference({ model: 'sim:video@1', positivePrompt: 'a fox runs', duration: 5 })
  assert.ok([video].flat()[0].videoURL)
  const audio = await client.audioInference({ model: 'sim:audio@1', positivePrompt: 'rain', duration: 10 })
  assert.ok([audio].flat()[0].audioURL)
  const found = await client.modelSearch({ search: 'fox' })
  assert.equal(found.taskType, 'modelSearch')
})

test('the other kinds of task', async () => {
  const client = connect()
  const url = 'https://x.invalid/a.png'
  const model = 'sim:image@1'
  const one = async (promise) => [await promise].flat()[0]
  const makes = [
    ['imageURL', client.photoMaker({ model, positivePrompt: 'a fox', width: 512, height: 512, inputImages: [url], numberResults: 1 })],
    ['imageURL', client.upscale({ inputImage: url, upscaleFactor: 2, model })],
    ['imageURL', client.removeBackground({ inputImage: url, model })],
    ['imageURL', client.vectorize({ inputs: { image: url }, model })],
    ['imageURL', client.imageMasking({ inputImage: url, model })],
    ['guideImageURL', client.controlNetPreprocess({ inputImage: url, preProcessorType: 'canny', model })],
    ['imageUUID', client.imageUpload({ image: 'UE5H' })],
    ['mediaUUID', client.mediaStorage({ operation: 'upload', media: 'UE5H' })],
    ['text', client.caption({ inputImage: url, model })],
    ['text', client.promptEnhance({ prompt: 'a fox', promptMaxLength: 64, promptVersions: 2 })],
    ['outputs', client.threeDInference({ model, positivePrompt: 'a fox' })],
    // What takes that long is only acknowledged.
    ['taskUUID', client.training({ model, inputs: { dataset: url } })],
    ['air', client.modelUpload({ category: 'lora', name: 'n', air: 'a:1@1', version: '1', uniqueIdentifier: 'u', downloadURL: url })],
  ]
  for (const [field, promise] of makes) assert.ok((await within(promise.then((made) => [made].flat()[0])))?.[field], field)
  const [made] = await client.imageInference(image())
  const details = await one(client.getTaskDetails({ taskUUID: made.taskUUID }))
  assert.equal(details.request[0].taskUUID, made.taskUUID)
  const inline = await client.imageInference(image(model, { outputType: 'base64Data' }))
  assert.ok(inline[0].imageBase64Data)
})

test('many at once', async () => {
  const client = connect()
  const answers = await Promise.all(Array.from({ length: 40 }, () => client.imageInference(image())))
  assert.equal(new Set(answers.map(([one]) => one.imageUUID)).size, 40)
})

/** Fails what would wait for ever, as this SDK does where it does not know an answer. */
const within = (promise) => Promise.race([promise, sleep(20_000, undefined, { ref: false }).then(() => assert.fail('no answer'))])

const code = (error) => (Array.isArray(error) ? error[0] : error)?.error?.code ?? error?.code ?? String(error)

test('errors', async () => {
  const client = connect()
  const refused = async (payload) => code(await client.imageInference(payload).then(() => 'served', (error) => error))
  assert.equal(await refused(image('sim:nothing@1')), 'invalidModel')
  assert.equal(await refused(image('sim:image@1', { steps: -1 })), 'invalidParameter')
  assert.match(await refused(image('sim:gone@1')), /serviceUnavailable|queueTimeout/)
  assert.equal(await refused(image('sim:hang@1')), 'providerTimeout')
  // One in its slot, then one in the queue.
  for (const metric of ['fairflow_in_flight', QUEUED]) {
    connect().imageInference(image('sim:full@1')).catch(() => {})
    await near.until('sim:full@1', 1, metric)
  }
  assert.equal(await refused(image('sim:full@1')), 'rateLimitExceeded')
})

test('a wrong key is refused', async () => {
  const client = connect({ key: 'wrong-key-of-nobody' })
  const error = await client.imageInference(image()).then(() => 'served', (error) => error)
  assert.match(JSON.stringify(error) + String(error), /API key|invalidApiKey/i)
})

test('a connection that drops loses nothing', async () => {
  const cable = await Cable.lay(near.url)
  const client = connect({ url: cable.url })
  await client.imageInference(image())
  const under_way = Promise.all([1, 2, 3].map(() => client.videoInference({ model: 'sim:slow@1', positivePrompt: 'x', duration: 5 })))
  await far.until('slow-image', 3)
  cable.cut()
  const answers = await under_way
  assert.equal(answers.length, 3)
  assert.equal(cable.connections, 2)
  // Each was scheduled and done once, so it was charged once.
  assert.deepEqual([await near.counted('sim:slow@1'), await far.counted('slow-image')], [3, 3])
  cable.close()
})

test('each status says what to do', async () => {
  const client = connect()
  await near.order('models/sim:paused@1', { action: 'pause' })
  const expect = async (payload, status, code, says) => {
    const error = await client.imageInference(payload).then(() => assert.fail('served'), (error) => error)
    const told = (Array.isArray(error) ? error[0] : error).error ?? error
    assert.deepEqual([told.status, told.code], [status, code], JSON.stringify(error))
    assert.match(told.message, says)
    return told
  }
  await expect(image('sim:image@1', { steps: -1 }), 400, 'invalidParameter', /steps.*must be/)
  assert.equal((await expect(image('sim:hang@1'), 504, 'providerTimeout', /ask for less/)).retryAfter, undefined)
  const waiting = expect(image('sim:paused@1'), 504, 'queueTimeout', /without being dispatched; retry in/)
  await near.until('sim:paused@1', 1, QUEUED)
  assert.ok((await expect(image('sim:paused@1'), 429, 'rateLimitExceeded', /full; retry in/)).retryAfter >= 1)
  await waiting
  const under_way = client.imageInference(image('sim:slow@1', { numberResults: 4 }))
  await near.until('sim:slow@1')
  await near.order('drain')
  assert.ok((await expect(image(), 503, 'serviceUnavailable', /retry in/)).retryAfter >= 1)
  assert.equal((await under_way).length, 4)
})

test('a drain under load loses nothing in silence', async () => {
  const client = connect()
  const run = () => within(client.imageInference(image('sim:slow@1'))).catch((error) => error)
  const answers = Promise.all(Array.from({ length: 80 }, run))
  await near.until('sim:slow@1', 8, QUEUED)
  const stopped = near.stop()
  const refusals = (await answers).filter((answer) => !answer[0]?.imageURL)
  // What its five seconds do not suffice for is sent away.
  assert.ok(refusals.length > 0 && refusals.length < 72, String(refusals.length))
  for (const error of refusals) assert.equal(code(error), 'serviceUnavailable', JSON.stringify(error))
  assert.equal(await stopped, 0)
})

test('a drain finishes what is under way', async () => {
  const client = connect()
  const under_way = Promise.all([1, 2, 3].map(() => client.imageInference(image('sim:slow@1'))))
  await near.until('sim:slow@1', 3)
  const stopped = near.stop()
  const answers = await under_way
  assert.ok(answers.every(([one]) => one.imageURL))
  assert.equal(await stopped, 0)
})
