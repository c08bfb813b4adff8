// Where new rows go in the cache, for graphs that write it themselves (`cacheUpdate` whole).

/**
 * Fills `keep`, f32 [capacity], with 1 where a slot stays and 0 where it is written, and `place`, f32 [capacity, length],
 * with 1 where row r goes to slot s, for rows 0 .. count - 1 at slots from `stored` on. Padding rows go nowhere.
 */
export function slotRows(
  stored: number,
  count: number,
  length: number,
  capacity: number,
  keep: Float32Array = new Float32Array(capacity),
  place: Float32Array = new Float32Array(capacity * length),
): { keep: Float32Array; place: Float32Array } {
  keep.fill(1);
  place.fill(0);
  for (let r = 0; r < count; r++) {
    keep[stored + r] = 0;
    place[(stored + r) * length + r] = 1;
  }
  return { keep, place };
}
