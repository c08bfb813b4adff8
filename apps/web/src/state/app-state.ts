// Everything the page shows, in one value.

import type { TargetId } from '@baton/runtime';
import type { Persistence, StoredModel } from '@baton/runtime/browser';
import type { Trace } from '@baton/split/trace';
import type { BridgeOffer } from '../run/bridge-link.ts';
import type { LiveTrace } from '../run/live-trace.ts';
import { loadSettings, saveSettings, type Settings } from './settings.ts';
import { Store } from './store.ts';

export interface TargetState {
  target: TargetId;
  available: boolean;
  reason: string;
}

export type SmallState =
  | { status: 'closed' }
  /** `here`: in this page, so that it can be cancelled. */
  | { status: 'opening'; stage: string; fraction: number | null; here: boolean }
  | {
      status: 'ready';
      id: string;
      /** Execution target, and whose where it is not this page's. */
      target: string;
      /** The target, where it is this page's own. */
      here: TargetId | null;
      description: string;
      failures: [TargetId, string][];
    }
  | { status: 'failed'; message: string };

export type LargeState =
  | { status: 'none' }
  | { status: 'unchecked' }
  | { status: 'checking' }
  | { status: 'opening'; stage: string; fraction: number | null }
  | { status: 'ready'; id: string; detail: string }
  | { status: 'down'; message: string };

/** Models that this browser keeps. */
export type StoredState =
  /** It keeps no files. */
  | { status: 'none' }
  | {
      status: 'known';
      models: readonly StoredModel[];
      persistence: Persistence;
      /** Bytes; null where the browser does not tell. */
      space: { used: number; quota: number } | null;
    };

export type BridgeStatus =
  | { status: 'unknown' }
  | { status: 'asking' }
  | { status: 'unpaired'; message: string }
  | { status: 'ready'; detail: string; sessions: boolean }
  | { status: 'trouble'; message: string };

export interface Problem {
  id: string;
  question: string;
  answer: string;
}

/** One HTTP request to a model's server, as it left the page. */
export interface SentRequest {
  at: number;
  method: string;
  url: string;
  headers: [string, string][];
  body: string;
  /** What came of it; null while it runs. */
  outcome: string | null;
}

export interface Run {
  status: 'running' | 'stopping' | 'done' | 'failed';
  live: LiveTrace;
  /** performance.now() at the start. */
  began: number;
  /** The finished trace. */
  trace: Trace | null;
  error: string | null;
  /** The right answer, where the problem came from the list. */
  expected: string | null;
}

/** Whether models write, or are about to stop. */
export function goesOn(run: Run | null): run is Run {
  return run?.status === 'running' || run?.status === 'stopping';
}

export interface HistoryEntry {
  key: string;
  trace: Trace;
  expected: string | null;
  /** It still goes on, in this tab or another: the trace is as far as it has been kept. */
  goesOn: boolean;
}

export interface AppState {
  settings: Settings;
  targets: readonly TargetState[] | null;
  small: SmallState;
  /** For gated checkpoints of the hub; in memory only. */
  hubToken: string;
  /** Of the server that the small model is on; in memory only. */
  smallKey: string;
  large: LargeState;
  bridge: BridgeStatus;
  /** Null until somebody has looked. */
  stored: StoredState | null;
  /** A panel that the page itself wants to show. */
  openPanel: 'settings' | null;
  /** From a pairing link, until the person has paired or named another bridge. */
  bridgeOffer: BridgeOffer | null;
  question: string;
  problems: readonly Problem[];
  run: Run | null;
  /** Index of the segment in the inspector. */
  selected: number | null;
  sent: readonly SentRequest[];
  history: readonly HistoryEntry[];
  /** Something that went wrong with the page itself, in one line. */
  alert: string | null;
}

export const store = new Store<AppState>({
  settings: loadSettings(),
  targets: null,
  small: { status: 'closed' },
  hubToken: '',
  smallKey: '',
  large: { status: 'none' },
  bridge: { status: 'unknown' },
  stored: null,
  openPanel: null,
  bridgeOffer: null,
  question: '',
  problems: [],
  run: null,
  selected: null,
  sent: [],
  history: [],
  alert: null,
});

/** Of what is stored only the fields that change are written: another tab may have changed others. */
export function changeSettings(given: Partial<Settings>): void {
  const before = store.value.settings;
  const change = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => value !== before[name as keyof Settings]),
  ) as Partial<Settings>;
  if (Object.keys(change).length === 0) return;
  const settings = { ...before, ...change };
  store.patch({ settings });
  const { apiKey: _, ...rest } = change;
  // The key goes by what is ticked in this tab.
  const asked = settings.rememberKey && ('apiKey' in change || 'rememberKey' in change);
  saveSettings({ ...loadSettings(), ...rest, ...(asked ? { apiKey: settings.apiKey } : {}) });
}
