// Starts and stops gateways for the tests in JavaScript, each on ports of its own; and a connection that can be cut.

import { spawn, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const here = import.meta.dirname
const binary = path.join(here, '../../target/debug/fairflow')

export const KEY = 'a-key-of-acme'

export const QUEUED = 'fairflow_queue_depth'

export class Gateway {
  static async start(config) {
    const gateway = new Gateway()
    gateway.directory = mkdtempSync(path.join(tmpdir(), 'fairflow-'))
    const file = path.join(gateway.directory, 'fairflow.toml')
    const server = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
    writeFileSync(file, config.includes('[server]\n') ? config.replace('[server]\n', server) : server + config)
    gateway.process = spawn(binary, ['serve', '--config', file], { stdio: ['ignore', 'pipe', 'ignore'] })
    const lines = readline.createInterface(gateway.process.stdout)[Symbol.asyncIterator]()
    const address = async () => (await lines.next()).value.split(/\s+/)[1]
    gateway.url = await address()
    gateway.admin = await address()
    return gateway
  }

  /** Posts to the admin port: `order('drain')`, `order('models/NAME', { action: 'pause' })`. */
  async order(path, what = {}) {
    const answer = await fetch(`${this.admin}admin/${path}`, { method: 'POST', body: JSON.stringify(what) })
    if (!answer.ok) throw new Error(await answer.text())
  }

  /** Returns a metric of a model, the number of its requests without one; the sum over all other labels. */
  async counted(model, metric = 'fairflow_requests_total') {
    const lines = (await (await fetch(`${this.admin}metrics`)).text()).split('\n')
    const found = lines.filter((line) => line.startsWith(`${metric}{`) && line.includes(`model="${model}"`))
    return found.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  /** Waits until a metric of a model comes to a count, by default until so many requests are in flight. */
  async until(model, count = 1, metric = 'fairflow_in_flight') {
    const end = Date.now() + 20_000
    for (let now; (now = await this.counted(model, metric)) < count; await sleep(20)) {
      if (Date.now() > end) throw new Error(`${metric} of ${model} is ${now} after 20 s, not ${count}`)
    }
  }

  /** Begins a drain and waits for its end; returns the exit status. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGTERM')
      const killer = setTimeout(() => this.process.kill('SIGKILL'), 10_000)
      await once(this.process, 'exit')
      clearTimeout(killer)
    }
    rmSync(this.directory, { recursive: true, force: true })
    return this.process.exitCode
  }
}

/** Starts a gateway that simulates, and one in front of it. */
export async function inARow() {
  const far = await Gateway.start(readFileSync(path.join(here, 'far.toml'), 'utf8'))
  const hash = execFileSync(binary, ['hash-key'], { input: KEY }).toString().trim().replaceAll('"', '')
  const near = readFileSync(path.join(here, 'near.toml'), 'utf8')
  return [far, await Gateway.start(near.replaceAll('URL', far.url).replaceAll('HASH', hash))]
}

/** A connection to a gateway that can be cut. */
export class Cable {
  sockets = new Set()
  connections = 0

  static async lay(url) {
    const cable = new Cable()
    const { hostname, port } = new URL(url)
    cable.server = net.createServer((near) => {
      cable.connections += 1
      const far = net.connect(port, hostname)
      for (const [one, other] of [[near, far], [far, near]]) {
        cable.sockets.add(one)
        one.on('error', () => {}).on('close', () => other.destroy())
        one.pipe(other)
      }
    })
    cable.server.listen(0, '127.0.0.1')
    await once(cable.server, 'listening')
    cable.url = `ws://127.0.0.1:${cable.server.address().port}/v1`
    return cable
  }

  cut() {
    this.sockets.forEach((socket) => socket.resetAndDestroy())
    this.sockets.clear()
  }

  close() {
    this.cut()
    this.server.close()
  }
}
