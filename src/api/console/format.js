// Numbers as people read them.

const STEPS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

// Three digits and a prefix: 12.3 k.
export function count(value) {
  if (value === null || value === undefined) return "–";
  const step = STEPS.find(([size]) => Math.abs(value) >= size);
  if (!step) return String(Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value));
  const scaled = value / step[0];
  return `${scaled >= 100 ? Math.round(scaled) : scaled.toPrecision(3)} ${step[1]}`;
}

export const whole = (value) => value.toLocaleString("en-GB");

export const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(value)} %`);

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [days, hours, minutes] = [86400, 3600, 60].map((size) => Math.floor(seconds / size));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

// Where a MAC is: a port, a VLAN or a pair of VLANs of it, or a peer.
export function place({ port, vlan, inner_vlan: inner, peer }) {
  return [port ?? peer ?? "nowhere", vlan, inner].filter((part) => part !== undefined).join(".");
}
