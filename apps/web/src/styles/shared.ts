// Styles that several elements adopt: boxes, buttons, fields, and text for screen readers only.
import { css } from 'lit';

export const base = css`
  :host {
    display: block;
  }
  :host([hidden]) {
    display: none;
  }
  * {
    box-sizing: border-box;
  }
  h2,
  h3,
  p,
  dl,
  dd,
  ul,
  ol,
  figure,
  fieldset {
    margin: 0;
    padding: 0;
    border: 0;
    min-width: 0;
  }
  h2 {
    font-size: var(--s0);
    font-weight: 620;
    letter-spacing: -0.005em;
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .quiet {
    color: var(--ink-3);
    font-size: var(--s-1);
  }
  .card {
    background: var(--card);
    border: 1px solid var(--line);
    border-radius: var(--radius);
    box-shadow: var(--shadow);
  }
  :focus-visible {
    outline: 2px solid var(--small);
    outline-offset: 2px;
  }
  /* What tells its meaning by its background keeps one where a person has chosen the few colours of all pages: in those. */
  @media (forced-colors: active) {
    .told-by-colour {
      forced-color-adjust: none;
      --paper: Canvas;
      --sunken: Canvas;
      --ink: CanvasText;
      --small: CanvasText;
      --large: Highlight;
    }
  }
  /* Here, because no rule of the document reaches into an element. */
  @media (prefers-reduced-motion: reduce) {
    * {
      animation: none !important;
      transition: none !important;
    }
  }
`;

/** A form of settings: fields below each other, a remark, what came of it in one line. */
export const forms = css`
  form {
    display: grid;
    gap: 0.9rem;
  }
  form > button {
    justify-self: start;
  }
  .good,
  .bad {
    font-size: var(--s-1);
    overflow-wrap: anywhere;
  }
  .good {
    color: var(--good);
  }
  .bad {
    color: var(--bad);
  }
`;

export const controls = css`
  button,
  input,
  select,
  textarea {
    font: inherit;
    color: inherit;
  }
  button {
    cursor: pointer;
    min-height: 2.25rem;
    padding: 0 0.85rem;
    border-radius: 8px;
    border: 1px solid var(--line);
    background: var(--card);
    font-weight: 520;
  }
  button:hover:not(:disabled) {
    border-color: var(--line-strong);
  }
  button:disabled {
    cursor: default;
    color: var(--ink-3);
  }
  button.main {
    background: var(--ink);
    border-color: var(--ink);
    color: var(--paper);
  }
  button.main:disabled {
    background: var(--sunken);
    border-color: var(--line);
    color: var(--ink-3);
  }
  button.plain {
    border-color: transparent;
    background: none;
    color: var(--ink-2);
  }
  button.plain:hover {
    background: var(--sunken);
    border-color: transparent;
    color: var(--ink);
  }
  button.link {
    min-height: 0;
    padding: 0;
    border: 0;
    background: none;
    color: inherit;
    font-weight: inherit;
    text-decoration: underline;
    text-decoration-color: var(--line-strong);
    text-underline-offset: 3px;
  }
  input[type='text'],
  input[type='url'],
  input[type='password'],
  input[type='number'],
  select,
  textarea {
    width: 100%;
    min-height: 2.4rem;
    padding: 0.4rem 0.7rem;
    border: 1px solid var(--line-strong);
    border-radius: 8px;
    background: var(--card);
  }
  input::placeholder,
  textarea::placeholder {
    color: var(--ink-3);
  }
  input[type='radio'],
  input[type='checkbox'],
  input[type='range'] {
    accent-color: var(--ink);
  }
  label.field {
    display: grid;
    gap: 0.3rem;
    font-size: var(--s-1);
    font-weight: 560;
  }
  label.field > input,
  label.field > select {
    font-weight: 400;
    font-size: var(--s0);
  }
`;
