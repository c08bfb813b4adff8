/** Header by which a server says that it reads prompts along; its value: seconds within which a request must be complete. */
export const READS_ALONG = 'baton-reads-along';
