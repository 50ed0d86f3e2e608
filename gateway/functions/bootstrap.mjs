// Runs one Node function (`bootstrap.mjs HANDLER`) on the Lambda Runtime API, as Lambda's own runtime does.
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html
import fs from "node:fs"
import http from "node:http"
import { createRequire } from "node:module"
import path from "node:path"
import { pathToFileURL } from "node:url"
import { format } from "node:util"
import "./hosts.mjs"

const { env } = process
const [host, port] = env.AWS_LAMBDA_RUNTIME_API.split(":")
const root = env.LAMBDA_TASK_ROOT
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
// What is being run, or undefined between two invocations.
let current

// ---- the Runtime API

function call(method, url, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const data = body === undefined ? undefined : Buffer.from(body)
    if (data) headers = { ...headers, "Content-Type": "application/json", "Content-Length": data.length }
    const request = http.request({ host, port, method, path: `/2018-06-01/runtime/${url}`, agent, headers })
    request.on("error", reject)
    request.on("response", (response) => {
      const parts = []
      response.on("data", (part) => parts.push(part))
      response.on("error", reject)
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts).toString() }))
    })
    request.end(data)
  })
}

function report(error) {
  const isError = error instanceof Error || (error && typeof error === "object" && "stack" in error)
  if (!isError) return { errorType: typeof error, errorMessage: String(error), trace: [] }
  return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split("\n") }
}

function fail(url, error) {
  const told = report(error)
  return call("POST", url, JSON.stringify(told), { "Lambda-Runtime-Function-Error-Type": told.errorType })
}

// ---- the log

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"]
const asJson = env.AWS_LAMBDA_LOG_FORMAT === "JSON"
const least = LEVELS.indexOf((env.AWS_LAMBDA_LOG_LEVEL ?? (asJson ? "info" : "trace")).toLowerCase())
const newline = /\n/g

function write(level, ...values) {
  if (LEVELS.indexOf(level) < least) return
  const timestamp = new Date().toISOString()
  const requestId = current?.requestId
  let line
  if (asJson) {
    const record = { timestamp, level: level.toUpperCase(), requestId }
    const error = values.find((value) => value instanceof Error)
    if (values.length === 1 && typeof values[0] !== "string" && !error) record.message = values[0]
    else record.message = format(...values)
    if (error) Object.assign(record, { errorType: error.name, errorMessage: error.message })
    if (error) record.stackTrace = String(error.stack).split("\n").slice(1)
    try {
      line = JSON.stringify(record)
    } catch {
      line = JSON.stringify({ ...record, message: format(...values) })
    }
  } else {
    // A carriage return keeps the lines of one entry together.
    const text = format(...values).replace(newline, "\r")
    line = `${timestamp}\t${requestId ?? "undefined"}\t${level.toUpperCase()}\t${text}`
  }
  fs.writeSync(1, line + "\n")
}

console.log = (...values) => write("info", ...values)
console.info = console.log
console.debug = (...values) => write("debug", ...values)
console.trace = (...values) => write("trace", ...values)
console.warn = (...values) => write("warn", ...values)
console.error = (...values) => write("error", ...values)
console.fatal = (...values) => write("fatal", ...values)

// Not as an entry of the function's own: a level or a format that hides those does not hide a failure.
function writeError(label, error) {
  const { errorType, errorMessage, trace } = report(error)
  if (asJson) {
    const record = { timestamp: new Date().toISOString(), level: "ERROR", requestId: current?.requestId }
    fs.writeSync(1, JSON.stringify({ ...record, errorType, errorMessage, stackTrace: trace.slice(1) }) + "\n")
  } else {
    const said = JSON.stringify({ errorType, errorMessage, stack: trace })
    fs.writeSync(1, `${new Date().toISOString()}\t${current?.requestId ?? "undefined"}\tERROR\t${label}\t${said}\n`)
  }
}

// ---- the function

class Named extends Error {
  constructor(name, message) {
    super(message)
    this.name = name
  }
}

