// A gateway with load on it, and a browser in front: what the tests and the pictures of the dashboard have in common.

import http from 'node:http'

import { chromium } from 'playwright-core'

export const HERE = import.meta.dirname

export async function launch() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

/** Sends chats in closed loops, `loops` at a time for each tenant, until it is stopped. */
export class Load {
  agent = new http.Agent({ keepAlive: true, maxSockets: Infinity })
  on = true
  statuses = {}

  constructor(gateway) {
    this.gateway = gateway
  }

  loop(tenant, loops, model, pause = 0) {
    for (let i = 0; i < loops; i++) this.#run(tenant, model, pause)
    return this
  }

  async #run(tenant, model, pause) {
    while (this.on) {
      try {
        const status = await this.send(tenant, model)
        this.statuses[status] = (this.statuses[status] ?? 0) + 1
        const rest = status === 200 ? pause : 200
        if (rest) await new Promise((done) => setTimeout(done, rest * (0.5 + Math.random())))
      } catch {
        // The gateway has gone, or the load has ended.
        return
      }
    }
  }

  send(tenant, model) {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] })
    return new Promise((done, fail) => {
      const request = http.request(`${this.gateway.url}/chat/completions`, {
        agent: this.agent, method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-fairflow-tenant': encodeURIComponent(tenant).includes('%') ? Buffer.from(tenant).toString('latin1') : tenant },
      }, (response) => {
        response.resume().on('end', () => done(response.statusCode)).on('error', fail)
      })
      request.on('error', fail).end(body)
    })
  }

  stop() {
    this.on = false
    this.agent.destroy()
  }
}

/** A page at the dashboard that remembers what it asked for and what went wrong. */
export async function visit(browser, gateway, path = '', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
  const page = await context.newPage()
  page.asked = []
  page.wrong = []
  page.on('request', (request) => page.asked.push(request.url()))
  page.on('pageerror', (error) => page.wrong.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && page.wrong.push(message.text()))
  page.setDefaultTimeout(15_000)
  await page.goto(new URL(path, gateway.admin).href)
  return page
}
