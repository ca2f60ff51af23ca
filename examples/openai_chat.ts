// OpenAI's JavaScript SDK (`npm install openai`) through a gateway: only the URL is its own.
// Start one with `fairflow serve`, which simulates, and run this.

import OpenAI from 'openai'

const client = new OpenAI({ baseURL: 'http://127.0.0.1:8080/v1', apiKey: 'any' })
const stream = await client.chat.completions.create({
  model: 'sim-text',
  messages: [{ role: 'user', content: 'Tell me of foxes.' }],
  stream: true,
})
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? '')
console.log()
