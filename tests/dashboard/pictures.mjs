// Takes the pictures of the documentation: node pictures.mjs DIRECTORY [SECONDS of load before].

import { readFileSync } from 'node:fs'
import path from 'node:path'

import { Gateway } from '../sdk/gateway.mjs'
import { HERE, Load, launch, visit } from './world.mjs'

const [, , directory = '.', seconds = '90'] = process.argv
const gateway = await Gateway.start(readFileSync(path.join(HERE, 'show.toml'), 'utf8'))
const load = new Load(gateway)
load.loop('crawler-7', 80, 'gpt-large').loop('nightly-import', 30, 'gpt-large').loop('acme', 24, 'gpt-large').loop('globex', 14, 'gpt-large', 100)
for (const tenant of ['initech', 'umbrella', 'hooli', 'stark', 'wayne', 'vehement']) {
  load.loop(tenant, 2, 'gpt-large', 400).loop(tenant, 2, 'flux-dev', 600).loop(tenant, 1, 'gpt-small', 300)
}
load.loop('acme', 12, 'flux-dev', 100).loop('hooli', 8, 'embed', 30).loop('globex', 3, 'video-1', 4000).loop('stark', 14, 'rated', 50)
const browser = await launch()
const take = async (name, hash, options) => {
  const page = await visit(browser, gateway, hash, options)
  await page.waitForSelector('main[data-ready]')
  await page.waitForTimeout(3500)
  await page.screenshot({ path: path.join(directory, name), fullPage: Boolean(options.full) })
  if (page.wrong.length) console.error(name, page.wrong)
  await page.context().close()
}
await new Promise((done) => setTimeout(done, Number(seconds) * 1000))
const light = { colorScheme: 'light', viewport: { width: 1440, height: 980 } }
const phone = { colorScheme: 'dark', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }
await take('dashboard.png', '/', light)
await take('dashboard-model.png', '/#/model/gpt-large', { ...light, full: true })
await take('dashboard-phone.png', '/#/model/gpt-large', phone)
await browser.close()
load.stop()
await gateway.stop()
process.exit(0)
