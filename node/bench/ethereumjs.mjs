// Seconds that @ethereumjs/mpt takes for an account with a slot, and for a slot of many: asked and told as JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(pathToFileURL(process.cwd() + "/"));
const { verifyMerkleProof } = from("@ethereumjs/mpt");
const { RLP } = from("@ethereumjs/rlp");
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const asked = JSON.parse(readFileSync(0, "utf8"));
const stateRoot = bytes(asked.stateRoot);
const storageRoot = bytes(asked.storageRoot);
const address = bytes(asked.address);
const accountProof = asked.accountProof.map(bytes);
const slots = asked.slots.map(([slot, proof]) => [bytes(slot), proof.map(bytes)]);
const value = async (root, key, proof) =>
  RLP.decode(await verifyMerkleProof(key, proof, { root, useKeyHashing: true }));

const seconds = async (count, work) => {
  const taken = [];
  for (let run = 0; run < 4; run++) {
    const start = process.cpuUsage();
    await work();
    taken.push(process.cpuUsage(start).user / 1e6 / count);
  }
  return taken.slice(1).sort((a, b) => a - b)[1]; // the first run compiles
};

const single = await seconds(asked.singles, async () => {
  for (let n = 0; n < asked.singles; n++) {
    const account = await value(stateRoot, address, accountProof);
    await value(account[2], ...slots[n % slots.length]);
  }
});
const slot = await seconds(slots.length, async () => {
  for (const [key, proof] of slots) await value(storageRoot, key, proof);
});
console.log(JSON.stringify({ single, slot }));
