// What the model worker offers over comlink, and the shapes it takes; shared by both sides.

import type { Manifest } from '@baton/compiler';
import type { TargetId } from '../backend.ts';
import type { DecoderOptions } from '../decoder.ts';
import type { Speed } from '../measure.ts';
import type { SessionOptions } from '../session.ts';
import type {
  ChatMessage,
  GenerateOptions,
  RenderOptions,
  SyncOptions,
  SyncResult,
  TextModelCapabilities,
} from '../text-model.ts';
import type { ModelSource } from './model-source.ts';
import type { PackedRows } from './packed-rows.ts';
import type { Reply } from './wire.ts';

export interface WorkerOpenOptions {
  decoder?: DecoderOptions;
  session?: SessionOptions;
  /** Milliseconds that one session of ONNX Runtime may take to open; a minute is the most in any case. */
  patienceMs?: number;
}

/** How the stage begins in which a worker that hangs is given up. */
export const OPENING = 'opening on';

export interface OpenedModel {
  manifest: Manifest;
  target: TargetId;
  description: string;
  capabilities: TextModelCapabilities;
}

/** Generation options without what cannot be cloned; the stream's port carries the abort. */
export type WireGenerateOptions = Omit<GenerateOptions, 'signal'> & { watch?: readonly number[] };

export type WireSyncResult = Omit<SyncResult, 'watched'> & { watched: PackedRows };

export interface Progress {
  /** What is happening, for people: "reading weights", "compiling". */
  stage: string;
  /** 0 to 1 where it is known. */
  fraction?: number;
  bytesPerSecond?: number;
  /** Time left in this stage; null until there is a speed to tell it from. */
  remainingMs?: number | null;
}

export interface ModelWorker {
  /** A message on `port` cancels it while files are fetched or compiled; what can be resumed is kept. */
  open(
    source: ModelSource,
    target: TargetId,
    options: WorkerOpenOptions,
    onProgress: (p: Progress) => void,
    port: MessagePort,
  ): Promise<Reply<OpenedModel>>;
  /** A short measurement of the open model (measure.ts). */
  measure(): Promise<Reply<Speed>>;
  renderChat(messages: readonly ChatMessage[], options: RenderOptions): Promise<Reply<string>>;
  /** A new session's number. */
  openSession(): Promise<Reply<number>>;
  encode(session: number, text: string): Promise<Reply<Int32Array>>;
  beginnings(
    session: number,
    text: string,
  ): Promise<Reply<readonly { id: number; lead: string; covers: number }[]>>;
  sync(
    session: number,
    text: string,
    options: Omit<SyncOptions, 'signal'>,
    port: MessagePort,
  ): Promise<Reply<WireSyncResult>>;
  state(session: number): Promise<Reply<{ tokens: number; capacity: number; text: string }>>;
  closeSession(session: number): Promise<Reply<void>>;
  /** Streams SessionChunks through `port` (wire.ts). `session` null: continue `prompt` on a kept cache. */
  generate(
    session: number | null,
    prompt: string,
    options: WireGenerateOptions,
    port: MessagePort,
  ): Promise<void>;
  close(): Promise<Reply<void>>;
}
