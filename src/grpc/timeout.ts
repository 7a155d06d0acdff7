/** The `grpc-timeout` header: one to eight digits and a unit (H, M, S, m, u, n). */

/** Milliseconds, or the text grpc-go has for what is wrong. */
export function parseTimeout(text: string): number | string {
  const last = text.length - 1;
  if (last < 1) return `transport: timeout string is too short: ${JSON.stringify(text)}`;
  if (last > 8) return `transport: timeout string is too long: ${JSON.stringify(text)}`;
  const unit = unitMs(text.charCodeAt(last));
  if (unit === 0) return `transport: timeout unit is not recognized: ${JSON.stringify(text)}`;
  let value = 0;
  for (let index = 0; index < last; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) {
      return `strconv.ParseUint: parsing ${JSON.stringify(text.slice(0, last))}: invalid syntax`;
    }
    value = value * 10 + digit;
  }
  return value * unit;
}

function unitMs(character: number): number {
  switch (character) {
    case 0x48:
      return 3_600_000;
    case 0x4d:
      return 60_000;
    case 0x53:
      return 1000;
    case 0x6d:
      return 1;
    case 0x75:
      return 0.001;
    case 0x6e:
      return 0.000_001;
    default:
      return 0;
  }
}

const maxDigits = 99_999_999;

/** The shortest header value that is not less than `ms`. */
export function formatTimeout(ms: number): string {
  if (ms <= 0) return "0n";
  const micros = Math.ceil(ms * 1000);
  if (micros <= maxDigits) return `${micros}u`;
  const millis = Math.ceil(ms);
  if (millis <= maxDigits) return `${millis}m`;
  const seconds = Math.ceil(ms / 1000);
  if (seconds <= maxDigits) return `${seconds}S`;
  return `${Math.min(maxDigits, Math.ceil(seconds / 3600))}H`;
}
