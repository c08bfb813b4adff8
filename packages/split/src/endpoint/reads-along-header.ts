/** Header by which a server says that it reads prompts along; its value: seconds within which a request must be complete. */
export const READS_ALONG = 'baton-reads-along';

/**
 * Header of an answer to a request that came in pieces; its value: characters of the prompt that were given to the model before the
 * request was whole. It is missing, or 0, where something on the way collects requests before it passes them on.
 */
export const READ_AHEAD = 'baton-read-ahead';
