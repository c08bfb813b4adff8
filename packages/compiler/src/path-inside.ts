// Which file names that somebody else wrote, in a manifest or in an index of shards, stay inside the folder or the address
// that they are joined to. A name that does not is refused; nothing is repaired.

/** `:` begins a scheme or names a drive; `%2e%2e` is `..` in an address, whose path ends at `?` or `#`. */
const UNSAFE = /[\\:%?#\p{Cc}]/u;

/** Whether `path` is one or more names joined by `/`, none of which leads elsewhere. */
export function isPathInside(path: string): boolean {
  return !UNSAFE.test(path) && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
