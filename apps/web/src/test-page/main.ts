// Parts of the page for tests that nobody's clicks can put into the state in question; none of them is replaced.
import DOMPurify from 'dompurify';
import { BatonAnswer } from '../elements/trace/baton-answer.ts';
import { cancelLargeHere, closeLargeHere, largeHere } from '../run/large-here.ts';
import { recordingFetch } from '../run/sent-log.ts';
import { store } from '../state/app-state.ts';

const parts = { BatonAnswer, DOMPurify, cancelLargeHere, closeLargeHere, largeHere, recordingFetch, store };

declare global {
  interface Window {
    parts: typeof parts;
  }
}

window.parts = parts;
