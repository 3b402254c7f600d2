// Compiles the contract; as a program it writes { abi, bytecode } as JSON for scripts in other languages.
import fs from 'node:fs'
import solc from 'solc'

const content = fs.readFileSync(new URL('foundry/src/Counter.sol', import.meta.url), 'utf8')
const input = {
  language: 'Solidity',
  sources: { 'Counter.sol': { content } },
  settings: { evmVersion: 'prague', outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
}
const output = JSON.parse(solc.compile(JSON.stringify(input)))
const { abi, evm } = output.contracts['Counter.sol'].Counter
export const counter = { abi, bytecode: `0x${evm.bytecode.object}` }
if (process.argv[1] === new URL(import.meta.url).pathname) console.log(JSON.stringify(counter))
