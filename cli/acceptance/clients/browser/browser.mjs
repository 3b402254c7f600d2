// node browser.mjs CHROMIUM RPC PAGE_PORT: a page with viem in a headless Chromium against a development chain at RPC, which lets
// pages of http://127.0.0.1:PAGE_PORT call. Exits with 1 if something is wrong.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'

const [executablePath, rpc, port] = process.argv.slice(2)
const rpcPort = new URL(rpc).port
const { outputFiles } = await build({ entryPoints: ['page.mjs'], bundle: true, format: 'iife', write: false, logLevel: 'error' })
const server = createServer((request, response) => {
  const isScript = request.url === '/page.js'
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
  response.end(isScript ? outputFiles[0].text : '<!doctype html><title>page</title><script src="/page.js"></script>')
})
await new Promise((ready) => server.listen(port, '127.0.0.1', ready))

const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--host-resolver-rules=MAP elsewhere.example 127.0.0.1']
const browser = await chromium.launch({ executablePath, chromiumSandbox: false, args })
try {
  const open = async (host) => {
    const page = await browser.newPage()
    await page.goto(`http://${host}:${port}/`)
    return page
  }
  const page = await open('127.0.0.1')
  const sent = await page.evaluate((url) => globalThis.send(url), rpc)
  assert.deepEqual(sent.receipts.map(({ status, gas }) => [status, gas]), [['success', 21000], ['success', 21000]])
  assert.ok(sent.receipts[1].block > sent.receipts[0].block && sent.heads.includes(sent.receipts[1].block), JSON.stringify(sent))
  assert.ok(BigInt(sent.balance) > 0n && BigInt(sent.balance) < 500_000_000_000_000_000n, sent.balance)
  console.log('browser: two transactions signed in the page, their receipts and heads over WebSocket')

  const reach = async (host, url) => (await open(host)).evaluate((url) => globalThis.reach(url), url)
  assert.deepEqual(await reach('127.0.0.1', rpc), { over_http: true, over_socket: true })
  // The same page under another origin, which was not allowed.
  assert.deepEqual(await reach('localhost', rpc), { over_http: false, over_socket: false })
  // A page whose name its owner made resolve to this machine, and which calls the node under that name.
  const rebound = `http://elsewhere.example:${rpcPort}`
  assert.deepEqual(await reach('elsewhere.example', rebound), { over_http: false, over_socket: false })
  // And the allowed page, calling the node under a name that is not the node's.
  assert.deepEqual(await reach('127.0.0.1', rebound), { over_http: false, over_socket: false })
  console.log('browser: pages of other origins and names get neither answers nor connections')
} finally {
  await browser.close()
  server.close()
}
console.log(`browser ok: ${browser.version()}`)
