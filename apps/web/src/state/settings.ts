// What a person has chosen, kept in this browser. An API key is kept in memory only, unless the person asks for more.

import type { TargetId } from '@baton/runtime';

export type PolicyName = 'small' | 'learned' | 'threshold' | 'large';

export interface Settings {
  theme: 'system' | 'light' | 'dark';
  target: TargetId | 'auto';
  /**
   * Where the small model is: beside the page, on the Hugging Face hub, a folder at an address, behind the bridge, or behind any
   * server with log-probabilities.
   */
  smallKind: 'demo' | 'hub' | 'url' | 'bridge' | 'server';
  /** Its id (owner/name, owner/name@revision) or address. */
  smallAddress: string;
  /** Base address of such a server, and the model's id there ('' for its first). */
  smallServer: string;
  smallServerModel: string;
  /** How such a checkpoint's matrices are stored. */
  smallWeights: 'int4' | 'int8' | 'f32';
  policy: PolicyName;
  /** Probability of the hand-off tag from which the threshold policy hands off. */
  threshold: number;
  /** Base address of an OpenAI-compatible server; '' for none. */
  endpointUrl: string;
  endpointModel: string;
  /** A preset's name, 'auto' to find out by asking, 'page' for the demo's large model in this page, or 'bridge'. */
  endpointKind: string;
  /** The person typed the address; otherwise the server that serves the page may name it. */
  endpointOwn: boolean;
  apiKey: string;
  /** Origin of the bridge on this machine, and the token that it gave this page. */
  bridgeUrl: string;
  bridgeToken: string;
  rememberKey: boolean;
  /** 0 is greedy. */
  temperature: number;
  seed: number;
  maxTokens: number;
  maxOffload: number;
}

export const DEFAULTS: Settings = {
  theme: 'system',
  target: 'auto',
  smallKind: 'demo',
  smallAddress: '',
  smallServer: '',
  smallServerModel: '',
  smallWeights: 'int4',
  policy: 'learned',
  threshold: 0.3,
  endpointUrl: '',
  endpointModel: '',
  endpointKind: 'page',
  endpointOwn: false,
  apiKey: '',
  bridgeUrl: 'http://127.0.0.1:8787',
  bridgeToken: '',
  rememberKey: false,
  temperature: 0,
  seed: 1,
  maxTokens: 1024,
  maxOffload: 1,
};

const KEY = 'baton.settings/1';

/** The stored choices over the defaults; a broken or foreign value is left out field by field. */
export function loadSettings(storage?: Pick<Storage, 'getItem'>): Settings {
  let stored: unknown;
  try {
    // Where site data is blocked the very name of it throws.
    stored = JSON.parse((storage ?? localStorage).getItem(KEY) ?? '{}');
  } catch {
    return { ...DEFAULTS };
  }
  if (typeof stored !== 'object' || stored === null) return { ...DEFAULTS };
  const fits = Object.entries(stored).filter(
    ([name, value]) => name in DEFAULTS && typeof value === typeof DEFAULTS[name as keyof Settings],
  );
  return { ...DEFAULTS, ...Object.fromEntries(fits) };
}

export function saveSettings(settings: Settings, storage?: Pick<Storage, 'setItem'>): void {
  const kept = settings.rememberKey ? settings : { ...settings, apiKey: '' };
  try {
    (storage ?? localStorage).setItem(KEY, JSON.stringify(kept));
  } catch {
    // A full or forbidden storage must not stop the page; the choices then live as long as it does.
  }
}

/** The policy as the relay reads it. */
export function policyText({ policy, threshold }: Pick<Settings, 'policy' | 'threshold'>): string {
  return policy === 'threshold' ? `threshold:${threshold}` : policy;
}
