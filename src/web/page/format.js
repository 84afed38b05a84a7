// Numbers, money and times in words. Times are in the zone of the ledger.

let zone = "UTC";

export function setZone(named) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: named });
    zone = named;
  } catch {
    zone = "UTC";
  }
}

export const currentZone = () => zone;

/// 1234567 as 1,234,567.
export const grouped = (value) => Number(value).toLocaleString("en-US", { maximumFractionDigits: 2 });

/// 1234567 as 1.23M.
export function scaled(value) {
  const number = Number(value);
  for (const [size, unit] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(number) >= size * 0.9995) {
      const part = number / size;
      return `${Number(part.toFixed(part >= 99.95 ? 0 : part >= 9.995 ? 1 : 2))}${unit}`;
    }
  }
  return grouped(number);
}

/// Dollars; small amounts keep four digits.
export function dollars(usd) {
  if (usd === null || usd === undefined) return "unknown";
  const number = Number(usd);
  const digits = number !== 0 && Math.abs(number) < 0.995 ? 4 : 2;
  return `$${number.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: digits })}`;
}

/// The cost of some calls: what the price table gives, else what was reported.
export function cost(sums) {
  if (sums.usd !== null) return dollars(sums.usd);
  if (sums.reported_usd !== null) return `${dollars(sums.reported_usd)} reported`;
  return sums.unpriced_requests > 0 ? "no price" : dollars(0);
}

/// 1 request, 2 requests.
export const counted = (number, one, many = `${one}s`) => `${grouped(number)} ${Number(number) === 1 ? one : many}`;

export const percent = (value) => (value === null || value === undefined ? "?" : `${Number(value)} %`);

export function bytes(value) {
  for (const [size, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= size) return `${(value / size).toFixed(1)} ${unit}`;
  }
  return counted(value, "byte");
}

/// A duration in the two largest units.
export function duration(milliseconds) {
  const minutes = Math.max(0, Math.round(milliseconds / 60000));
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (days > 0) return hours > 0 ? `${days}d ${hours}h` : `${days}d`;
  if (hours > 0) return rest > 0 ? `${hours}h ${rest}m` : `${hours}h`;
  return minutes > 0 ? `${minutes}m` : "less than a minute";
}

const formats = new Map();
function parts(instant) {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-CA", {
      timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", second: "2-digit",
    });
    formats.set(zone, format);
  }
  return Object.fromEntries(format.formatToParts(new Date(instant)).map((part) => [part.type, part.value]));
}

/// 2026-11-28 15:40
export function time(instant) {
  const at = parts(instant);
  return `${at.year}-${at.month}-${at.day} ${at.hour}:${at.minute}`;
}

/// 2026-11-28 15:40:07
export const fullTime = (instant) => `${time(instant)}:${parts(instant).second}`;

/// The time of day, with the date if it is another day than that of `now`.
export function clock(instant, now) {
  const [at, today] = [time(instant), time(now)];
  return at.slice(0, 10) === today.slice(0, 10) ? at.slice(11) : at;
}

/// The value of a field of local time, 2026-11-28T15:40, in the zone of the ledger.
export const local = (instant) => time(instant).replace(" ", "T");

/// The instant of a local time in the zone of the ledger, in RFC 3339; null for no time.
export function instant(localTime) {
  const wanted = Date.parse(`${localTime}:00Z`);
  if (Number.isNaN(wanted)) return null;
  let at = wanted;
  // The offset depends on the instant, so look twice.
  for (let turn = 0; turn < 2; turn += 1) {
    at += wanted - Date.parse(`${local(at)}:00Z`);
  }
  return new Date(at).toISOString();
}

/// The calendar date `days` before an instant.
export const dayBefore = (instantOrDate, days) => time(new Date(instantOrDate).getTime() - days * 86400000).slice(0, 10);

/// The last part of a path.
export function shortProject(path) {
  if (!path) return "no project";
  // A backslash separates only on Windows; elsewhere it may begin an escaped character.
  const parts = path.split(/^[A-Za-z]:\\|^\\\\/.test(path) ? /[/\\]/ : "/").filter(Boolean);
  return parts.length > 0 ? parts[parts.length - 1] : path;
}

/// A kind of event in words.
export const kindName = (kind) => kind.replaceAll("_", " ");
