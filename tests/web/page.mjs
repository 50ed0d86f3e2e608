// Lets Node load the page's modules: what the page gets from its origin comes from node_modules.

import { register } from "node:module";

const client = new URL("../../node_modules/socket.io-client/dist/socket.io.esm.min.js", import.meta.url);

const hooks = `
  export const resolve = (name, context, next) =>
    name === "../socket.io.esm.min.js"
      ? { url: "${client}", format: "module", shortCircuit: true }
      : next(name, context);
`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
