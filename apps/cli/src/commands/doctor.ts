// `baton doctor` is the bridge's own command: it knows OpenVINO beside what the runtime opens in Node.
export { doctorCommand } from '@baton/bridge';
