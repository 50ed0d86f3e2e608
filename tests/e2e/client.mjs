// A stock socket.io-client that reads commands and prints what it hears, one JSON a line.
// usage: node client.mjs URL OPTIONS

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, options] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const socket = io(url, JSON.parse(options));

socket.on("connect", () => say({ connected: socket.id, transport: socket.io.engine.transport.name }));
socket.on("connect_error", (error) => say({ refused: error.message, data: error.data }));
socket.on("disconnect", (reason) => say({ event: ["disconnect", reason] }));
socket.onAny((...event) => say({ event }));

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const command = JSON.parse(line);
    if (command.close) {
      socket.close();
      setTimeout(() => process.exit(0), 50);
    } else if (command.call) {
      const answer = await socket.timeout(20_000).emitWithAck(...command.emit);
      say({ ack: command.call, with: answer });
    } else {
      socket.emit(...command.emit);
    }
  })
  .on("close", () => process.exit(0));
