// What the model store needs of a place to keep files: a folder on disk or one in the browser's private file system
// (OPFS). Paths are relative, with forward slashes.

/** Whether what is stored stays until somebody deletes it. */
export interface Persistence {
  persisted: boolean;
  /** What that means, in one line for people. */
  detail: string;
}

export interface StoreFolder {
  /** Bytes of a file; null where there is none. */
  size(path: string): Promise<number | null>;
  /** Exactly so many bytes, in `spare` (of that length) where it is given. */
  read(path: string, offset: number, length: number, spare?: Uint8Array): Promise<Uint8Array>;
  /** Opens a file for appending at `offset`; what lies behind it is cut off. Creates it where there is none. */
  append(path: string, offset: number): Promise<StoreWriter>;
  /** Writes a small file so that it is there whole or not at all. */
  writeWhole(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives a closed file another name, replacing one that has it. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or folder with everything in it; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  /** Names in a folder ('' = this one); empty where there is none. */
  list(path: string): Promise<string[]>;
  /** Bytes that can still be written; null where nobody can tell. */
  free(): Promise<number | null>;
  /** Whether files stay; with `ask` the place is asked to keep them first. */
  persistence(ask: boolean): Promise<Persistence>;
  /** The same place for those who read it without this face, where there is one: a path on disk. */
  readonly disk?: (path: string) => string;
  /** The same for a browser's other threads; null where they cannot read it. */
  handle?(path: string): Promise<FileSystemFileHandle | null>;
  /** Closes what reading keeps open. */
  release?(): void;
  /** Runs `work` while no other tab or process works under the same name. */
  exclusive<T>(name: string, work: () => Promise<T>): Promise<T>;
}

export interface StoreWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** Makes what was written last. */
  close(): Promise<void>;
}
