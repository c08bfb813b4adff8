import { describe, expect, it } from 'vitest';
import { DEFAULTS, loadSettings, policyText, saveSettings } from './settings.ts';

function shelf(content: string | null = null) {
  const kept = { content };
  return {
    kept,
    getItem: () => kept.content,
    setItem: (_key: string, value: string) => void (kept.content = value),
  };
}

describe('settings', () => {
  it('come back as they were stored', () => {
    const storage = shelf();
    saveSettings({ ...DEFAULTS, target: 'wasm', threshold: 0.5 }, storage);
    expect(loadSettings(storage)).toEqual({ ...DEFAULTS, target: 'wasm', threshold: 0.5 });
  });

  it('store the key only when asked', () => {
    const storage = shelf();
    saveSettings({ ...DEFAULTS, apiKey: 'secret' }, storage);
    expect(storage.kept.content).not.toContain('secret');
    saveSettings({ ...DEFAULTS, apiKey: 'secret', rememberKey: true }, storage);
    expect(loadSettings(storage).apiKey).toBe('secret');
  });

  it.each(['{', 'null', '[]', '7', '{"threshold":"high","unknown":1}'])(
    'survive %j in storage',
    (content) => {
      expect(loadSettings(shelf(content))).toEqual(DEFAULTS);
    },
  );

  it('are the defaults where the browser forbids site data', () => {
    Object.defineProperty(globalThis, 'localStorage', {
      configurable: true,
      get: () => {
        throw new DOMException('Access is denied for this document.', 'SecurityError');
      },
    });
    expect(loadSettings()).toEqual(DEFAULTS);
    expect(() => saveSettings(DEFAULTS)).not.toThrow();
    Reflect.deleteProperty(globalThis, 'localStorage');
  });

  it('name the policy as the relay reads it', () => {
    expect(policyText({ policy: 'threshold', threshold: 0.25 })).toBe('threshold:0.25');
    expect(policyText({ policy: 'large', threshold: 0.25 })).toBe('large');
  });
});
