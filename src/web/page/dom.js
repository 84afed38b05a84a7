// Builds elements. All text of the ledger passes through `visible` and becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

/// Whether a character is invisible and changes its surroundings, as the command decides it.
export function isHidden(code) {
  const within = (low, high) => code >= low && code <= high;
  return code < 0x20 || within(0x7f, 0x9f) || code === 0xad || code === 0x34f ||
    within(0x600, 0x605) || code === 0x61c || code === 0x6dd || code === 0x70f || within(0x890, 0x891) || code === 0x8e2 ||
    within(0x115f, 0x1160) || within(0x17b4, 0x17b5) || within(0x180b, 0x180f) || within(0x200b, 0x200f) ||
    within(0x2028, 0x202e) || within(0x2060, 0x206f) || code === 0x3164 || within(0xfe00, 0xfe0d) ||
    code === 0xfeff || code === 0xffa0 || within(0xfff0, 0xfffb) || code === 0x110bd || code === 0x110cd ||
    within(0x13430, 0x1343f) || within(0x1bca0, 0x1bca3) ||
    within(0x1d173, 0x1d17a) || within(0xe0000, 0xe0fff);
}

/// Escapes hidden characters, for example as \u{202e}. A blank replaces line breaks unless they are kept.
export function visible(text, keepBreaks = false) {
  let out = "";
  for (const char of String(text)) {
    const code = char.codePointAt(0);
    if (!isHidden(code)) out += char;
    else if (char === "\n" && keepBreaks) out += char;
    else if (char === "\n" || char === "\t" || char === "\r") out += " ";
    else out += `\\u{${code.toString(16)}}`;
  }
  return out;
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (name === "css") {
      for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
    } else if (name === "href") {
      // Links lead to pages of this document only.
      if (!String(value).startsWith("#")) throw new Error("a link must begin with #");
      node.setAttribute("href", value);
    } else {
      node.setAttribute(name, value === true ? "" : visible(value));
    }
  }
  append(node, children);
  return node;
}

/// Appends nodes and texts; lists are flattened and empty values are left out.
export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

/// Creates an HTML element.
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/// Creates an SVG element.
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/// A name from the ledger, isolated from the direction of the text around it.
export function name(text) {
  return el("bdi", {}, text);
}

/// Preformatted text whose line breaks stay.
export function pre(text) {
  const node = el("pre", { tabindex: "0" });
  node.append(document.createTextNode(visible(text, true)));
  return node;
}
