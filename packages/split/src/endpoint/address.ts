// The address of an endpoint as a person gives it, and what requests are sent to.

import { EndpointError } from '../split-error.ts';

/** Ends of an address that people copy from a server's documents together with it. */
const KNOWN_PATHS = /\/(chat\/completions|completions|models)$/;

/**
 * The address of an API's folder: a path is kept as it is, less the name of one of its requests; a bare host gets /v1. Query and
 * credentials are no part of it, so that it can be shown. Throws EndpointError `bad-request` on a bad URL.
 */
export function apiBase(url: string): string {
  const parsed = parse(url);
  const path = parsed.pathname.replace(/\/+$/, '').replace(KNOWN_PATHS, '');
  return `${parsed.origin}${path === '' ? '/v1' : path}`;
}

/** Where a request goes, as it can be shown: the folder and the request's own path. */
export function apiUrl(url: string, path: string): string {
  return `${apiBase(url)}/${path}`;
}

/** The query of an address (`?api-version=...`), for every request to it and nobody's eyes: it may hold a key. */
export function queryOf(url: string): string {
  return parse(url).search;
}

/** The Authorization header of an address that carries a name and a password; fetch itself refuses those. */
export function credentialsOf(url: string): Record<string, string> {
  const { username, password } = parse(url);
  if (username === '' && password === '') return {};
  const pair = new TextEncoder().encode(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  return { authorization: `Basic ${btoa(String.fromCodePoint(...pair))}` };
}

function parse(url: string): URL {
  const parsed = URL.parse(url);
  // Where it is no address, nobody can say which part of it is the password.
  const shown = /[@?]/.test(url) ? 'the address' : `"${url}"`;
  if (!parsed)
    throw new EndpointError('bad-request', `${shown} is not an address such as http://127.0.0.1:8787/v1`);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw new EndpointError('bad-request', `${shown}: only http and https endpoints are supported`);
  return parsed;
}
