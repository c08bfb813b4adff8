// A link that pairs this page (…/#pair=CODE, or …/#bridge=ADDRESS&pair=CODE from another origin): what it says is taken
// out of the address at once, and used only after the person has agreed, unless the bridge itself serves this page.

/** A bridge on this machine, and the code that it gave for pairing. */
export interface BridgeOffer {
  url: string;
  code: string;
}

export interface BridgeLink {
  code: string;
  /** The bridge's address; null: where this page came from. */
  url: string | null;
}

export function takeBridgeLink(): BridgeLink | null {
  const fields = new URLSearchParams(location.hash.slice(1));
  const code = fields.get('pair');
  if (code === null || !/^[\w -]{4,20}$/.test(code)) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return { code, url: fields.get('bridge') };
}
