// Damaged checkpoints, made from a good fixture by editing its files in memory.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { blobSource, type CheckpointSource } from '../src/index.ts';
import { fixture } from './fixtures.ts';

export type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

export interface Files {
  [path: string]: Uint8Array | undefined;
}

/** The fixture's files with `edit` done to them. */
export function broken(name: string, edit: (files: Files) => void): CheckpointSource {
  const { directory } = fixture(name);
  const files: Files = {};
  for (const file of readdirSync(directory))
    files[file] = new Uint8Array(readFileSync(path.join(directory, file)));
  edit(files);
  const kept = Object.entries(files).filter(
    (entry): entry is [string, Uint8Array<ArrayBuffer>] => !!entry[1],
  );
  return blobSource(
    name,
    kept.map(([path, bytes]) => ({ name: path, blob: new Blob([bytes]) })),
  );
}

export function editConfig(change: Record<string, unknown>): (files: Files) => void {
  return (files) => {
    const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as Record<string, unknown>;
    files['config.json'] = new TextEncoder().encode(JSON.stringify({ ...config, ...change }));
  };
}

/** Rewrites the header of model.safetensors, and its data too where `change` gives others; offsets are relative to them. */
export function editHeader(
  change: (header: Header, data: Uint8Array) => Uint8Array | void,
): (files: Files) => void {
  return (files) => {
    const bytes = files['model.safetensors']!;
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Header;
    const data = bytes.slice(8 + length);
    const changed = change(header, data) ?? data;
    files['model.safetensors'] = safetensors(JSON.stringify(header), changed);
  };
}

export function safetensors(header: string, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(header);
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}
