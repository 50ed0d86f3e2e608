// Brings a function's requests to where this machine serves what they are for.
// An API of the template is asked for by its own host name, which code may have put together from the API's id; and
// version 2 of AWS's SDK knows no AWS_ENDPOINT_URL.
import http from "node:http"
import https from "node:https"
import module from "node:module"

const { env } = process
// The host names of the template's APIs, and the address that serves them: `name,name=127.0.0.1:3000`.
const [names = "", address = ""] = (env.FLEETING_GATEWAY_HOSTS ?? "").split("=")
delete env.FLEETING_GATEWAY_HOSTS
const hosts = new Set(names.split(",").filter(Boolean))
const cut = address.lastIndexOf(":")
const [hostname, port] = [address.slice(0, cut).replace(/[[\]]/g, ""), Number(address.slice(cut + 1))]
const agent = new http.Agent({ keepAlive: true })

function redirected(original) {
  return function request(...given) {
    const url = typeof given[0] === "string" || given[0] instanceof URL ? new URL(given.shift()) : undefined
    const options = typeof given[0] === "object" && given[0] !== null ? given.shift() : {}
    const asked = options.hostname ?? options.host ?? url?.hostname
    const rest = url === undefined ? [options, ...given] : [url, options, ...given]
    if (!hosts.has(asked)) return original(...rest)
    // Plainly: it stays on this machine, and no certificate has to be for that name.
    const path = options.path ?? (url && url.pathname + url.search)
    const headers = Array.isArray(options.headers) ? options.headers : { host: asked, ...options.headers }
    const local = { ...options, protocol: "http:", host: hostname, hostname, port, path, headers, agent }
    return http.request(local, ...given)
  }
}

if (hosts.size) {
  https.request = redirected(https.request)
  https.get = (...given) => {
    const request = https.request(...given)
    request.end()
    return request
  }
  module.syncBuiltinESMExports()
}

const load = module._load
let configured = false

module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest)
  if (!configured && env.AWS_ENDPOINT_URL && /^aws-sdk(\/|$)/.test(request)) {
    configured = true
    const { config } = load.call(this, "aws-sdk/lib/core", ...rest)
    const own = env.AWS_ENDPOINT_URL_LAMBDA ? { lambda: { endpoint: env.AWS_ENDPOINT_URL_LAMBDA } } : {}
    // Buckets in the path: their names do not resolve to this machine.
    config.update({ endpoint: env.AWS_ENDPOINT_URL, s3ForcePathStyle: true, ...own }, true)
  }
  return loaded
}
