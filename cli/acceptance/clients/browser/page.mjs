// What runs in the page: a wallet that signs in the browser, requests over HTTP, heads and receipts over WebSocket.
import { createPublicClient, createWalletClient, http, parseEther, webSocket } from 'viem'
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'

const mnemonic = 'test test test test test test test test test test test junk'

// Sends ether to a new key, and back from it; what the receipts over WebSocket and the watched heads say.
globalThis.send = async (rpc) => {
  const account = mnemonicToAccount(mnemonic, { addressIndex: 6 })
  const wallet = createWalletClient({ account, chain: foundry, transport: http(rpc) })
  const socket = createPublicClient({ chain: foundry, transport: webSocket(rpc.replace('http', 'ws')) })
  const heads = []
  const stop = socket.watchBlockNumber({ onBlockNumber: (number) => heads.push(Number(number)) })
  await new Promise((wake) => setTimeout(wake, 200))
  const fresh = privateKeyToAccount(generatePrivateKey())
  const receipts = []
  for (const [from, to, value] of [[account, fresh.address, '1'], [fresh, account.address, '0.5']]) {
    const hash = await wallet.sendTransaction({ account: from, to, value: parseEther(value) })
    const { status, blockNumber, gasUsed } = await socket.waitForTransactionReceipt({ hash })
    receipts.push({ status, block: Number(blockNumber), gas: Number(gasUsed) })
  }
  const balance = await socket.getBalance({ address: fresh.address })
  for (let i = 0; i < 100 && !heads.includes(receipts[1].block); i++) await new Promise((wake) => setTimeout(wake, 50))
  stop()
  return { receipts, heads, balance: balance.toString() }
}

// Whether a page of this origin, under this name of the node, gets an answer over HTTP and a connection over WebSocket.
globalThis.reach = async (rpc) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] })
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  const over_http = await fetch(rpc, request).then((answer) => answer.ok, () => false)
  const over_socket = await new Promise((done) => {
    const socket = new WebSocket(rpc.replace('http', 'ws'))
    socket.onopen = () => done(true)
    socket.onerror = () => done(false)
  })
  return { over_http, over_socket }
}
