// node viem.mjs [URL]: viem 2 against a development chain. Prints `gas NAME N` lines; exits with 1 if something is wrong.
import assert from 'node:assert/strict'
import { BaseError, ContractFunctionRevertedError, createPublicClient, createTestClient, createWalletClient, http, parseEther, webSocket } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { counter } from './compile.mjs'

const url = process.argv[2] ?? 'http://127.0.0.1:8545'
const account = mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex: 2 })
const client = createPublicClient({ chain: foundry, transport: http(url), pollingInterval: 50 })
const wallet = createWalletClient({ account, chain: foundry, transport: http(url) })
const test = createTestClient({ chain: foundry, mode: 'anvil', transport: http(url) })
const mined = async (name, hash) => {
  const receipt = await client.waitForTransactionReceipt({ hash })
  console.log('gas', `viem.${name}`, Number(receipt.gasUsed))
  assert.equal(receipt.status, 'success', name)
  return receipt
}

const deployed = await mined('deploy', await wallet.deployContract({ ...counter, args: [7n] }))
const contract = { address: deployed.contractAddress, abi: counter.abi }
const socket = createPublicClient({ chain: foundry, transport: webSocket(url.replace('http', 'ws')) })
const heads = [], hashes = [], logs = []
const stops = [
  socket.watchBlocks({ onBlock: (block) => block && heads.push(block.number) }),
  socket.watchPendingTransactions({ onTransactions: (seen) => hashes.push(...seen) }),
  socket.watchContractEvent({ ...contract, eventName: 'Counted', onLogs: (seen) => logs.push(...seen) }),
]
await new Promise((wake) => setTimeout(wake, 300))
const { request } = await client.simulateContract({ ...contract, account, functionName: 'add', args: [5n] })
await mined('add', await wallet.writeContract(request))
assert.equal(await client.readContract({ ...contract, functionName: 'value' }), 12n)

const reverted = async (functionName, args) => {
  const error = await client.simulateContract({ ...contract, account, functionName, args }).then(() => null, (error) => error)
  assert.ok(error instanceof BaseError)
  return error.walk((cause) => cause instanceof ContractFunctionRevertedError)
}
const typed = await reverted('add', [101n])
assert.deepEqual([typed.data.errorName, typed.data.args], ['TooMuch', [101n, 100n]])
assert.equal((await reverted('refuse', [])).reason, 'no way')
assert.equal((await reverted('panics', [0n])).data.errorName, 'Panic')

const to = '0x00000000000000000000000000000000000000bb'
await mined('legacy', await wallet.sendTransaction({ to, value: 1n, type: 'legacy' }))
await mined('accessList', await wallet.sendTransaction({ to, value: 1n, type: 'eip2930', accessList: [{ address: to, storageKeys: [] }] }))
await mined('fee', await wallet.sendTransaction({ to, value: 1n }))
const authorization = await wallet.signAuthorization({ contractAddress: contract.address, executor: 'self' })
await mined('setCode', await wallet.sendTransaction({ to, authorizationList: [authorization] }))

const block = await client.getBlock()
assert.equal((await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] })).reward.length, 4)
assert.equal((await client.getProof({ address: contract.address, storageKeys: [`0x${'0'.repeat(64)}`] })).storageProof[0].value, 12n)
const [{ calls }] = await client.simulateBlocks({ blocks: [{ calls: [{ account, to: contract.address, abi: counter.abi, functionName: 'add', args: [1n] }] }] })
assert.equal(calls[0].status, 'success')
assert.ok((await client.createAccessList({ to: contract.address, data: '0x3fa4f245' })).accessList.length === 1)

const snapshot = await test.snapshot()
await test.setBalance({ address: to, value: parseEther('5') })
await test.mine({ blocks: 3, interval: 10 })
assert.equal(await client.getBlockNumber({ cacheTime: 0 }), block.number + 3n)
assert.equal(await client.getBalance({ address: to }), parseEther('5'))
await test.revert({ id: snapshot })
assert.equal(await client.getBlockNumber({ cacheTime: 0 }), block.number)
await test.impersonateAccount({ address: contract.address })
await test.setBalance({ address: contract.address, value: parseEther('1') })
const impersonator = createWalletClient({ account: contract.address, chain: foundry, transport: http(url) })
await mined('impersonated', await impersonator.sendTransaction({ to, value: 1n }))
const dump = await test.dumpState()
await test.loadState({ state: dump })

for (let i = 0; i < 100 && !(heads.length && hashes.length && logs.length); i++) await new Promise((wake) => setTimeout(wake, 50))
assert.ok(heads.length && hashes.length && logs.length, `over WebSocket: ${[heads.length, hashes.length, logs.length]}`)
stops.forEach((stop) => stop())
console.log('viem ok')
process.exit(0)
