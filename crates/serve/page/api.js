// Talks to the server: the models it has and the answers it gives.

/** How often a request that found the server busy is sent again. */
const BUSY_RETRIES = 3;

/** A request that failed, with the server's code and, where one input is at fault, its name. */
export class RequestError extends Error {
  constructor(code, message, field) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

/** What the server has: `{models, limits}`. */
export async function describe() {
  return (await request("/v1/models")).json();
}

/** The bytes of example picture `index` as a file. */
export async function examplePicture(model, index) {
  const blob = await (await request(exampleAddress(model, index))).blob();
  return new File([blob], `Example ${index + 1}`, { type: blob.type });
}

export function exampleAddress(model, index) {
  return `/v1/examples/${index}?model=${encodeURIComponent(model)}`;
}

/** Answers `inputs` (a Map of name → text, list of Files or list of turns); `signal` withdraws the request. */
export async function predict(model, inputs, signal) {
  const body = new FormData();
  for (const [name, value] of inputs) for (const one of parts(value)) body.append(name, one);
  const address = `/v1/predict?model=${encodeURIComponent(model)}`;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await (await request(address, { method: "POST", body, signal })).json();
    } catch (error) {
      if (error.code !== "busy" || attempt === BUSY_RETRIES) throw error;
      await pause(error.retryAfter, signal);
    }
  }
}

/** The parts of a form: each file is one, and turns go as JSON. */
function parts(value) {
  if (!Array.isArray(value)) return [value];
  if (value[0] instanceof File) return value;
  return [new Blob([JSON.stringify(value)], { type: "application/json" })];
}

async function request(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError("unreachable", "The server does not answer.");
  }
  if (response.ok) return response;
  const { error = {} } = await response.json().catch(() => ({}));
  const message = error.message ?? `The server answered with status ${response.status}.`;
  const failure = new RequestError(error.code ?? "unknown", message, error.field);
  failure.retryAfter = Number(response.headers.get("Retry-After")) || 1;
  throw failure;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
