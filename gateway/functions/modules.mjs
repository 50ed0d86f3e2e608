// Lets ES modules find the packages on NODE_PATH, which Node looks at for `require` alone: layers, and Lambda's AWS SDK.
import module from "node:module"
import path from "node:path"
import { pathToFileURL } from "node:url"
import { isMainThread } from "node:worker_threads"

const folders = (process.env.NODE_PATH ?? "").split(path.delimiter)
const parents = folders
  .filter((folder) => path.basename(folder) === "node_modules")
  .map((folder) => pathToFileURL(path.join(path.dirname(folder), "index.js")).href)

const missing = (error, specifier) => error.code === "ERR_MODULE_NOT_FOUND" && /^[\w@]/.test(specifier)

function resolveAtOnce(specifier, context, next) {
  try {
    return next(specifier, context)
  } catch (error) {
    if (!missing(error, specifier)) throw error
    for (const parentURL of parents) {
      try {
        return next(specifier, { ...context, parentURL })
      } catch {}
    }
    throw error
  }
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context)
  } catch (error) {
    if (!missing(error, specifier)) throw error
    for (const parentURL of parents) {
      try {
        return await next(specifier, { ...context, parentURL })
      } catch {}
    }
    throw error
  }
}

// Before Node 22.15 hooks live in a thread of their own, which loads this file again for `resolve`.
if (module.registerHooks) module.registerHooks({ resolve: resolveAtOnce })
else if (isMainThread) module.register(import.meta.url)
