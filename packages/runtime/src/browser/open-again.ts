// What a worker says when its target failed in a way that a fresh worker will not repeat. Apart from both sides, so that
// the page does not load what only the worker needs.

/** In the message of such a refusal. */
export const OPEN_AGAIN = 'recording decode steps broke ONNX Runtime; open it again';
