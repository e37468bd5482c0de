// Cameras and microphones: asking for them, and saying why there is none.

const NAMES = { video: "camera", audio: "microphone" };

/** Why this page cannot use a device of `kind` (`video` or `audio`) at all; null where it can ask for one. */
export function unavailable(kind) {
  if (!window.isSecureContext) {
    return `The ${NAMES[kind]} can be used where this page is opened on localhost or over https.`;
  }
  if (!navigator.mediaDevices?.getUserMedia) return `This browser offers no ${NAMES[kind]}.`;
  return null;
}

/** A stream of `kind`; an error's message is for people. */
export async function open(kind, constraints) {
  const reason = unavailable(kind);
  if (reason) throw new Error(reason);
  try {
    return await navigator.mediaDevices.getUserMedia({ [kind]: constraints });
  } catch (error) {
    throw new Error(explain(kind, error));
  }
}

function explain(kind, { name, message }) {
  const device = NAMES[kind];
  const known = {
    NotAllowedError: `The ${device} is blocked. Allow it for this page in the browser's address bar, then try again.`,
    SecurityError: `The ${device} is blocked by the browser's settings.`,
    NotFoundError: `No ${device} was found. Connect one, then try again.`,
    OverconstrainedError: `No ${device} fits. Connect another one, then try again.`,
    NotReadableError: `The ${device} is in use by another program. Close that, then try again.`,
    AbortError: `The ${device} stopped. Try again.`,
  };
  return known[name] ?? `The ${device} cannot be used: ${message}`;
}

/** Switches the devices behind a stream off. */
export function close(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** How many cameras there are, as far as the browser tells. */
export async function cameras() {
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.filter((device) => device.kind === "videoinput").length;
}
