// Small helpers that make elements and words.

/** Numbers with as many digits as a measurement has. */
const NUMBER = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 5 });

/** An element with attributes and children; `on…` attributes are listeners, text stays text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** `answer_type` → `Answer type`. */
export function label(name) {
  const words = name.replaceAll(/[_-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A probability as people read it: never a rounded 100%. */
export function percent(probability) {
  if (probability >= 0.9995) return ">99.9%";
  if (probability < 0.0005) return "<0.1%";
  return `${(probability * 100).toFixed(1)}%`;
}

/** A predicted value as one line: lists are joined. */
export function line(value) {
  if (value == null) return "No answer";
  if (typeof value === "number") return NUMBER.format(value);
  if (Array.isArray(value)) return value.map(line).join(", ") || "None";
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** Seconds as `0:07`. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A drawing in strokes on `size` × `size`. */
export function icon(strokes, size) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", `0 0 ${size} ${size}`);
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", strokes);
  made.append(path);
  return made;
}

/** Has a screen reader say `text`. */
export function announce(text) {
  document.getElementById("spoken").textContent = text;
}
