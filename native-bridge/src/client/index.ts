// The bridge as other programs use it: a page's or a command's small or large model. Runs in browsers; knows HTTP only.
export { BridgeModel, openBridge, type BridgeAddress } from './bridge-model.ts';
export { askBridge, asksQuietly, pairWithBridge, type BridgeState } from './pair.ts';
