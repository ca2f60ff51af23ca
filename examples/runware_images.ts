// Runware's JavaScript SDK (`npm install @runware/sdk-js`) through a gateway: only the URL is its own.
// Start one with `fairflow serve`, which simulates, and run this.

import { RunwareServer } from '@runware/sdk-js'

const client = new RunwareServer({ apiKey: 'any', url: 'ws://127.0.0.1:8080/v1' })
const images = await client.imageInference({
  model: 'sim-image',
  positivePrompt: 'a red fox at dawn',
  width: 512,
  height: 512,
})
for (const image of images ?? []) console.log(image.imageURL)
await client.disconnect()
