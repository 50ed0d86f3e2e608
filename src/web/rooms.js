// The chat's HTTP API, and what this browser remembers about rooms.

export class RoomError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function request(method, path, { body, key } = {}) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers.Authorization = `Bearer ${key}`;
  let response, answer;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    answer = response.status === 204 ? {} : await response.json();
  } catch {
    throw new RoomError("unreachable", "Fleeting cannot be reached. Are you online?");
  }
  if (!response.ok) {
    const { code = "unreachable", message = "That did not work. Please try again." } = answer.error ?? {};
    throw new RoomError(code, message);
  }
  const date = Date.parse(response.headers.get("Date"));
  return { answer, skew: date ? date - Date.now() : 0 };
}

const address = (room) => `/api/rooms/${encodeURIComponent(room)}`;

/** → {room, url, expires_at (Unix seconds), owner_key} */
export async function createRoom({ title, ttl }) {
  const { answer } = await request("POST", "/api/rooms", { body: title ? { title, ttl } : { ttl } });
  owned.set(answer.room, { key: answer.owner_key, expires_at: answer.expires_at });
  return answer;
}

/** → {room, title, expires_at, skew}; skew: how many ms this machine's clock is behind the server's. */
export async function findRoom(room) {
  const { answer, skew } = await request("GET", address(room));
  return { ...answer, skew };
}

export async function burnRoom(room) {
  await request("DELETE", address(room), { key: owned.get(room) });
  owned.delete(room);
}

/** Where the socket is: {url ("" is the same origin), path} */
export async function findSocket() {
  return (await request("GET", "/config.json")).answer.socket;
}

// Storage may be full or forbidden: then the page forgets, and works.
function stored(storage, key, fallback) {
  return {
    read() {
      try {
        return JSON.parse(window[storage].getItem(key)) ?? fallback;
      } catch {
        return fallback;
      }
    },
    write(value) {
      try {
        window[storage].setItem(key, JSON.stringify(value));
      } catch { /* forgotten */ }
    },
  };
}

export const lastName = stored("localStorage", "fleeting:name", "");

/** The socket ids this tab has had in a room: what they sent is our own, also after a reload. */
export const ownIds = (room) => stored("sessionStorage", `fleeting:ids:${room}`, []);

const keys = stored("localStorage", "fleeting:owned", {});

/** The keys of rooms created here, until these expire. */
export const owned = {
  get: (room) => keys.read()[room]?.key,
  set(room, value) {
    const alive = Object.entries(keys.read()).filter(([, { expires_at }]) => expires_at * 1000 > Date.now());
    keys.write({ ...Object.fromEntries(alive), [room]: value });
  },
  delete(room) {
    const { [room]: _, ...others } = keys.read();
    keys.write(others);
  },
};
