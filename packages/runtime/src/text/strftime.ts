// A date as Python's strftime writes it in the C locale, which is what transformers' `strftime_now` gives to chat templates.

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);

/** `-` behind the `%` leaves the padding out, as in glibc. An unknown directive stays as it is, as there. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, plain: string, directive: string) => {
    const written = FIELDS[directive]?.(date);
    if (typeof written !== 'object') return written ?? whole;
    const [value, width] = written;
    return plain ? String(value) : String(value).padStart(width, '0');
  });
}

/** Words as they are, numbers with the width they are padded to. */
const FIELDS: Readonly<Record<string, (date: Date) => string | [value: number, width: number]>> = {
  a: (d) => DAYS[d.getDay()]!.slice(0, 3),
  A: (d) => DAYS[d.getDay()]!,
  w: (d) => [d.getDay(), 1],
  d: (d) => [d.getDate(), 2],
  b: (d) => MONTHS[d.getMonth()]!.slice(0, 3),
  B: (d) => MONTHS[d.getMonth()]!,
  m: (d) => [d.getMonth() + 1, 2],
  y: (d) => [d.getFullYear() % 100, 2],
  Y: (d) => [d.getFullYear(), 1],
  H: (d) => [d.getHours(), 2],
  I: (d) => [d.getHours() % 12 || 12, 2],
  p: (d) => (d.getHours() < 12 ? 'AM' : 'PM'),
  M: (d) => [d.getMinutes(), 2],
  S: (d) => [d.getSeconds(), 2],
  j: (d) => [dayOfYear(d), 3],
  D: (d) => strftime(d, '%m/%d/%y'),
  F: (d) => strftime(d, '%Y-%m-%d'),
  R: (d) => strftime(d, '%H:%M'),
  T: (d) => strftime(d, '%H:%M:%S'),
  c: (d) => `${strftime(d, '%a %b')} ${String(d.getDate()).padStart(2)} ${strftime(d, '%T %Y')}`,
  x: (d) => strftime(d, '%D'),
  X: (d) => strftime(d, '%T'),
  '%': () => '%',
};

function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (day - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000 + 1;
}
