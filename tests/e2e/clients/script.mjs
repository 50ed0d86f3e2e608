// usage: node script.mjs PACKAGE URL OPTIONS: steps.mjs with a socket.io-client under Node, one JSON line a step.

import { run } from "./steps.mjs";

const [name, url, options] = process.argv.slice(2);
const tell = (...step) => process.stdout.write(JSON.stringify(step) + "\n");
await run(await import(name), url, JSON.parse(options), tell);
process.exit(0);
