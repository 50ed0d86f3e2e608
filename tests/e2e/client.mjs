// A stock socket.io-client that reads commands and prints what it hears, one JSON a line.
// usage: node client.mjs URL OPTIONS [EVENT]: the event, a JSON array, is sent as soon as the client is connected.
// Bytes are {"type": "Buffer", "data": [...]} in both directions, as JSON has Node's own buffers.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, options, greeting] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const { ackTimeout } = JSON.parse(options);
const socket = io(url, JSON.parse(options));
const revive = (_, value) => (value?.type === "Buffer" ? Buffer.from(value.data) : value);

socket.io.on("open", () => {
  say({ opened: socket.io.engine.transport.name });
  socket.io.engine.once("upgrade", (transport) => say({ upgraded: transport.name }));
});
socket.on("connect", () => say({ connected: socket.id, transport: socket.io.engine.transport.name }));
if (greeting) socket.on("connect", () => socket.emit(...JSON.parse(greeting)));
socket.on("connect_error", (error) => say({ refused: error.message, data: error.data }));
socket.on("disconnect", (reason) => say({ event: ["disconnect", reason] }));
socket.onAny((...event) => say({ event }));

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const command = JSON.parse(line, revive);
    if (command.close) {
      socket.close();
      setTimeout(() => process.exit(0), 50);
    } else if (command.call) {
      const asking = ackTimeout ? socket : socket.timeout(20_000);
      const answer = await asking.emitWithAck(...command.emit);
      say({ ack: command.call, with: answer });
    } else if (command.count) {
      for (let [number, end] = command.count; number < end; number++) socket.emit("count", number);
    } else {
      socket.emit(...command.emit);
    }
  })
  .on("close", () => process.exit(0));