function isModule(file) {
  if (!file.endsWith(".js")) return file.endsWith(".mjs")
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const described = path.join(folder, "package.json")
    if (fs.existsSync(described)) return JSON.parse(fs.readFileSync(described, "utf8")).type === "module"
    if (folder === path.dirname(folder)) return false
  }
}

async function load(handler) {
  const [, folder, name, functions] = /^(.*\/)?([^./][^./]*)\.(.+)$/.exec(handler) ?? []
  if (!name) throw new Named("Runtime.MalformedHandlerName", `Bad handler: ${handler}`)
  const base = path.resolve(root, folder ?? "", name)
  const file = ["", ".js", ".mjs", ".cjs"]
    .map((ending) => base + ending)
    .find((candidate) => fs.statSync(candidate, { throwIfNoEntry: false })?.isFile())
  if (!file) throw new Named("Runtime.ImportModuleError", `Error: Cannot find module '${(folder ?? "") + name}'`)
  let loaded
  try {
    loaded = isModule(file) ? await import(pathToFileURL(file).href) : createRequire(file)(file)
  } catch (error) {
    if (error instanceof SyntaxError) throw Object.assign(error, { name: "Runtime.UserCodeSyntaxError" })
    if (["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(error?.code)) {
      throw new Named("Runtime.ImportModuleError", String(error))
    }
    throw error
  }
  const found = functions.split(".").reduce((value, key) => value?.[key], loaded)
  if (typeof found !== "function") {
    const what = found === undefined ? "undefined or not exported" : "not a function"
    throw new Named(found === undefined ? "Runtime.HandlerNotFound" : "Runtime.HandlerNotFunction", `${handler} is ${what}`)
  }
  return found
}

function contextOf(headers, settle) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"])
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    // The old ways to answer, which wait for nothing.
    succeed: (value) => settle(undefined, value),
    fail: (error) => settle(error ?? new Error("handled")),
    done: (error, value) => settle(error, value),
  }
}

// Resolves once the function has answered: by its promise, by its callback, or by having nothing left to do.
function invoke(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const settle = (error, value) => (error === undefined || error === null ? resolve(value) : reject(error))
    const context = contextOf(headers, settle)
    let answer = []
    // The connection to the Runtime API is idle now, and holds up no empty event loop.
    process.removeAllListeners("beforeExit")
    process.once("beforeExit", () => settle(...answer))
    const result = handler(event, context, (error, value) => {
      answer = [error, value]
      if (!context.callbackWaitsForEmptyEventLoop) setImmediate(settle, error, value)
    })
    if (typeof result?.then === "function") result.then(resolve, reject)
  })
}

async function run(handler) {
  for (;;) {
    const { headers, body } = await call("GET", "invocation/next")
    const requestId = headers["lambda-runtime-aws-request-id"]
    env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"]
    current = { requestId }
    let answer
    try {
      answer = JSON.stringify((await invoke(handler, JSON.parse(body), headers)) ?? null)
    } catch (error) {
      writeError("Invoke Error ", error)
      await fail(`invocation/${requestId}/error`, error)
      continue
    }
    await call("POST", `invocation/${requestId}/response`, answer)
  }
}

async function crash(label, error) {
  writeError(label, error)
  await fail(current ? `invocation/${current.requestId}/error` : "init/error", error)
  process.exit(129)
}

process.on("uncaughtException", (error) => crash("Uncaught Exception ", error))
process.on("unhandledRejection", (reason) => {
  const error = new Named("Runtime.UnhandledPromiseRejection", String(reason))
  if (reason?.stack) error.stack = reason.stack
  return crash("Unhandled Promise Rejection ", error)
})

let handler
try {
  handler = await load(process.argv[2])
} catch (error) {
  writeError("Uncaught Exception ", error)
  await fail("init/error", error)
  process.exit(1)
}
// The gateway has gone if this ends: there is nobody to tell.
run(handler).catch(() => process.exit(1))
