// The clients of the benchmark: `node load.mjs '{"url": …, "do": …}'` does one thing and prints one JSON object.
import { readFileSync } from "node:fs";
import WebSocket from "ws";

const task = JSON.parse(process.argv[2]);
const options = { headers: task.headers ?? {}, perMessageDeflate: false, handshakeTimeout: 30000 };

const once = () => new Promise((resolve, reject) => {
  const socket = new WebSocket(task.url, options);
  socket.once("open", () => resolve(socket));
  socket.once("error", reject);
});

/** Opens one; API Gateway lets so many in a second, and a gateway may hold its clients to that. */
async function opened() {
  for (;;) {
    try {
      return await once();
    } catch (error) {
      if (!error.message.endsWith("429")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Opens many, so many at a time. */
async function open(count, atOnce = 50) {
  const sockets = [];
  const one = async () => { while (sockets.length < count) { const at = sockets.push(null) - 1; sockets[at] = await opened(); } };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, one));
  return sockets;
}

const asked = (socket, text) => new Promise((resolve) => {
  socket.once("message", (data) => resolve(String(data)));
  socket.send(text);
});

/** Each client says the next word when it has got the last one back. */
async function echo({ clients, seconds, atMost = Infinity }) {
  const sockets = await open(clients);
  await Promise.all(sockets.map((socket) => asked(socket, "warm")));
  const times = [];
  const began = performance.now();
  const end = began + seconds * 1000;
  await Promise.all(sockets.map(async (socket) => {
    for (let now = performance.now(); now < end && times.length < atMost; now = performance.now()) {
      const said = `word ${times.length}`;
      if (await asked(socket, said) !== said) throw new Error("that is not what was said");
      times.push(performance.now() - now);
    }
  }));
  const taken = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
  return { messages: times.length, rate: times.length / taken, median: at(0.5), p99: at(0.99) };
}

/** One sends, and all of them get it. */
async function broadcast({ clients, rounds, endpoint }) {
  const sockets = await open(clients);
  const connections = [];
  for (const socket of sockets) connections.push(await asked(socket, "who"));
  const sender = await opened();
  const times = [];
  for (let round = 0; round <= rounds; round++) {
    const began = performance.now();
    const all = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("message", resolve))));
    sender.send(JSON.stringify({ endpoint, connections }));
    await all;
    if (round) times.push(performance.now() - began); // the first one warms up
  }
  times.sort((a, b) => a - b);
  return { median: times[times.length >> 1] };
}

/** Opens connections, and holds them until standard input ends. */
async function hold({ clients }) {
  const began = performance.now();
  await open(clients);
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000 }));
  readFileSync(0);
}

const result = await { echo, broadcast, hold }[task.do](task);
if (result) console.log(JSON.stringify(result));
process.exit(0);
