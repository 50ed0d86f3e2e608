// What a stock socket.io-client goes through with a friend of its own kind, on applications/clients.py, in Node and in
// browsers: run(client, url, options, tell) tells of each step, [name, what came of it]. `client` is what a version of
// the package exports, from 2.x on; what versions do differently is in Person.

// How many arguments the application gives an event. A client may see one more: the offset that it shows when it comes
// back after its connection broke.
const EVENTS = { greeting: 1, echoed: 5, question: 1, answered: 2, picture: 2, said: 1, welcome: 1 };
const PATIENCE = 30_000;
const PRIVATE = "/private";
const NOWHERE = "http://127.0.0.1:9";

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never came: ${what}`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Socket.IO 2 knows no views of buffers but Node's own.
const bytes = (...values) => globalThis.Buffer?.from(values) ?? Uint8Array.of(...values).buffer;

function plain(value) {
  if (value instanceof ArrayBuffer) value = new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    if (value.length > 100) return { bytes: value.length, sum: value.reduce((sum, byte) => sum + byte, 0) };
    return { bytes: [...value] };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

/** A socket, what it hears, and what of it depends on the version of the client. */
class Person {
  extras = 0;
  heard = [];
  #news = [];

  constructor(socket, old) {
    this.socket = socket;
    this.old = old;
    for (const [event, count] of Object.entries(EVENTS)) {
      socket.on(event, (...args) => {
        const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
        this.extras = Math.max(this.extras, args.length - count);
        this.#hear(event, ...args.slice(0, count));
        answer?.("six", { by: ["seven 😀"] });
      });
    }
    socket.on("connect", () => this.#hear("connect"));
    socket.on("disconnect", (reason) => this.#hear("disconnect", reason));
    // What Socket.IO 2 tells is the data of the packet.
    if (old) socket.on("error", (data) => this.#hear("refused", data));
    else socket.on("connect_error", ({ message, data }) => this.#hear("refused", { message, data }));
  }

  #hear(...event) {
    this.heard.push(plain(event));
    for (const tell of this.#news.splice(0)) tell();
  }

  /** Takes the next event of that name. */
  async next(wanted) {
    while (true) {
      const at = this.heard.findIndex(([name]) => name === wanted);
      if (at >= 0) return this.heard.splice(at, 1)[0];
      const news = new Promise((tell) => this.#news.push(tell));
      await within(news, `${wanted}, but ${JSON.stringify(this.heard)}`);
    }
  }

  /** What an acknowledgement holds. */
  async call(event, ...args) {
    const answer = new Promise((done) => this.socket.emit(event, ...args, (...values) => done(plain(values))));
    const values = await within(answer, `the acknowledgement of ${event}`);
    return values.length === 1 ? values[0] : values;
  }

  /** Show this when connecting to a namespace. */
  set auth(fields) {
    if (this.old) this.socket.query = fields;
    else this.socket.auth = fields;
  }
}

export async function run(client, url, options, tell) {
  const io = client.io ?? client.default ?? client;
  const old = (client.protocol ?? io.protocol ?? 5) < 5;
  const polling = options.transports?.join() === "polling";
  const patient = { ...options, forceNew: true, reconnectionDelay: 500, randomizationFactor: 0 };
  const transports = [];
  const people = [];
  const somebody = (socket) => people[people.push(new Person(socket, old)) - 1];
  const rooms = ["hall", "quiet"].map((room) => `${room} ${Math.random()}`);
  const [hall, quiet] = rooms;

  // ---------------------------------------------------------------- connecting
  const star = somebody(io(url, patient));
  const manager = star.socket.io;
  const upgraded = new Promise((done) => {
    manager.on("open", () => {
      transports.push(manager.engine.transport.name);
      manager.engine.once("upgrade", (transport) => done(transports.push(transport.name)));
    });
  });
  // What the application emits while it lets a client in comes before the answer, as with python-socketio's server.
  tell("connect", [await star.next("connect"), await star.next("greeting"), (await star.call("whoami")) === star.socket.id]);

  const guest = somebody(manager.socket(PRIVATE, {}));
  tell("no auth", await guest.next("refused"));
  guest.auth = { token: "sesame" };
  guest.socket.connect();
  const admitted = [await guest.next("connect"), await guest.next("welcome")];
  tell("auth", [...admitted, (await guest.call("whoami")) === guest.socket.id]);
  tell("unknown namespace", await somebody(manager.socket("/unknown", {})).next("refused"));

  // ---------------------------------------------------------------- events, acknowledgements, binary data
  star.socket.emit("echo", 1, -1.5, "é\u2028😀\x1e", { "ключ": [null, true, {}] }, "last");
  tell("echo", await star.next("echoed"));
  tell("acknowledgement", await star.call("reverse", "é", { a: [1] }, "😀"));
  star.socket.emit("ask", 42);
  tell("question", [await star.next("question"), await star.next("answered")]);
  tell("binary to the client", [await star.call("fetch"), await star.next("picture")]);

  // Over WebSocket API Gateway takes text alone. No attachment is empty: with this option Firefox's FileReader is done
  // with an empty one first, and the client sends it before those that it belongs after.
  const sender = somebody(io(url, polling ? patient : { ...patient, forceBase64: true }));
  await sender.next("greeting");
  if (!options.transports && sender.socket.io.engine.transport.name !== "websocket") {
    await within(new Promise((done) => sender.socket.io.engine.once("upgrade", done)), "the sender's upgrade");
  }
  const values = [bytes(0, 1, 254, 255), { b: bytes(8, 9), list: [1, [bytes(7), null]] }, "é"];
  // Twice in one tick: browsers send both headers first, and then the attachments.
  const both = Promise.all([sender.call("describe", ...values), sender.call("describe", "again", ...values)]);
  both.catch(() => undefined);
  tell("binary from the client", await Promise.race([both, sender.next("refused")]));
  sender.socket.disconnect();

  // ---------------------------------------------------------------- rooms
  const friend = somebody(io(url, patient));
  await friend.next("connect");
  await friend.next("greeting");
  const said = async (...who) => {
    await friend.call("say", who.map((person) => person.socket.id), "mark");
    const texts = async (person) => {
      const found = [];
      for (let text; (text = (await person.next("said"))[1]) !== "mark"; ) found.push(text);
      return found;
    };
    return Promise.all(who.map(texts));
  };
  const joined = [await star.call("join", hall), await friend.call("join", hall), await friend.call("join", quiet)];
  await friend.call("say", hall, "1 to both");
  await friend.call("whisper", hall, "2 not to myself");
  await star.call("confide", hall, quiet, "3 not to the quiet");
  await star.call("say", rooms, "4 once");
  // One that polls has what is volatile only if it polls at this very moment.
  if (options.transports?.join() === "websocket") await star.call("murmur", hall, "5 now or never");
  tell("rooms", [joined, await said(star, friend)]);
  const stays = await star.call("leave", hall);
  await friend.call("say", hall, "without you");
  tell("left", [stays, await said(star, friend)]);

  // ---------------------------------------------------------------- a broken connection
  if (!options.transports) await within(upgraded, "the upgrade");
  tell("transports", [...transports]);
  tell("nothing else", [star, guest, friend].map(({ heard }) => [...heard]));
  await star.call("join", hall);
  // Of events that are sent at the same moment nobody knows which came first, and a client whose connection breaks just
  // then does not get its socket back: the last one is by itself.
  const moment = () => new Promise((done) => setTimeout(done, 1_000));
  await moment();
  await said(star);
  await moment();
  const ids = [star, guest].map((person) => person.socket.id);
  const { transport } = manager.engine;
  const { uri } = manager;
  manager.uri = NOWHERE; // it tries again, but does not come back before everything was said
  if (transport.ws?.terminate) transport.ws.terminate();
  else manager.engine.close();
  await star.next("disconnect");
  await guest.next("disconnect");
  await friend.call("say", hall, "missed");
  await friend.call("murmur", hall, "dropped");
  await friend.call("say", [hall, quiet], "missed, too");
  manager.uri = uri;
  await star.next("connect");
  await guest.next("connect");
  const sockets = [star, guest].map(({ socket }, n) => [socket.recovered ?? false, socket.id === ids[n]]);
  const known = await star.next("greeting");
  tell("reconnect", [sockets, known, (await star.call("whoami")) === star.socket.id, ...(await said(star))]);
  if (!star.socket.recovered) await star.call("join", hall);
  await friend.call("say", hall, "again");
  tell("in the room again", await said(star));

  // ---------------------------------------------------------------- disconnected by the server
  guest.socket.emit("hang_up");
  tell("disconnected from a namespace", [await guest.next("disconnect"), await star.call("reverse", 1, 2)]);
  star.socket.emit("hang_up");
  tell("disconnected", await star.next("disconnect"));
  tell("offsets", Math.max(...people.map((person) => person.extras)));
  for (const { socket } of people) socket.disconnect();
}
