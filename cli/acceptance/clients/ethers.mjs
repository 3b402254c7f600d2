// node ethers.mjs [URL]: ethers 6 against a development chain. Prints `gas NAME N` lines; exits with 1 if something is wrong.
import assert from 'node:assert/strict'
import { ContractFactory, JsonRpcProvider, TypedDataEncoder, Wallet, WebSocketProvider, verifyTypedData } from 'ethers'
import { counter } from './compile.mjs'

const url = process.argv[2] ?? 'http://127.0.0.1:8545'
const provider = new JsonRpcProvider(url, undefined, { polling: true, pollingInterval: 50, cacheTimeout: -1 })
// The development account that other scripts leave alone, so that nonces do not meet.
const wallet = new Wallet('0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d', provider)
const gas = (name, receipt) => console.log('gas', `ethers.${name}`, Number(receipt.gasUsed))

const factory = new ContractFactory(counter.abi, counter.bytecode, wallet)
const contract = await factory.deploy(7n, { value: 1n })
gas('deploy', await contract.deploymentTransaction().wait())
assert.equal(await contract.value(), 7n)
assert.equal(await provider.getBalance(contract.target), 1n)

const heard = new Promise((resolve) => contract.on('Counted', (by, value) => resolve([by, value])))
const added = await (await contract.add(5n)).wait()
gas('add', added)
assert.deepEqual(await heard, [wallet.address, 12n])
contract.removeAllListeners()
const [log] = await contract.queryFilter(contract.filters.Counted(wallet.address), added.blockNumber)
assert.equal(log.args.value, 12n)

await assert.rejects(contract.add.staticCall(101n), (error) => error.revert.name === 'TooMuch' && error.revert.args[0] === 101n)
await assert.rejects(contract.refuse(), (error) => error.reason === 'no way')
await assert.rejects(contract.panics(0n), (error) => error.revert.name === 'Panic')
const failing = await contract.add(101n, { gasLimit: 100_000n })
await assert.rejects(failing.wait(), (error) => error.receipt.status === 0)

const to = '0x00000000000000000000000000000000000000aa'
const types = [
  ['legacy', { type: 0 }],
  ['accessList', { type: 1, accessList: [{ address: to, storageKeys: [`0x${'0'.repeat(64)}`] }] }],
  ['fee', { type: 2 }],
]
for (const [name, fields] of types) {
  const sent = await wallet.sendTransaction({ to, value: 3n, ...fields })
  const receipt = await sent.wait()
  gas(name, receipt)
  assert.equal((await provider.getTransaction(sent.hash)).type, fields.type)
}
const authorization = await wallet.authorize({ address: contract.target, nonce: (await wallet.getNonce()) + 1 })
const delegated = await (await wallet.sendTransaction({ type: 4, to, authorizationList: [authorization] })).wait()
gas('setCode', delegated)
assert.equal(await provider.getCode(wallet.address), `0xef0100${contract.target.slice(2).toLowerCase()}`)

const domain = { name: 'Laminar', chainId: (await provider.getNetwork()).chainId }
const fields = { Mail: [{ name: 'text', type: 'string' }] }
const first = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
const payload = TypedDataEncoder.getPayload(domain, fields, { text: 'hi' })
const signature = await provider.send('eth_signTypedData_v4', [first, payload])
assert.equal(verifyTypedData(domain, fields, { text: 'hi' }, signature), first)

const socket = new WebSocketProvider(url.replace('http', 'ws'))
const seen = { block: 0, pending: 0, log: 0 }
await socket.on('block', () => seen.block++)
await socket.on('pending', () => seen.pending++)
const topics = await contract.filters.Counted().getTopicFilter()
await socket.on({ address: contract.target, topics }, () => seen.log++)
await socket.send('eth_chainId', [])
await (await contract.add(1n)).wait()
for (let i = 0; i < 100 && !(seen.block && seen.pending && seen.log); i++) await new Promise((wake) => setTimeout(wake, 50))
assert.ok(seen.block && seen.pending && seen.log, `over WebSocket: ${JSON.stringify(seen)}`)
await socket.destroy()
provider.destroy()
console.log('ethers ok')
