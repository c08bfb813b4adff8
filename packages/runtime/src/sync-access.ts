// Synchronous access handles of the private file system, in dedicated workers: TypeScript's own types do not know reading beside
// others, and not every browser has it (https://fs.spec.whatwg.org/, mode of createSyncAccessHandle).

export interface SyncAccessHandle {
  /** As the browser opened it; absent where it knows one mode only. */
  readonly mode?: string;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

export type SyncFileHandle = FileSystemFileHandle & {
  createSyncAccessHandle(options?: { mode: 'read-only' }): Promise<SyncAccessHandle>;
};
