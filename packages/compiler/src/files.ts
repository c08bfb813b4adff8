// How the compiler reads checkpoints and writes models without knowing what a disk is: three small interfaces that a
// directory, a list of Files, a URL, a Hugging Face repository, OPFS or memory can implement.

/** A Hugging Face checkpoint, read by ranges. Paths are relative, with forward slashes. */
export interface CheckpointSource {
  /** Shown to people and kept in the manifest: a folder's name, a Hugging Face id, a URL. */
  readonly name: string;
  list(): Promise<readonly string[]>;
  /** Bytes. Rejects if there is no such file. */
  size(path: string): Promise<number>;
  /**
   * Exactly `length` bytes from `offset`; rejects when the file is shorter. They may be put into `spare` (of `length` bytes),
   * which saves the system the pages of a new buffer. What is returned may come back as a later `spare`: a source that uses
   * it returns only buffers that it does not keep.
   */
  read(path: string, offset: number, length: number, spare?: Uint8Array): Promise<Uint8Array>;
}

/** A compiled model's files. */
export interface ModelFiles {
  /**
   * The whole file, or `length` bytes from `offset`. Rejects when the file is missing or shorter. They may be put into `spare`
   * (of `length` bytes), which saves the system the pages of a new buffer.
   */
  read(path: string, offset?: number, length?: number, spare?: Uint8Array): Promise<Uint8Array>;
  size(path: string): Promise<number>;
  /**
   * The folder on disk, where there is one: lets a native runtime map the weight file instead of copying it, and threads
   * read it themselves.
   */
  readonly directory?: string;
  /** A browser's handle of a file that its worker threads can read themselves; null where there is none. */
  handle?(path: string): Promise<FileSystemFileHandle | null>;
  /** Closes what is kept open between reads, which would be in the way of deleting it. A later read opens it again. */
  release?(): void;
}

/** One file being written, front to back. */
export interface FileWriter {
  /** The bytes may be reused by the caller once the promise resolves. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** SHA-256 of what is given to it, in order. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Lower-case hexadecimal; once, at the end. */
  digest(): string;
}

/** Where a model is written. Nothing is visible under its final name before `commit`, and nothing is left by `abort`. */
export interface ModelSink {
  /** Told how many bytes of weights are to come before any is written; rejects where there is no room for them. */
  expect?(bytes: number): Promise<void>;
  create(path: string): Promise<FileWriter>;
  commit(): Promise<void>;
  abort(): Promise<void>;
  /** A SHA-256 that is faster here than WebAssembly's, where there is one. */
  sha256?(): Hasher;
}
